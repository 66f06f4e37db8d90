"""The archive of Spark's classes: its name, when it is used and when not, how it is made. With stand-ins for Java."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark import SparkConf, SparkContext
from pyspark.core import context as spark_context

from dstreams import StreamingContext
from dstreams._run import class_archive, warm_up
from dstreams._run.before_spark import start_jvm
from dstreams._run.class_archive import (
    NoArchive,
    archive_path,
    can_be_made,
    failure_of,
    jvm_options,
    put_in_place,
    usable,
    used,
)
from dstreams._run.warm_up import command, make
from dstreams._spark.gateway import around_launch
from dstreams.testing.quick_start import QuickStart

RELEASE = 'IMPLEMENTOR="Somebody"\nJAVA_VERSION="21.0.4"\n'
OPTIONS = "SPARK_SUBMIT_OPTS"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a Java, a Spark and a cache, in an environment that says nothing of JVMs; no JVM runs."""
    for name in (*class_archive._ENVIRONMENT, class_archive.SWITCH, "SPARK_CONF_DIR", "PYSPARK_GATEWAY_PORT", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JAVA_HOME", str(java_home(tmp_path / "jdk")))
    (tmp_path / "spark" / "jars").mkdir(parents=True)
    monkeypatch.setenv("SPARK_HOME", str(tmp_path / "spark"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    with pytest.MonkeyPatch.context() as patch:  # undone before conftest looks whether a JVM was started
        patch.setattr(SparkContext, "_gateway", None)
        yield tmp_path


def java_home(folder: Path, release: str = RELEASE) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").touch(0o755)
    (folder / "release").write_text(release)
    return folder


def conf_of(**settings: str) -> SparkConf:
    conf = SparkConf(loadDefaults=False)
    for key, value in settings.items():
        conf.set(key.replace("__", "."), value)
    return conf


def there() -> Path:
    """An archive, as far as anybody looks at it."""
    archive = archive_path()
    made = archive.parent / "made" / archive.name
    made.parent.mkdir(parents=True)
    made.write_text("classes")
    put_in_place(made, archive)
    made.parent.rmdir()
    return archive


def files(folder: Path) -> list[str]:
    return sorted(path.suffix or path.name for path in folder.iterdir())


# ---------------------------------------------------------------------- where it is


def test_its_name(place: Path) -> None:
    archive = archive_path()
    assert archive.parent == place / "a cache" / "dstreams"
    assert re.fullmatch(r"spark-\d+\.\d+\.\d+\S*-java-21\.0\.4-[0-9a-f]{8}\.jsa", archive.name)
    assert archive_path() == archive


def test_another_java_or_spark_has_another(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [archive_path()]
    monkeypatch.setenv("JAVA_HOME", str(java_home(place / "elsewhere")))
    found.append(archive_path())
    monkeypatch.setenv("JAVA_HOME", str(java_home(place / "rebuilt", RELEASE + 'SOURCE="fixed"\n')))
    found.append(archive_path())
    monkeypatch.setenv("SPARK_HOME", str(place / "spark-2"))
    found.append(archive_path())
    monkeypatch.setenv("SPARK_CONF_DIR", str(place / "empty"))  # it is on the class path
    found.append(archive_path())
    assert len(set(found)) == 5


def test_java_is_the_one_that_spark_takes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAVA_HOME, or else what PATH has, whatever links lead there."""
    of_home = archive_path()
    (place / "bin").mkdir()
    (place / "bin" / "java").symlink_to(place / "jdk" / "bin" / "java")
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(place / "bin"))
    assert archive_path() == of_home
    monkeypatch.setenv("PATH", str(place))
    with pytest.raises(NoArchive, match="set JAVA_HOME, or put java on PATH"):
        archive_path()
    monkeypatch.setenv("JAVA_HOME", str(place / "nothing"))
    with pytest.raises(NoArchive, match=r"there is no .*nothing/bin/java"):
        archive_path()
    assert jvm_options() == ""


def test_a_java_that_does_not_say_what_it_is(place: Path) -> None:
    (place / "jdk" / "release").unlink()
    assert "-java-unknown-" in archive_path().name


def test_java_archives_no_class_path_with_files_in_a_folder(place: Path) -> None:
    (place / "spark" / "conf").mkdir()
    archive_path()
    (place / "spark" / "conf" / "log4j2.properties").touch()
    with pytest.raises(NoArchive, match=r"as long as there are files in .*/spark/conf"):
        archive_path()


def test_the_cache_is_that_of_the_user(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert archive_path().parent == place / "home" / ".cache" / "dstreams"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the specification says to ignore
    assert archive_path().parent == place / "home" / ".cache" / "dstreams"


# ---------------------------------------------------------------------- when it is used


def test_options(place: Path) -> None:
    assert jvm_options() == ""
    archive = there()
    assert shlex.split(jvm_options()) == [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds*=off"]
    assert "'" in jvm_options(), "the folder has a space in its name"


def test_jars_that_came_later_make_it_unusable(place: Path) -> None:
    archive = there()
    assert usable(archive) and not can_be_made(archive)
    changed = archive.stat().st_mtime + 10
    os.utime(place / "spark" / "jars", (changed, changed))
    assert jvm_options() == "" and can_be_made(archive)


def test_one_that_was_cut_short_is_none() -> None:
    archive = there()
    archive.write_text("class")
    assert not usable(archive) and jvm_options() == "" and can_be_made(archive)
    archive.with_suffix(".size").write_text("")
    assert not usable(archive)


def test_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    there()
    monkeypatch.setenv("DSTREAMS_CLASS_ARCHIVE", "off")
    assert jvm_options() == ""
    with pytest.raises(NoArchive, match="DSTREAMS_CLASS_ARCHIVE is off"):
        archive_path()


@pytest.mark.parametrize(
    "option",
    [
        "-XX:SharedArchiveFile=/a",
        "-XX:ArchiveClassesAtExit=/a",
        "-Xshare:off",
        "-XX:-UseSharedSpaces",
        "-XX:AOTCache=/a",
    ],
)
@pytest.mark.parametrize("name", class_archive._ENVIRONMENT)
def test_options_of_the_user_in_the_environment(name: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there()
    monkeypatch.setenv(name, f"-Dx=y {option}")
    assert jvm_options() == ""
    with pytest.raises(NoArchive, match="as they are set, have -X"):
        archive_path()


@pytest.mark.parametrize("key", class_archive._SETTINGS)
def test_options_of_the_user_in_the_settings(key: str, place: Path) -> None:
    there()
    assert jvm_options(conf_of(**{key: "-Xss4m -Dshare=SharedArchiveFile"})) != ""
    assert jvm_options(conf_of(**{key: "-Xss4m -Xshare:off"})) == ""
    defaults = place / "spark" / "conf" / "spark-defaults.conf"
    defaults.parent.mkdir()
    defaults.write_text("# spark.driver.extraJavaOptions -Xint\nspark.executor.extraJavaOptions -Xint\n")
    assert jvm_options(quick=True) != ""
    defaults.write_text(f"spark.master local\n  {key}  -Xint\n")
    assert jvm_options(quick=True) == ""


def test_quick_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jvm_options(quick=True) == "-XX:TieredStopAtLevel=1"
    there()
    assert shlex.split(jvm_options(quick=True))[1:] == ["-Xlog:cds*=off", "-XX:TieredStopAtLevel=1"]
    monkeypatch.setenv("DSTREAMS_CLASS_ARCHIVE", "off")
    for option in ("-XX:TieredStopAtLevel=4", "-XX:-TieredCompilation", "-Xint", "-XX:CompileThreshold=9"):
        assert jvm_options(conf_of(spark__driver__extraJavaOptions=option), quick=True) == ""
    monkeypatch.setenv(OPTIONS, "-Xcomp")
    assert jvm_options(quick=True) == ""


@pytest.mark.parametrize("before", [None, "", "-Dx=y"])
def test_the_environment_is_restored(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = there()
    if before is not None:
        monkeypatch.setenv(OPTIONS, before)
    with pytest.raises(LookupError), used():
        inside = os.environ[OPTIONS]
        assert inside.startswith(before or "") and f"SharedArchiveFile={archive}" in inside
        with used():  # as where a program of `python -m dstreams` makes a context from a conf
            assert os.environ[OPTIONS] == inside
        raise LookupError
    assert os.environ.get(OPTIONS) == before


def test_a_jvm_that_runs_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    there()
    with monkeypatch.context() as patch:
        patch.setenv("PYSPARK_GATEWAY_PORT", "1")
        with used(quick=True):
            assert OPTIONS not in os.environ
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SparkContext, "_gateway", object())
        with used(quick=True):
            assert OPTIONS not in os.environ


# ---------------------------------------------------------------------- who uses it


class Started(Exception):
    """Raised in the place of a start."""


def start(*_: Any, **__: Any) -> Any:
    raise Started(os.environ.get(OPTIONS))


def test_a_context_of_a_conf(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = there()
    monkeypatch.setattr("dstreams.context.SparkContext", start)
    with pytest.raises(Started, match=re.escape(str(archive))):
        StreamingContext(conf_of(), 1)
    with pytest.raises(Started, match="None"):
        StreamingContext(conf_of(spark__driver__extraJavaOptions="-Xshare:auto"), 1)
    assert OPTIONS not in os.environ


def test_a_context_of_a_checkpoint_directory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = there()
    monkeypatch.setattr(SparkContext, "_ensure_initialized", start)
    (place / "checkpoint").mkdir()
    (place / "checkpoint" / "something").touch()
    for path in (f"file:{place}/checkpoint", "hdfs://server/checkpoint"):
        with pytest.raises(Started, match=re.escape(str(archive))):
            start_jvm(path)


def test_all_starts_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = there()
    monkeypatch.setattr(spark_context, "launch_gateway", start)
    undo = around_launch(used)
    with pytest.raises(Started, match=re.escape(str(archive))):
        spark_context.launch_gateway(conf_of())
    undo()
    with pytest.raises(Started, match="None"):
        spark_context.launch_gateway(conf_of())


def test_a_program_under_the_launcher(place: Path) -> None:
    program = place / "app.py"
    program.write_text(
        "import pyspark.java_gateway, os, pyspark.core.context as context\n"
        "print(os.environ.get('SPARK_SUBMIT_OPTS'))\n"
        "os.environ['SPARK_HOME'] += '/nothing'\n"
        "try:\n    context.launch_gateway()\nexcept OSError as error:\n    print(error)\n"
    )
    done = python("-m", "dstreams", str(program))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "None", "only around a start"
    assert "spark/nothing/" in done.stdout


def python(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=300, cwd=cwd, check=False
    )


# ---------------------------------------------------------------------- how it is made

PROGRAM = """
import os, shlex, sys, time
(option,) = [option for option in shlex.split(os.environ["SPARK_SUBMIT_OPTS"]) if "ArchiveClasses" in option]
how = os.environ.get("STAND_IN", "")
if how == "sleeps":
    time.sleep(1000)
if how != "nothing":
    open(option.partition("=")[2], "w").write("classes")
if how in ("fails", "nothing"):
    print("[0.1s][error  ][cds] Error: non-empty directory\\n[0.2s][warning][cds] Hm\\nmore")
    sys.exit(how == "fails")
if how == "raises":
    print("Traceback\\nLookupError: of the program")
    sys.exit(1)
"""


@pytest.fixture
def stand_in(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of the program a small one that writes the file that Java would write."""
    (place / "modules").mkdir()
    (place / "modules" / "stand_in.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(place / "modules"))
    monkeypatch.setattr(warm_up, "_PROGRAM", "stand_in")


@pytest.mark.usefixtures("stand_in")
def test_it_appears_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archive_path()
    assert can_be_made(archive)
    make(archive)
    assert archive.read_text() == "classes" and usable(archive)
    assert files(archive.parent) == [".jsa", ".size"]
    monkeypatch.setenv("STAND_IN", "fails")
    with pytest.raises(NoArchive, match=r"^Error: non-empty directory$"):
        make(archive)
    assert usable(archive), "that of before"


@pytest.mark.usefixtures("stand_in")
def test_what_has_failed_is_not_tried_again_unasked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archive_path()
    for how, reason in (("nothing", "Error: non-empty directory"), ("raises", "LookupError: of the program")):
        monkeypatch.setenv("STAND_IN", how)
        with pytest.raises(NoArchive, match=f"^{reason}$"):
            make(archive)
        assert files(archive.parent) == [".failed"]
        assert failure_of(archive).read_text() == f"{reason}\n" and not can_be_made(archive)
    monkeypatch.delenv("STAND_IN")
    make(archive)
    assert files(archive.parent) == [".jsa", ".size"]


@pytest.mark.usefixtures("stand_in")
def test_a_program_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "sleeps")
    monkeypatch.setattr(warm_up, "_TIMEOUT", 0.1)
    with pytest.raises(NoArchive, match="not ended after"):
        make(archive_path())


@pytest.mark.usefixtures("stand_in")
def test_two_makers_at_once() -> None:
    archive = archive_path()
    errors: list[BaseException] = []

    def make_one() -> None:
        try:
            make(archive)
        except BaseException as error:
            errors.append(error)

    makers = [threading.Thread(target=make_one) for _ in range(2)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert errors == [] and files(archive.parent) == [".jsa", ".size"]


@pytest.mark.usefixtures("stand_in")
def test_what_killed_makers_leave(place: Path) -> None:
    archive = archive_path()
    old, young = (archive.parent / f"making-{name}" for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / archive.name).touch()
    os.utime(old, (0, 0))
    assert not usable(archive) and can_be_made(archive)
    make(archive)
    assert files(archive.parent) == [".jsa", ".size", "making-young"]


def test_a_cache_that_cannot_be_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "a cache").touch()
    with pytest.raises(NoArchive, match="a cache"):
        make(archive_path())
    assert jvm_options() == ""
    archive = archive_path()
    assert can_be_made(archive)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    assert not can_be_made(archive)


# ---------------------------------------------------------------------- the command


@pytest.mark.usefixtures("stand_in")
def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert command([]) == 0
    said = capsys.readouterr()
    assert said.err == "" and re.search(rf"Made {re.escape(str(archive_path()))} \(0 MiB\) in \d+ s", said.out)
    monkeypatch.setenv("STAND_IN", "nothing")
    assert command([]) == 2
    assert capsys.readouterr().err == "dstreams: warm-up: no archive can be made: Error: non-empty directory\n"
    monkeypatch.setenv("DSTREAMS_CLASS_ARCHIVE", "OFF")
    assert command([]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "DSTREAMS_CLASS_ARCHIVE is off" in said.err


def test_the_command_line(place: Path) -> None:
    done = python("-m", "dstreams", "warm-up", "--help", cwd=place)
    assert (done.returncode, done.stdout.strip()) == (0, warm_up.USAGE)
    done = python("-m", "dstreams", "warm-up", "now", cwd=place)
    assert (done.returncode, done.stderr) == (2, "dstreams: warm-up: takes no arguments (got now)\n")
    (place / "warm-up").write_text("import sys\nprint('a program', sys.argv[1:])\n")
    done = python("-m", "dstreams", "warm-up", "--help", cwd=place)
    assert (done.returncode, done.stdout) == (0, "a program ['--help']\n")


# ---------------------------------------------------------------------- pytest


class Session:
    """What the plugin meets in a session of pytest."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **config: Any) -> None:
        self.said: list[str] = []
        self.made: list[Path] = []
        self.given: list[str | None] = []
        monkeypatch.setattr("dstreams.testing.quick_start.make", self.made.append)
        monkeypatch.setattr(spark_context, "launch_gateway", lambda *_: self.given.append(os.environ.get(OPTIONS)))
        terminal = SimpleNamespace(write_line=self.said.append)
        manager = SimpleNamespace(get_plugin=lambda name: terminal)
        self.config = SimpleNamespace(pluginmanager=manager, **config)
        self.plugin = QuickStart(self.config)  # type: ignore[arg-type]

    def start_spark(self, conf: SparkConf | None = None) -> None:
        spark_context.launch_gateway(conf)

    def finish(self, code: pytest.ExitCode = pytest.ExitCode.OK) -> list[str]:
        finishing = self.plugin.pytest_sessionfinish(code)
        next(finishing)
        assert self.said == [], "others report first"
        assert next(finishing, None) is None
        self.plugin.end()
        return self.said


def test_a_session_makes_what_it_has_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(monkeypatch)
    session.start_spark()
    assert session.given == ["-XX:TieredStopAtLevel=1"]
    told = session.finish(pytest.ExitCode.TESTS_FAILED)
    assert session.made == [archive_path()]
    assert "DSTREAMS_CLASS_ARCHIVE=off in the environment switches it off" in told[0]
    assert f"made {archive_path()} in" in told[1]


def test_a_session_that_has_one_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = there()
    session = Session(monkeypatch)
    session.start_spark()
    assert f"SharedArchiveFile={archive}" in str(session.given) and "TieredStopAtLevel" in str(session.given)
    assert session.finish() == [] and session.made == []
    assert OPTIONS not in os.environ


@pytest.mark.parametrize("why", ["no Spark", "interrupted", "CI", "off", "failed before", "options of the user"])
def test_sessions_that_make_none(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(monkeypatch)
    if why == "failed before":
        there().rename(failure_of(archive_path()))
    if why in ("CI", "off"):
        monkeypatch.setenv(*{"CI": ("CI", "true"), "off": ("DSTREAMS_CLASS_ARCHIVE", "off")}[why])
    if why != "no Spark":
        option = "-Xshare:on" if why == "options of the user" else ""
        session.start_spark(conf_of(spark__driver__extraJavaOptions=option))
    assert session.finish(pytest.ExitCode.INTERRUPTED if why == "interrupted" else pytest.ExitCode.OK) == []
    assert session.made == []


def test_under_xdist_the_controller_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Session(monkeypatch, workeroutput={})
    worker.start_spark()
    assert worker.finish() == [] and worker.made == []
    idle = Session(monkeypatch, workeroutput={})
    idle.finish()
    controller = Session(monkeypatch)
    for node in (worker.config, idle.config, object()):  # the last one has crashed
        controller.plugin.pytest_testnodedown(node)
    controller.finish()
    assert controller.made == [archive_path()]


@pytest.mark.parametrize(
    ("reason", "told"), [(NoArchive("the disk is full"), "the disk is full"), (KeyboardInterrupt(), "interrupted")]
)
def test_a_session_survives_that_there_is_none(
    reason: BaseException, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise reason

    session = Session(monkeypatch)
    monkeypatch.setattr("dstreams.testing.quick_start.make", fail)
    session.start_spark()
    assert session.finish()[1].startswith(f"dstreams: there is none: {told} (`python -m dstreams warm-up`")


def test_a_session_of_pytest(place: Path) -> None:
    """The plugin is there without being asked for, and has the last word."""
    (place / "conftest.py").write_text(
        "import os\nimport dstreams.testing.quick_start as quick_start\nfrom pyspark.core import context\n"
        "context.launch_gateway = lambda *_: print('started with', os.environ['SPARK_SUBMIT_OPTS'])\n"
        "quick_start.make = lambda archive: print('making', archive)\n"
    )
    (place / "test_it.py").write_text(
        "from pyspark.core import context\n\ndef test_it():\n    context.launch_gateway()\n"
    )
    done = python("-m", "pytest", "-s", "-p", "no:cacheprovider", str(place), cwd=place)
    assert done.returncode == 0 and "started with -XX:TieredStopAtLevel=1" in done.stdout, done.stdout
    _, passed, after = done.stdout.partition("1 passed in")
    assert passed and f"making {archive_path()}" in after and "dstreams: made" in after, done.stdout
