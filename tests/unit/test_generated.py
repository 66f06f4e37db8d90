"""The machine that makes up programs: a wrong operation is found, and shown in a program that cannot be smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import HealthCheck, given, settings

from tests.harness import run_table
from tests.parity.generated import BATCHES, MadeUp, compare, programs


class Lists:
    """A stream as a list of batches, with the few operations that these programs have."""

    def __init__(self, batches: list[list[Any]]) -> None:
        self.batches = batches

    def map(self, f: Any) -> Lists:
        return Lists([[f(record) for record in batch] for batch in self.batches])

    def filter(self, f: Any) -> Lists:
        return Lists([[record for record in batch if f(record)] for batch in self.batches])

    def reduceByKey(self, f: Any, numPartitions: int | None = None) -> Lists:
        def reduced(batch: list[Any]) -> list[Any]:
            found: dict[Any, Any] = {}
            for key, value in batch:
                found[key] = f(found[key], value) if key in found else value
            return list(found.items())

        return Lists([reduced(batch) for batch in self.batches])


class Wrong(Lists):
    """One whose reduceByKey loses what comes to 3."""

    def map(self, f: Any) -> Lists:
        return Wrong(super().map(f).batches)

    def filter(self, f: Any) -> Lists:
        return Wrong(super().filter(f).batches)

    def reduceByKey(self, f: Any, numPartitions: int | None = None) -> Lists:
        return Wrong(super().reduceByKey(f).filter(lambda kv: kv[1] != 3).batches)


class Context:
    sparkContext = MagicMock()

    def __init__(self, kind: type[Lists]) -> None:
        self._kind = kind

    def queueStream(self, queue: list[list[Any]]) -> Lists:
        return self._kind([*queue, *[[] for _ in range(BATCHES - len(queue))]])


def run(kind: type[Lists], program: MadeUp) -> list[dict[str, Any]]:
    streams, _ = program.build(Context(kind), Path("not-used.db"))
    return [{name: sorted(stream.batches[n], key=repr) for name, stream in streams.items()} for n in range(BATCHES)]


ONLY = ({"map", "filter", "reduceByKey"}, {"pair"})
QUICK = settings(max_examples=250, derandomize=True, database=None, deadline=None,
                 suppress_health_check=list(HealthCheck))  # fmt: skip


def test_a_wrong_operation_is_shown_in_a_minimal_program() -> None:
    @QUICK
    @given(program=programs(*ONLY))
    def search(program: MadeUp) -> None:
        compare(program, lambda program: run(Lists, program), lambda program: run(Wrong, program))

    with pytest.raises(AssertionError, match=r"expected .* found") as found:
        search()
    shown = str(found.value).split("in the program\n\n")[1]
    definitions = [line for line in shown.splitlines() if line.startswith("s") and " = " in line][2:]
    # One record and the wrong operation are enough; hypothesis for Python 3.10 leaves a step and two records more.
    assert len(definitions) <= 3 and definitions[0].count("(") <= 4, shown
    assert "reduceByKey" in definitions[-1], shown


def test_what_is_right_is_not_found() -> None:
    @QUICK
    @given(program=programs(*ONLY))
    def search(program: MadeUp) -> None:
        compare(program, lambda program: run(Lists, program), lambda program: run(Lists, program))

    search()


@settings(QUICK, max_examples=50)
@given(program=programs())
def test_programs_can_be_run(program: MadeUp) -> None:
    compile(str(program), "made-up.py", "exec")
    assert 1 <= len(program.outputs) <= 3


def test_they_are_not_all_alike() -> None:
    """Many operations come up, and some programs are long."""
    seen: list[MadeUp] = []

    for kind in ("number", "pair"):

        @settings(QUICK, max_examples=250)
        @given(program=programs(kinds={kind}))
        def collect(program: MadeUp) -> None:
            seen.append(program)

        collect()
    text = "\n".join(line for program in seen for line in program.lines)
    for operation in (
        "updateStateByKey", "window(", "join(", "union(", "transform(", "countByWindow", "groupByKey(", "Total",
        "Point", "tally", "factor", "table.value",
    ):  # fmt: skip
        assert operation in text
    assert max(len(program.lines) for program in seen) >= 6


class _Stream:
    """A stream whose output the test calls."""

    def foreachRDD(self, func: Any) -> None:
        self.call = func


class _Context:
    """A context in which no stream but the pulse has an RDD."""

    sparkContext = None

    def __init__(self, pulse: _Stream, batches: int) -> None:
        self._pulse, self._batches = pulse, batches

    def start(self) -> None:
        for _ in range(self._batches):
            self._pulse.call(None)

    def awaitTerminationOrTimeout(self, timeout: float) -> bool:
        return False

    def stop(self, stopSparkContext: bool) -> None:
        pass


def test_batches_without_any_rdd() -> None:
    """Such as those between the slides of a program with one window."""
    pulse = _Stream()
    assert run_table(_Context(pulse, 2), {"windowed": _Stream()}, pulse, 2) == [{"windowed": None}] * 2
