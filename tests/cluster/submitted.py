"""The word count of the tests, as it is submitted, and what it must print.

``spark-submit`` makes one of the two outputs of a program: its errors come on standard output, Spark's own lines on the
other.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.cluster.nodes import ROOT
from tests.cluster.standalone import Cluster
from tests.programs.program import Program

__all__ = ["LAUNCHER", "WORDCOUNT", "arguments", "counted", "expected", "fast"]

WORDCOUNT = Path(__file__).with_name("wordcount.py")
LAUNCHER = str(ROOT / "src" / "run_dstreams.py")
BATCHES = [["to be or", "not to be"], [], ["that is the question"], ["to be"]]


def arguments(folder: Path) -> list[str]:
    """Arguments of the program."""
    return [str(folder / "c"), json.dumps(BATCHES)]


def expected() -> list[str]:
    """What the program prints."""
    total: Counter = Counter()
    shown = []
    for lines in BATCHES:
        total.update(word for line in lines for word in line.split())
        shown.append(str(dict(sorted(total.items()))))
    return shown


def counted(command: list[str], cwd: Path) -> Program:
    """Run the program to its end, and see that it has counted right."""
    with Program(command, cwd) as program:
        assert program.finish(240) == 0, program.report()
        assert [line for line in program.lines if line.startswith("{")] == expected(), program.report()
        said = program.lines + program.errors
        assert not [line for line in said if " ERROR " in line or "\tat " in line], program.report()
        return program


def fast(cluster: Cluster, *arguments: str, **options) -> list[str]:
    """Submit without pacing."""
    return cluster.submit("--conf", "spark.streaming.dstreams.paced=false", *arguments, **options)
