"""`pyspark.streaming` as another name of this package; each case in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dstreams
from dstreams.__main__ import USAGE


def python(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, cwd=cwd, check=False
    )


def run_code(code: str) -> None:
    done = python("-W", "error::FutureWarning", "-c", code)
    assert done.returncode == 0, done.stderr


def test_every_way_to_import_gives_this_package() -> None:
    run_code(
        """
import dstreams, dstreams.compat
dstreams.compat.activate()
import pyspark
import pyspark.streaming
import pyspark.streaming as s
from pyspark import streaming
from pyspark.streaming import StreamingContext, DStream, StreamingListener
from pyspark.streaming.context import StreamingContext as C
from pyspark.streaming.dstream import DStream as D, TransformedDStream
from pyspark.streaming.listener import StreamingListener as L
from pyspark.streaming.util import rddToFileName
from pyspark.streaming.kinesis import KinesisUtils, InitialPositionInStream
from pyspark.streaming.kafka import KafkaUtils, TopicAndPartition, OffsetRange
from pyspark.streaming.flume import FlumeUtils
import pyspark.streaming.util as u
import pyspark.streaming.dstream
import importlib
assert s is streaming is pyspark.streaming is dstreams
assert importlib.import_module("pyspark.streaming") is dstreams
assert StreamingContext is C is dstreams.StreamingContext
assert DStream is D is dstreams.DStream
assert StreamingListener is L is dstreams.StreamingListener
assert u.rddToFileName is rddToFileName and rddToFileName("a", None, 1) == "a-1"
assert issubclass(TransformedDStream, DStream)
assert pyspark.streaming.dstream is dstreams.dstream
assert KinesisUtils.__module__ == "dstreams.kinesis.streams"
assert KafkaUtils.__module__ == "dstreams.kafka.streams"
try:
    import pyspark.streaming.mqtt
except ModuleNotFoundError as error:
    assert "examples/mqtt_receiver.py" in str(error)
else:
    raise AssertionError("there is no MQTT in the package")
try:
    FlumeUtils.createPollingStream(None, [("localhost", 1)])
except NotImplementedError as error:
    assert "KafkaSink" in str(error)
"""
    )


@pytest.mark.old_engine
def test_activating_twice_and_taking_it_back() -> None:
    run_code(
        """
import sys
from dstreams import compat
import pyspark
before = {name: module for name, module in sys.modules.items() if name.startswith("pyspark.streaming")}
had = pyspark.__dict__.get("streaming")
compat.deactivate()
compat.activate()
compat.activate()
import dstreams, pyspark.streaming
assert pyspark.streaming is dstreams
compat.deactivate()
assert {name: module for name, module in sys.modules.items() if name.startswith("pyspark.streaming")} == before
assert pyspark.__dict__.get("streaming") is had
compat.deactivate()
from pyspark.streaming import StreamingContext
assert StreamingContext is not dstreams.StreamingContext
assert StreamingContext.__module__ == "pyspark.streaming.context"
compat.activate()
from pyspark.streaming import StreamingContext
assert StreamingContext is dstreams.StreamingContext
"""
    )


@pytest.mark.old_engine
def test_what_was_imported_before_is_restored() -> None:
    run_code(
        """
import pyspark.streaming
import pyspark.streaming.util
theirs, util = pyspark.streaming, pyspark.streaming.util
from dstreams import compat
import dstreams
compat.activate()
assert pyspark.streaming is dstreams
from pyspark.streaming.util import rddToFileName
assert rddToFileName is dstreams.util.rddToFileName
compat.deactivate()
import sys
assert pyspark.streaming is theirs and sys.modules["pyspark.streaming"] is theirs
assert pyspark.streaming.util is util and sys.modules["pyspark.streaming.util"] is util
"""
    )


@pytest.mark.old_engine
def test_importing_the_package_changes_nothing_by_itself() -> None:
    run_code(
        """
import sys
import dstreams
import pyspark.streaming
assert pyspark.streaming is not dstreams
assert pyspark.streaming.StreamingContext is not dstreams.StreamingContext
from pyspark import SparkContext
assert SparkContext._gateway is None
"""
    )


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "helper_module.py").write_text("NAME = 'helper'\n")
    path = tmp_path / "app.py"
    path.write_text(
        "import sys, os\n"
        "import helper_module\n"
        "import dstreams\n"
        "from pyspark.streaming import StreamingContext\n"
        "if __name__ == '__main__':\n"
        "    print(StreamingContext is dstreams.StreamingContext, helper_module.NAME, sys.argv[1:])\n"
        "    print(sys.argv[0] == __file__, os.environ['PYSPARK_PYTHON'] == sys.executable)\n"
        "    if sys.argv[1:] == ['exit']:\n"
        "        sys.exit(7)\n"
        "    if sys.argv[1:] == ['raise']:\n"
        "        raise LookupError('of the program')\n"
    )
    return path


def test_a_program_runs_with_its_arguments(program: Path) -> None:
    done = python("-m", "dstreams", str(program), "a", "--help", "b c")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["True helper ['a', '--help', 'b c']", "True True"]


def test_the_same_started_as_a_file(program: Path) -> None:
    main = Path(dstreams.__path__[0]) / "__main__.py"
    done = python(str(main), str(program), "x", cwd=program.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["True helper ['x']", "True True"]


def test_exit_codes_of_the_program(program: Path) -> None:
    assert python("-m", "dstreams", str(program), "exit").returncode == 7
    failed = python("-m", "dstreams", str(program), "raise")
    assert failed.returncode == 1
    assert failed.stderr.rstrip().endswith("LookupError: of the program")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option: str) -> None:
    done = python("-m", "dstreams", option)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, USAGE, "")
    assert done.stdout.startswith("usage: python -m dstreams [--conf NAME=VALUE ...] PROGRAM.py")


def test_usage_without_arguments() -> None:
    done = python("-m", "dstreams")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == USAGE


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    done = python("-m", "dstreams", str(tmp_path / "nothing.py"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == f"dstreams: no such program: {tmp_path / 'nothing.py'}"


def test_settings_come_before_the_program(tmp_path: Path) -> None:
    program = tmp_path / "app.py"
    program.write_text("import os, sys; print(os.environ['PYSPARK_SUBMIT_ARGS']); print(sys.argv[1:])")
    setting = ["--conf", "spark.x=a b", "--conf", "spark.y=1"]
    done = python("-m", "dstreams", *setting, str(program), "--conf", "z")
    assert done.stdout.splitlines() == ["--conf 'spark.x=a b' --conf spark.y=1 pyspark-shell", "['--conf', 'z']"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--conf"], "--conf needs NAME=VALUE, and a program"),
        (["--conf", "spark.x=1"], "--conf needs NAME=VALUE, and a program"),
        (["--conf", "spark.x", "app.py"], "--conf needs NAME=VALUE with a name that begins with spark., got spark.x"),
        (["--conf", "x=1", "app.py"], "--conf needs NAME=VALUE with a name that begins with spark., got x=1"),
    ],
)
def test_wrong_settings(arguments: list[str], said: str) -> None:
    done = python("-m", "dstreams", *arguments)
    assert (done.returncode, done.stderr) == (2, f"dstreams: {said}\n")
