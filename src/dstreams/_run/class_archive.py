"""The archive of the classes that Spark loads (Java's application class data sharing): where it is, and its use.

A JVM that starts reads and verifies some 20,000 classes; from an archive that an earlier JVM has left it maps them into
memory. An archive is good for one Java and one class path. A JVM that cannot use the one it is given loads its classes
as ever, and with the options from here says nothing about it. Only one that has been cut short would make it crash
(Java 17 does not look at the size), so the size is kept beside it.

:mod:`dstreams._run.warm_up` makes it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyspark
from pyspark import SparkConf

from dstreams._spark.gateway import jvm_runs, spark_home

__all__ = [
    "SWITCH", "VARIABLE", "NoArchive", "add_options", "archive_path", "can_be_made", "failure_of", "jvm_options",
    "put_in_place", "usable", "used",
]  # fmt: skip

SWITCH = "DSTREAMS_CLASS_ARCHIVE"
"""Environment variable; ``off`` lets no archive be used or made."""
VARIABLE = "SPARK_SUBMIT_OPTS"
"""Environment variable with which Spark's scripts start the driver's JVM."""

_ENVIRONMENT = (VARIABLE, "PYSPARK_SUBMIT_ARGS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
_SETTINGS = ("spark.driver.extraJavaOptions", "spark.driver.defaultJavaOptions")
_OF_ARCHIVES = re.compile(r"-Xshare|-XX:[+-]?(SharedArchive|ArchiveClasses|AutoCreateShared|\w*SharedSpaces|AOT)")
_OF_COMPILERS = re.compile(r"-X(int|comp|mixed)\b|-XX:[+-]?(Tiered|Compil|CICompiler|UseJVMCI)")


class NoArchive(Exception):
    """Why there is no archive and cannot be one, in one line."""


def archive_path(conf: SparkConf | None = None) -> Path:
    """Where the archive for the Spark and the Java of this environment is, or would be.

    Parameters
    ----------
    conf : SparkConf, optional
        Settings with which the JVM is to be started.

    Returns
    -------
    Path
        A file in the user's cache.

    Raises
    ------
    NoArchive
        If there can be none: it is switched off, the user deals with archives already, or there is no Java.
    """
    if os.environ.get(SWITCH, "").lower() == "off":
        raise NoArchive(f"the environment variable {SWITCH} is off")
    if found := _OF_ARCHIVES.search(_options_of_the_user(conf)):
        raise NoArchive(f"the JVM's options, as they are set, have {found[0]}... already")
    try:
        java = _java()
        release = java.parent.parent / "release"
        about = release.read_text(errors="replace") if release.is_file() else ""
        places = [_spark_home().resolve(), _conf_folder(), java]
        if places[1].is_dir() and any(places[1].iterdir()):
            raise NoArchive(f"Java makes none as long as there are files in {places[1]}, which is on the class path")
        cache = os.environ.get("XDG_CACHE_HOME", "")
        folder = (Path(cache) if os.path.isabs(cache) else Path.home() / ".cache") / "dstreams"
    except (OSError, RuntimeError) as error:  # RuntimeError: who runs this has no home
        raise NoArchive(str(error)) from None
    version = re.search(r'^JAVA_VERSION="([\w.+-]+)"', about, re.MULTILINE)
    # With all that Java tells of itself: another build of the same version is another Java.
    digest = hashlib.sha256("\n".join([*map(str, places), about]).encode()).hexdigest()[:8]
    return folder / f"spark-{pyspark.__version__}-java-{version[1] if version else 'unknown'}-{digest}.jsa"


def usable(archive: Path) -> bool:
    """Whether an archive is there, as a whole, and is not of other jars at the same place."""
    try:
        whole = archive.stat().st_size == int(_size_of(archive).read_text())
    except (OSError, ValueError):
        return False
    return whole and _is_newer_than_jars(archive)


def put_in_place(made: Path, archive: Path) -> None:
    """Move a file of the same file system to where an archive is; until all is done there is none."""
    size = _size_of(made)
    size.write_text(str(made.stat().st_size))
    with made.open("rb") as file:
        os.fsync(file.fileno())
    _size_of(archive).unlink(missing_ok=True)
    os.replace(made, archive)
    os.replace(size, _size_of(archive))
    failure_of(archive).unlink(missing_ok=True)


def failure_of(archive: Path) -> Path:
    """File that tells that an archive could not be made, and why."""
    return archive.with_suffix(".failed")


def can_be_made(archive: Path) -> bool:
    """Whether it makes sense to make an archive without having been asked: none is there, and none has failed."""
    existing = next((folder for folder in archive.parents if folder.is_dir()), None)
    writable = existing is not None and os.access(existing, os.W_OK)
    return writable and not usable(archive) and not _is_newer_than_jars(failure_of(archive))


def jvm_options(conf: SparkConf | None = None, quick: bool = False) -> str:
    """Options to start a JVM with, as :data:`VARIABLE` takes them; empty where there are none.

    Parameters
    ----------
    conf : SparkConf, optional
        Settings with which it is to be started.
    quick : bool
        Also compile quickly rather than well, for a JVM that runs for seconds. Left out if the user has set options of
        compilers.
    """
    options = []
    with suppress(NoArchive):
        archive = archive_path(conf)
        if usable(archive):
            options += [shlex.quote(f"-XX:SharedArchiveFile={archive}"), "-Xlog:cds*=off"]
    if quick and not _OF_COMPILERS.search(_options_of_the_user(conf)):
        options.append("-XX:TieredStopAtLevel=1")
    return " ".join(options)


def add_options(options: str) -> str:
    """Value of :data:`VARIABLE` with these options added to what the user has there."""
    return f"{os.environ.get(VARIABLE, '')} {options}".strip()


@contextmanager
def used(conf: SparkConf | None = None, quick: bool = False) -> Iterator[None]:
    """Let a JVM that starts within this use the archive, if there is one; the environment is restored afterwards.

    Parameters
    ----------
    conf : SparkConf, optional
        Settings with which it is to be started.
    quick : bool
        As for :func:`jvm_options`.
    """
    options = "" if jvm_runs() else jvm_options(conf, quick)
    if not options:
        yield
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = add_options(options)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def _options_of_the_user(conf: SparkConf | None) -> str:
    """All options that a JVM would get without us, wherever they are set."""
    texts = [os.environ.get(name, "") for name in _ENVIRONMENT]
    texts += [str(conf.get(name, "")) for name in _SETTINGS if conf is not None]
    with suppress(OSError):
        lines = (_conf_folder() / "spark-defaults.conf").read_text(errors="replace").splitlines()
        texts += [line for line in lines if line.lstrip().startswith(_SETTINGS)]
    return " ".join(texts)


def _size_of(archive: Path) -> Path:
    return archive.with_suffix(".size")


def _is_newer_than_jars(file: Path) -> bool:
    """Whether a file is there and was written after the last change of Spark's folder of jars."""
    try:
        return file.stat().st_mtime >= (_spark_home() / "jars").stat().st_mtime
    except OSError:
        return False


def _java() -> Path:
    """The java that Spark's scripts start, links resolved."""
    home = os.environ.get("JAVA_HOME")
    java = Path(home, "bin", "java") if home else shutil.which("java")
    if java is None or not os.access(java, os.X_OK):
        raise NoArchive(f"there is no {java}" if java else "there is no Java: set JAVA_HOME, or put java on PATH")
    return Path(java).resolve()


def _spark_home() -> Path:
    return Path(spark_home())


def _conf_folder() -> Path:
    return Path(os.environ.get("SPARK_CONF_DIR") or _spark_home() / "conf")
