"""Starts a program again and again, and kills it at moments that hurt."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from tests.programs.program import Program
from tests.recovery import counting
from tests.recovery.outputs import Logs, Outputs, last

__all__ = ["Killer"]

POLL_SECONDS = 0.002
INTERVAL = counting.INTERVAL_MS / 1000
ENDS = ("killed", "driver killed", "killed", "killed", "driver killed", "stopped")
"""How the program ends, one after the other. Killed is everything at once. Where only the driver is killed, the JVM
notices and ends by itself; the next start may be there before it has. A program that is stopped goes on as well."""


class Killer:
    """Runs the program of :mod:`tests.recovery.counting`, each time until a random moment.

    Parameters
    ----------
    directory : Path
        Where everything is; what each run has printed is kept there as ``run-<n>.txt``.
    arguments : list of str
        What the program reads.
    outputs : Outputs
        What the program writes.
    rng : Random
        Decides about the moments.
    launcher : sequence of str
        What starts a program; by default this interpreter, in local mode.
    checkpoint : Path, optional
        Checkpoint directory; by default a folder of `directory`.

    Attributes
    ----------
    logs : Logs
        Logs in the program's checkpoint directory.
    story : list of str
        What was done, for whoever has to find out what went wrong.
    found : Counter
        In what state the kills have left the logs.
    """

    def __init__(
        self,
        directory: Path,
        arguments: list[str],
        outputs: Outputs,
        rng: Random,
        launcher: Sequence[str] = (sys.executable,),
        checkpoint: Any = None,
    ) -> None:
        checkpoint = checkpoint or directory / "checkpoint"
        self.logs = Logs(checkpoint)
        self.outputs = outputs
        self.story: list[str] = []
        self.found: Counter[str] = Counter()
        self._directory = directory
        self._stop = directory / "stop"
        self._command = [*launcher, counting.__file__, str(checkpoint), str(outputs.path), str(self._stop)]
        self._command += arguments
        self._rng = rng
        self._runs: list[Program] = []
        self._started = 0.0
        self._start_seconds = 10.0
        self._moments: dict[str, Callable[[], None]] = {
            "while it starts": self._while_starting,
            "while it runs": self._while_running,
            "an output was written": self._after_an_output,
            "a batch was logged": lambda: self._after_a_file(self.logs.offsets),
            "the exchange has committed": lambda: self._after_a_file(self.logs.exchange_commits),
            "a batch was committed": lambda: self._after_a_file(self.logs.commits),
        }

    def __enter__(self) -> Killer:
        return self

    def __exit__(self, *_: object) -> None:
        for number, run in enumerate(self._runs):
            kill_session(run)
            run.__exit__()
            (self._directory / f"run-{number:02d}.txt").write_text("\n".join([*run.lines, "", *run.errors, ""]))

    # ------------------------------------------------------------------ kills

    def kill(self, times: int) -> None:
        """Start the program and end it, so many times."""
        for number, moment in zip(range(times), self._some(list(self._moments)), strict=False):
            how = ENDS[number % len(ENDS)]
            self._start()
            self._moments[moment]()
            if how == "killed":
                kill_session(self._run)
            elif how == "driver killed":
                kill_driver(self._run)
            else:
                self._stop_gracefully()
            self._note(f"{number}: {how}, {moment}")

    def disturb(self, times: int, disturbances: Sequence[Callable[[], None]]) -> None:
        """Start the program, and do things to what it runs on while it runs, so many times in all."""
        self._start()
        self._after_first_output()
        running = [moment for moment in self._moments if moment != "while it starts"]
        for number, moment in zip(range(times), self._some(running), strict=False):
            self._moments[moment]()
            disturbance = disturbances[number % len(disturbances)]
            disturbance()
            self._note(f"{number}: {disturbance.__name__}, {moment}")

    def finish(self, feed_all: Callable[[], None], done: Callable[[], bool]) -> Program:
        """Start the program, if it does not run, let it do all that is left, and end it gracefully."""
        if not self._runs or self._run.process.poll() is not None:
            self._start()
        feed_all()
        self._wait(done, "the last records")
        self._stop_gracefully()
        self._note("the end")
        return self._run

    def _some(self, moments: list[str]) -> Iterator[str]:
        """Moments without end, each as often as the others."""
        while True:
            yield from self._rng.sample(moments, len(moments))

    def _stop_gracefully(self) -> None:
        self._stop.touch()
        code = self._run.finish(240)
        self._stop.unlink()
        assert code == 0, f"the program ended with {code}\n{self._run.report()}"

    def ended(self, timeout: float = 240) -> int:
        """Wait until the program has ended by itself, and return its exit code."""
        return self._run.finish(timeout)

    def said(self) -> list[str]:
        """What it has printed for its user."""
        return self._run.errors

    def others_end(self) -> None:
        """See that what kills of drivers alone have left behind has ended by itself."""
        deadline = time.monotonic() + 60
        while left := {pid: command(pid) for run in self._runs for pid in processes(run.process.pid)}:
            assert time.monotonic() < deadline, f"these processes do not end without their driver: {left}"
            time.sleep(0.1)

    def _start(self) -> None:
        self._runs.append(Program(self._command, self._directory, PYSPARK_PYTHON=sys.executable))
        self._started = time.monotonic()
        self._lines_before = len(self.outputs.refresh())

    @property
    def _run(self) -> Program:
        return self._runs[-1]

    def _note(self, what: str) -> None:
        begun, done, inner_begun, inner_done = self.logs.look()
        found = "nothing pending" if begun == done else "batch pending"
        if inner_begun > inner_done:
            found += ", exchange pending"
        elif inner_done > done:
            found += ", exchange committed"
        self.found[found] += 1
        seconds = time.monotonic() - self._started
        self.story.append(f"{what}, after {seconds:.1f} s: {found} ({begun}/{done})")
        print(self.story[-1], flush=True)

    # ------------------------------------------------------------------ moments

    def _while_starting(self) -> None:
        time.sleep(self._rng.uniform(0, 1.2 * self._start_seconds))

    def _while_running(self) -> None:
        self._after_first_output()
        before = len(self._times())
        batches = self._rng.randint(0, 4)
        self._wait(lambda: len(self._times()) >= before + batches, f"{batches} batches")
        time.sleep(self._rng.uniform(0, INTERVAL))

    def _after_an_output(self) -> None:
        self._after_first_output()
        lines = len(self.outputs.lines) + self._rng.randint(0, 12)
        self._wait(lambda: len(self.outputs.refresh()) > lines, "outputs")
        self._hesitate()

    def _after_a_file(self, folder: Path) -> None:
        number = last(folder) + self._rng.randint(1, 3)
        self._wait(lambda: last(folder) >= number, f"batch {number} in {folder}")
        self._hesitate()

    def _after_first_output(self) -> None:
        self._wait(lambda: len(self.outputs.refresh()) > self._lines_before, "an output")
        self._start_seconds = time.monotonic() - self._started

    def _times(self) -> set[int]:
        return {line.time_ms for line in self.outputs.refresh()[self._lines_before :]}

    def _hesitate(self) -> None:
        """Wait for a moment in half of the cases: what follows the event takes some milliseconds."""
        if self._rng.random() < 0.5:
            time.sleep(self._rng.uniform(0, 0.05))

    def _wait(self, condition: Callable[[], bool], what: str, timeout: float = 240) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert self._run.process.poll() is None, f"the program ended before {what}\n{self._run.report()}"
            assert time.monotonic() < deadline, f"no {what} within {timeout} s\n{self._run.report()}"
            time.sleep(POLL_SECONDS)


# ---------------------------------------------------------------------- processes


def kill_driver(run: Program) -> None:
    """Kill the Python process of a program."""
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait(30)


def kill_session(run: Program) -> None:
    """Kill driver, JVM and workers at once; the latter have process groups of their own."""
    left = [run.process.pid, *processes(run.process.pid)]
    while left:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        left = processes(run.process.pid)
    run.process.wait(30)


def processes(session: int) -> list[int]:
    """Processes of a session that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of) == session and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def command(pid: int) -> str:
    """Command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")[:200]
    except (FileNotFoundError, ProcessLookupError):
        return ""
