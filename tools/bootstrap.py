#!/usr/bin/env python3
"""Prepare a checkout for work: a virtual environment, dstreams in it, and a Java for Spark.

Called by the Makefile (`make setup`); needs Python's standard library only. It

1. creates the virtual environment that the variable VENV names, `.venv` by default,
2. finds a Java that Spark 4 can use, or installs one, and writes its home to `java-home` there,
3. installs dstreams there, editable, with the extras asked for, and with `--spark 4.1` that version of Spark,
4. with `--without-old-engine` takes `pyspark.streaming` and its classes out of that Spark.

With `--print-java-home` it prints that home and installs nothing.
"""

import os
import shutil
import subprocess
import sys

# An older Python must be able to read this file as far as here, so the syntax is
# that of Python 3.6 throughout: no `match`, no `:=`, no `from __future__ import annotations`.
if sys.version_info < (3, 10):  # noqa: UP036
    for _minor in (13, 12, 11, 10):
        _python = shutil.which(f"python3.{_minor}")
        # It has to be tried: a version manager's shim can exist without its Python.
        if _python and subprocess.call([_python, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(_python, [_python, *sys.argv])
    sys.exit(
        "[setup] error: dstreams needs Python 3.10 or newer; "
        f"{sys.executable} is {sys.version_info[0]}.{sys.version_info[1]}.\n"
        "  Install a newer one, and name it if it is not on PATH: make setup PYTHON=/path/to/python3"
    )

import argparse
import platform
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, NoReturn
from zipfile import ZIP_DEFLATED, ZipFile

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / os.environ.get("VENV", ".venv")
VENV_PYTHON = str(VENV / "bin" / "python")
JAVA_HOME_FILE = VENV / "java-home"
LOCAL_JDKS = ROOT / ".jdk"
LOCAL_VIRTUALENV = ROOT / ".cache" / "virtualenv"

OLDEST_JAVA = 17
TESTED_JAVAS = (17, 21)  # the versions that Spark 4 is tested on
JAVA_MODULE = "jdk.incubator.vector"  # Spark 4 starts every JVM with this module
JAVA_PLACES = (
    str(LOCAL_JDKS / "*"),
    str(LOCAL_JDKS / "*" / "Contents" / "Home"),
    "/usr/lib/jvm/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "/usr/local/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
)


# --- messages and processes -------------------------------------------------------------------


def say(message: str) -> None:
    """Report a step (on stderr: stdout is for --print-java-home)."""
    print(f"[setup] {message}", file=sys.stderr, flush=True)


def fail(message: str) -> NoReturn:
    say(f"error: {message}")
    sys.exit(1)


class Result(NamedTuple):
    ok: bool
    output: str

    def tail(self, lines: int) -> str:
        """Return the last lines of the output, indented."""
        return "\n".join("    " + line for line in self.output.strip().splitlines()[-lines:])


def run(command: Sequence[str], env: dict[str, str] | None = None, timeout: float | None = None) -> Result:
    """Run a command to its end; a command that cannot be started counts as failed."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Result(False, str(error))
    return Result(done.returncode == 0, done.stdout)


# --- system packages --------------------------------------------------------------------------


@cache
def package_manager() -> tuple[str, ...]:
    """Return the command that installs system packages without asking; empty if there is none."""
    if os.geteuid() == 0:
        prefix: tuple[str, ...] = ()
    elif run(["sudo", "-n", "true"]).ok:
        prefix = ("sudo", "-n")
    else:
        return ()
    if shutil.which("apt-get"):
        apt_get = (*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get")
        say("updating the package lists (apt-get update)")
        run([*apt_get, "update"], timeout=600)
        return (*apt_get, "install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=60")
    if shutil.which("dnf"):
        return (*prefix, "dnf", "install", "--assumeyes")
    return ()


def install_system_package(for_apt: Sequence[str], for_dnf: Sequence[str]) -> bool:
    """Install the first of these packages that exists."""
    install = package_manager()
    if not install:
        return False
    for package in for_apt if "apt-get" in install else for_dnf:
        say(f"installing the system package {package}")
        result = run([*install, package], timeout=1800)
        if result.ok:
            return True
        say(f"that failed:\n{result.tail(3)}")
    return False


# --- the virtual environment ------------------------------------------------------------------


def ensure_venv(system_packages: bool) -> None:
    if run([VENV_PYTHON, "-c", "import sys, pip; sys.exit(sys.version_info < (3, 10))"]).ok:
        return
    say(f"creating {VENV} with Python {platform.python_version()} ({sys.executable})")
    package = f"python3.{sys.version_info[1]}-venv"

    # Debian and Ubuntu keep these modules in a package of their own.
    has_modules = [sys.executable, "-c", "import venv, ensurepip; ensurepip.version()"]
    if not run(has_modules).ok:
        say("this Python lacks the modules venv and ensurepip")
        if system_packages and sys.base_prefix == "/usr":
            install_system_package(for_apt=(package, "python3-venv"), for_dnf=())
    if not run(has_modules).ok or not run([sys.executable, "-m", "venv", "--clear", str(VENV)]).ok:
        create_with_virtualenv(package)


def create_with_virtualenv(venv_package: str) -> None:
    """Create the environment with virtualenv, the installed one or else one fetched by pip."""
    say("the module venv could not create it, trying virtualenv")
    create = [sys.executable, "-m", "virtualenv", "--quiet", "--clear", str(VENV)]
    if run(create).ok:
        return
    target = str(LOCAL_VIRTUALENV)
    fetched = run([sys.executable, "-m", "pip", "install", "--quiet", "--target", target, "virtualenv"])
    created = run(create, env={"PYTHONPATH": target})
    if not created.ok:
        fail(
            "the virtual environment could not be created:\n"
            f"{(created if fetched.ok else fetched).tail(5)}\n"
            "  Install what is missing by hand, then run make again:\n"
            f"    Debian, Ubuntu:  sudo apt-get install {venv_package}\n"
            "  or name another Python (3.10 or newer): make setup PYTHON=/path/to/python3"
        )


def pip_install(*arguments: str) -> Result:
    return run([VENV_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments])


def install_project(extras: Sequence[str], spark: str) -> None:
    extra = f"[{','.join(extras)}]" if extras else ""
    pinned = [f"pyspark=={spark}.*"] if spark else []
    first = "" if run([VENV_PYTHON, "-c", "import pyspark"]).ok else " and Spark, which takes a few minutes"
    say(f"installing dstreams{extra} into {VENV}{first}")
    result = pip_install("--editable", f".{extra}", *pinned)
    if not result.ok:
        fail(
            f"pip could not install dstreams{extra} {' '.join(pinned)}:\n{result.tail(15)}\n"
            "  Check the network and pip's own settings (proxy, index, certificates), then run make again."
        )


def remove_old_engine() -> None:
    """Make it the environment of a Spark to come, in the driver, in the JVM, and in workers (which read the zip)."""
    found = run([VENV_PYTHON, "-c", "import pyspark; print(pyspark.__path__[0])"])
    home = Path(found.output.strip().splitlines()[-1])
    shutil.rmtree(home / "streaming", ignore_errors=True)
    for jar in home.glob("jars/spark-streaming_*.jar"):
        jar.unlink()
    whole = home / "python" / "lib" / "pyspark.zip"
    rest = whole.with_suffix(".rest")
    with ZipFile(whole) as source, ZipFile(rest, "w", ZIP_DEFLATED) as target:
        for entry in source.infolist():
            if not entry.filename.startswith("pyspark/streaming/"):
                target.writestr(entry, source.read(entry))
    rest.replace(whole)
    say(f"took the old engine out of {home}")


# --- Java -------------------------------------------------------------------------------------


class Java(NamedTuple):
    home: Path
    version: int
    complaint: str

    def __str__(self) -> str:
        return f"Java {self.version} in {self.home}"


def ask_java(java: str) -> Java | None:
    """Start a `java` and ask what it is; None if it does not answer (not every `java` is one)."""
    settings = run([java, "-XshowSettings:properties", "-version"], timeout=60).output
    home = re.search(r"^\s*java\.home = (.+)$", settings, re.MULTILINE)
    version = re.search(r"^\s*java\.specification\.version = (?:1\.)?(\d+)", settings, re.MULTILINE)
    if not home or not version:
        return None
    number = int(version.group(1))
    complaint = ""
    if number < OLDEST_JAVA:
        complaint = "too old"
    elif f"{JAVA_MODULE}@" not in run([java, "--list-modules"], timeout=60).output:
        complaint = f"lacks the module {JAVA_MODULE}"
    return Java(Path(home.group(1).strip()), number, complaint)


def java_commands() -> Iterator[Path]:
    if os.environ.get("JAVA_HOME"):
        yield Path(os.environ["JAVA_HOME"], "bin", "java")
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path)
    for place in JAVA_PLACES:
        for home in sorted(Path("/").glob(place.lstrip("/"))):
            yield home / "bin" / "java"


def installed_javas() -> list[Java]:
    """Return every Java found, the one to use first."""
    javas: dict[Path, Java] = {}
    asked: set[Path] = set()
    for command in java_commands():
        if not command.is_file() or command.resolve() in asked:
            continue
        asked.add(command.resolve())
        java = ask_java(str(command))
        if java:
            javas.setdefault(java.home.resolve(), java)
    return sorted(javas.values(), key=lambda java: (java.complaint != "", java.version not in TESTED_JAVAS))


def find_java() -> Java | None:
    """Return the best Java found, if Spark can use it."""
    return next((java for java in installed_javas() if not java.complaint), None)


def ensure_java(system_packages: bool) -> Java:
    java = find_java()
    if java:
        return java
    say(f"no Java {OLDEST_JAVA} or newer with the module {JAVA_MODULE} was found")
    if system_packages and install_system_package(
        for_apt=[f"openjdk-{version}-jre-headless" for version in TESTED_JAVAS],
        for_dnf=[f"java-{version}-openjdk-headless" for version in TESTED_JAVAS],
    ):
        java = find_java()
    if not java:
        install_local_jdk()
        java = find_java()
    return java or fail_without_java("there is no Java that Spark can use, and none could be installed.")


def install_local_jdk() -> None:
    """Put a JDK into .jdk with the package install-jdk; needs no rights on the system."""
    version = str(TESTED_JAVAS[0])
    say(f"downloading Java {version} into .jdk, about 200 MB")
    result = pip_install("install-jdk")
    if not result.ok:
        say(f"pip could not install install-jdk:\n{result.tail(3)}")
        return
    script = (
        "import socket, sys, jdk\n"
        "socket.setdefaulttimeout(60)\n"
        "jdk.install(sys.argv[1], path=sys.argv[2], vendor=sys.argv[3])\n"
    )
    for vendor in ("Adoptium", "Corretto"):
        result = run([VENV_PYTHON, "-c", script, version, str(LOCAL_JDKS), vendor], timeout=1800)
        if result.ok:
            return
        say(f"{vendor} failed:\n{result.tail(1)}")


def fail_without_java(what_happened: str) -> NoReturn:
    found = "".join(f"\n    {java}: {java.complaint}" for java in installed_javas())
    first, second = TESTED_JAVAS
    fail(
        f"{what_happened}\n"
        f"  Spark 4 needs Java {first} or {second}, with the module {JAVA_MODULE}. Install it by hand:\n"
        f"    Debian, Ubuntu:  sudo apt-get install openjdk-{first}-jre-headless (or {second})\n"
        f"    Fedora, RHEL:    sudo dnf install java-{first}-openjdk-headless (or {second})\n"
        f"    macOS:           brew install openjdk@{first}\n"
        "    elsewhere:       unpack a JDK, such as Eclipse Temurin, into .jdk/\n"
        "  then run make again. If it is in an unusual place, set JAVA_HOME to it."
        + (f"\n  Found, but not usable:{found}" if found else "")
    )


def ensure_browser(system_packages: bool) -> None:
    """Find Chromium and its driver, or install them."""
    for program, package in (("chromium", "chromium"), ("chromedriver", "chromium-driver")):
        if shutil.which(program) is None and system_packages:
            install_system_package(for_apt=(package,), for_dnf=(program,))
        if shutil.which(program) is None:
            fail(
                f"the test in a browser needs {program}, which is not on PATH and could not be installed here.\n"
                "  Install it by hand, then run make again:\n"
                "    Debian:  sudo apt-get install chromium chromium-driver\n"
                "    Fedora:  sudo dnf install chromium chromedriver"
            )
    say(f"using {shutil.which('chromium')}")


def print_java_home() -> None:
    """Print the home that was recorded, or that of another Java if it is gone."""
    recorded = JAVA_HOME_FILE.read_text("utf-8").strip() if JAVA_HOME_FILE.is_file() else ""
    if recorded and Path(recorded, "bin", "java").is_file():
        print(recorded)
        return
    java = find_java() or fail_without_java("the Java found at setup is gone; `make -B setup` installs another.")
    print(java.home)


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare a virtual environment and a Java for Spark.")
    parser.add_argument("--extra", action="append", default=[], metavar="NAME", help="an extra to install (repeatable)")
    parser.add_argument("--spark", default="", metavar="X.Y", help="this version of Spark, not the newest")
    parser.add_argument("--without-old-engine", action="store_true", help="take pyspark.streaming out of Spark")
    parser.add_argument("--no-system-packages", action="store_true", help="never call apt-get or dnf")
    parser.add_argument("--browser", action="store_true", help="find or install Chromium, and nothing else")
    parser.add_argument("--print-java-home", action="store_true", help="print the JAVA_HOME for Spark, install nothing")
    options = parser.parse_args()
    if os.name != "posix":
        fail("this runs on Linux and macOS; on Windows, use the Windows Subsystem for Linux")
    if options.print_java_home:
        print_java_home()
        return

    system_packages = not options.no_system_packages
    if options.browser:
        ensure_browser(system_packages)
        return
    ensure_venv(system_packages)
    java = ensure_java(system_packages)
    say(f"using {java}")
    JAVA_HOME_FILE.write_text(f"{java.home}\n", "utf-8")
    install_project(options.extra, options.spark)
    if options.without_old_engine:
        remove_old_engine()


if __name__ == "__main__":
    main()
