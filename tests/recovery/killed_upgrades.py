"""An upgrade that is killed at each of its steps goes on as if it had not been: the test, for any file system."""

from __future__ import annotations

import re
import signal
from itertools import count
from pathlib import Path

from tests.cluster.nodes import ROOT
from tests.cluster.standalone import SPARK_HOME
from tests.programs.program import SUBMIT, Program

__all__ = ["killed_at_each_step"]

PROGRAM = Path(__file__).with_name("upgrading.py")
STATE = re.compile(r"state (\d+) (\[.*\])")


def run(directory: str, version: str, step: int, options: list[str], cwd: Path) -> tuple[int, list[str]]:
    """Exit code of a version of the program, and what it has printed."""
    submit = [str(SPARK_HOME / "bin" / "spark-submit"), *SUBMIT.split(), "--conf", "spark.log.level=ERROR", *options]
    paced = ["--conf", "spark.streaming.dstreams.paced=false"]
    command = [*submit, *paced, str(PROGRAM), directory, version, str(step)]
    with Program(command, cwd, PYTHONPATH=f"{ROOT / 'src'}:{ROOT}") as program:
        return program.finish(240), program.lines


def killed_at_each_step(directory: str, version: str, options: list[str], cwd: Path) -> int:
    """Run the first version, then another that dies one step later each time, until it has got through.

    Parameters
    ----------
    directory : str
        Checkpoint directory.
    version : str
        What is upgraded to.
    options : list of str
        Further ones of ``spark-submit``.
    cwd : Path
        Working directory.

    Returns
    -------
    int
        How often it died.
    """
    code, lines = run(directory, "first", 0, options, cwd)
    assert code == 0 and lines[-1] == "ended", lines
    told = list(lines)
    for step in count(1):
        code, lines = run(directory, version, step, options, cwd)
        told += lines
        if code == 0:
            break
        assert code == -signal.SIGKILL or code == 128 + signal.SIGKILL, lines
    assert lines[-1] == "ended", lines
    states = dict(found.groups() for line in told if (found := STATE.fullmatch(line)))
    first = int(next(iter(states)))
    assert states == {str(first + n): str([("a", n + 1), ("b", n + 1)]) for n in range(len(states))}, told
    assert len(states) >= 4, told
    return step - 1
