"""Run a program in a process of its own and read what it prints, as its user would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyspark

from tests.java import quick_start

EXAMPLES = Path(pyspark.__file__).parent / "examples" / "src" / "main" / "python" / "streaming"
SUBMIT = (
    "--master local[2] --conf spark.ui.enabled=false --conf spark.ui.showConsoleProgress=false "
    "--conf spark.driver.host=127.0.0.1 --conf spark.driver.bindAddress=127.0.0.1 "
)
RUNNERS = {"dstreams": ["-m", "dstreams"], "pyspark.streaming": []}


class Program:
    """A running program; a context manager that ends it.

    Parameters
    ----------
    command : sequence of str
        The command line.
    cwd : Path
        Working directory.
    """

    def __init__(self, command: Sequence[str], cwd: Path, **environment: str) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | quick_start() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._readers = [
            threading.Thread(target=self._read, args=args, daemon=True)
            for args in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream, into: list[str]) -> None:
        for line in stream:
            with self._changed:
                into.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], what: str, timeout: float = 240) -> None:
        """Wait until the condition holds; fail with the program's output if it ends before or takes too long."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                assert left > 0, f"no {what} within {timeout} s\n{self.report()}"
                ended = self.process.poll() is not None and not any(reader.is_alive() for reader in self._readers)
                assert not ended, f"the program ended before {what}\n{self.report()}"
                self._changed.wait(min(left, 1))

    def interrupt(self, number: int = signal.SIGINT, timeout: float = 90) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.finish(timeout)

    def finish(self, timeout: float = 120) -> int:
        """Wait for the end and return the exit code."""
        code = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(10)
        return code

    def report(self) -> str:
        """What the program printed."""
        return "\n".join(["-- stdout", *self.lines[-60:], "-- stderr", *self.errors[-60:]])

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
        for reader in self._readers:
            reader.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()


def run(engine: str, program: Path, *arguments: str, cwd: Path) -> Program:
    """Start a program on one of the two engines: with ``python -m dstreams``, or plainly."""
    command = [sys.executable, *RUNNERS[engine], str(program), *arguments]
    return Program(command, cwd, PYSPARK_SUBMIT_ARGS=SUBMIT + "pyspark-shell", PYSPARK_PYTHON=sys.executable)
