"""SIGTERM and SIGINT to programs of their own: what is finished, what runs afterwards, and the exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

import dstreams
from tests.programs.program import SUBMIT, Program

pytestmark = pytest.mark.engine

# Notes the beginning and the end of each batch. Arguments: the file for the notes, seconds that a batch takes, and
# which thread of the program does what.
PROGRAM = """
import os
import signal
import sys
import time

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

notes, seconds, main = sys.argv[1:]

def note(line):
    with open(notes, "a") as file:
        print(line, file=file)
    print(line, flush=True)

def batch(when, rdd):
    note("begin")
    time.sleep(float(seconds))
    note("end")

def own(number, frame):
    note("own handler")
    ssc.stop()
    sys.exit(7)

sc = SparkContext(appName="signals")
ssc = StreamingContext(sc, 1)
ssc.checkpoint("checkpoint")
ssc.textFileStream("input").foreachRDD(batch)
if main == "own handler":
    signal.signal(signal.SIGTERM, own)
note(f"pid {os.getpid()}")
ssc.start()
if main == "awaits":
    ssc.awaitTermination()
else:
    while True:
        time.sleep(3600)
note(f"after, with {'a' if sc._jsc else 'no'} SparkContext")
"""
GRACEFUL = "--conf spark.streaming.stopGracefullyOnShutdown=true "
SPARK_SUBMIT = Path(pyspark.__file__).parent / "bin" / "spark-submit"
LAUNCHER = Path(dstreams.__file__).parent / "__main__.py"


class Signalled:
    """The program above, to be used in a ``with``."""

    def __init__(self, cwd: Path, *, graceful: bool, main: str = "awaits", seconds: float = 0.3, submit: bool = False):
        self._notes = cwd / "notes"
        self._notes.touch()
        (cwd / "input").mkdir()
        (cwd / "app.py").write_text(PROGRAM)
        options = SUBMIT + GRACEFUL * graceful
        arguments = [str(cwd / "app.py"), str(self._notes), str(seconds), main]
        if submit:
            command = [str(SPARK_SUBMIT), *options.split(), str(LAUNCHER), *arguments]
            self.run = Program(command, cwd, PYSPARK_PYTHON=sys.executable)
        else:
            command = [sys.executable, "-m", "dstreams", *arguments]
            self.run = Program(
                command, cwd, PYSPARK_SUBMIT_ARGS=options + "pyspark-shell", PYSPARK_PYTHON=sys.executable
            )

    def __enter__(self) -> Signalled:
        self.run.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.run.__exit__(*error)

    @property
    def notes(self) -> list[str]:
        return self._notes.read_text().splitlines()

    @property
    def batches(self) -> list[str]:
        return [line for line in self.notes if line in ("begin", "end")]

    def wait_for_batch(self, after: int = 2) -> None:
        """Wait until some batches have ended and the next one runs."""
        self.run.wait_for(
            lambda: self.batches.count("end") >= after and self.batches[-1:] == ["begin"], "running batch"
        )

    def assert_finished(self) -> None:
        """No batch was cut off, and each is committed."""
        batches = self.batches
        assert batches == ["begin", "end"] * (len(batches) // 2), self.run.report()
        directory = self._notes.parent / "checkpoint"
        commits = [int(file.name) for file in directory.rglob("commits/*") if file.name.isdigit()]
        assert max(commits) + 1 == batches.count("end"), self.run.report()

    def assert_quiet(self) -> None:
        printed = [*self.run.errors, *self.run.lines]  # spark-submit puts the program's stderr into its own stdout
        noise = [line for line in printed if "\tat " in line or "Traceback" in line or " ERROR " in line]
        assert not noise, self.run.report()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)], ids=lambda number: number.name
)
def test_graceful(tmp_path, number):
    with Signalled(tmp_path, graceful=True) as program:
        program.wait_for_batch()
        assert program.run.interrupt(number, 240) == 0, program.run.report()
        program.assert_finished()
        assert program.notes[-1] == "after, with no SparkContext", program.run.report()
        program.assert_quiet()


@pytest.mark.slow
def test_graceful_where_the_program_does_not_wait(tmp_path):
    with Signalled(tmp_path, graceful=True, main="sleeps") as program:
        program.wait_for_batch()
        assert program.run.interrupt(signal.SIGTERM, 240) == 0, program.run.report()
        program.assert_finished()
        program.assert_quiet()


@pytest.mark.slow
def test_second_signal_stops_at_once(tmp_path):
    """A batch of ten minutes: what is asked for once waits for it, what is asked for again does not."""
    with Signalled(tmp_path, graceful=True, seconds=600) as program:
        program.wait_for_batch(after=0)
        for _ in range(240):
            program.run.process.send_signal(signal.SIGTERM)
            try:
                program.run.process.wait(1)
                break
            except subprocess.TimeoutExpired:
                pass
        assert program.run.finish() == -signal.SIGTERM, program.run.report()
        assert program.notes[-1] == "begin", program.run.report()
        program.assert_quiet()


@pytest.mark.slow
@pytest.mark.parametrize("main", ["awaits", "sleeps"])
def test_not_graceful(tmp_path, main):
    with Signalled(tmp_path, graceful=False, main=main) as program:
        program.wait_for_batch()
        assert program.run.interrupt(signal.SIGTERM, 240) == -signal.SIGTERM, program.run.report()
        assert not program.notes[-1].startswith("after"), program.run.report()
        program.assert_quiet()


@pytest.mark.slow
def test_handler_of_the_program_stays(tmp_path):
    with Signalled(tmp_path, graceful=True, main="own handler") as program:
        program.wait_for_batch()
        assert program.run.interrupt(signal.SIGTERM, 240) == 7, program.run.report()
        assert "own handler" in program.notes, program.run.report()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("graceful", "main"),
    [
        (True, "awaits"),
        (True, "sleeps"),
        (False, "sleeps"),
    ],
)
def test_the_jvm_is_terminated_under_spark_submit(tmp_path, graceful, main):
    """The JVM, which is the parent, waits for the program; its exit code is what Java makes of the signal."""
    with Signalled(tmp_path, graceful=graceful, main=main, submit=True) as program:
        program.wait_for_batch()
        assert program.run.interrupt(signal.SIGTERM, 240) == 128 + signal.SIGTERM, program.run.report()
        if graceful:
            program.assert_finished()
        if main == "awaits":
            assert program.notes[-1] == "after, with no SparkContext", program.run.report()
            assert program.notes[-1] in program.run.lines, program.run.report()
        (python,) = (int(line.split()[1]) for line in program.notes if line.startswith("pid"))
        with pytest.raises(ProcessLookupError):
            os.kill(python, 0)
        program.assert_quiet()


@pytest.mark.slow
def test_a_signal_to_the_whole_group_is_one(tmp_path):
    """The program and the JVM, which hands its own over, both get it."""
    with Signalled(tmp_path, graceful=True, submit=True) as program:
        program.wait_for_batch()
        os.killpg(program.run.process.pid, signal.SIGTERM)
        assert program.run.finish(240) == 128 + signal.SIGTERM, program.run.report()
        program.assert_finished()
        assert program.notes[-1] == "after, with no SparkContext", program.run.report()
        program.assert_quiet()
