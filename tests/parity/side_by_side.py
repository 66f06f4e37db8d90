"""Runs the same programs on the engine that PySpark ships and on this one, batch by batch.

Programs are written once, against the public API. They run side by side on the same queues, many in one context, on
the old engine and then on ours. The old engine's clock is moved by hand, when a batch is done: so it does not make the
next one before, however slow the machine is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from pyspark import SparkContext
from pyspark.streaming import StreamingContext as OldStreamingContext

from dstreams import StreamingContext
from tests.harness import Parts, run_table

__all__ = [
    "Program", "Result", "add", "listed", "normal", "old_context", "on_both_engines", "rows", "step_of", "table",
    "wanted",
]  # fmt: skip

INTERVAL = 0.5
"""Batch interval in seconds; nobody waits for it."""
_CLOCK = "spark.streaming.clock"
Result = list[dict[str, Parts | None]]
"""For each batch the partitions of each program by name; None where it had no RDD."""


def old_context(sc: SparkContext, interval: float = INTERVAL) -> OldStreamingContext:
    """A context of the old engine on a clock that :func:`step_of` moves."""
    conf = sc._jsc.sc().conf()
    conf.set(_CLOCK, "org.apache.spark.streaming.util.ManualClock")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return OldStreamingContext(sc, interval)
    finally:
        conf.remove(_CLOCK)


def step_of(ssc: Any) -> Callable[[], None]:
    """What makes a batch of the old engine due; ours needs nothing."""
    if not isinstance(ssc, OldStreamingContext) or isinstance(ssc, StreamingContext):
        return lambda: None
    jssc = ssc._jssc.ssc()
    interval_ms = int(jssc.graph().batchDuration().milliseconds())
    return lambda: jssc.scheduler().clock().advance(interval_ms)


@dataclass
class Program:
    """A program, and what is certain of its result."""

    name: str
    build: Callable[[Any], Any]
    by_partition: bool = True
    """Whether it is certain in which partition a record is."""


def table(programs: Sequence[Program], every_time: Collection[str]) -> pytest.MarkDecorator:
    """Parametrize a test with programs; all but those that are compared in every test run are marked as slow."""
    marked = [pytest.param(program, id=program.name, marks=[] if program.name in every_time else pytest.mark.slow)
              for program in programs]  # fmt: skip
    return pytest.mark.parametrize("program", marked)


def wanted(request: pytest.FixtureRequest) -> list[Program]:
    """Programs of a table whose tests are run."""
    return [item.callspec.params["program"] for item in request.session.items
            if item.path == request.path and hasattr(item, "callspec")]  # fmt: skip


def add(a: Any, b: Any) -> Any:
    return a + b


def listed(values: Any) -> list[Any]:
    return sorted(values, key=repr)


def on_both_engines(
    sc: SparkContext, make_inputs: Callable[[Any], Any], programs: Sequence[Program], batches: int, at_once: int
) -> tuple[Result, Result]:
    """Results of the old engine and of ours.

    Parameters
    ----------
    sc : SparkContext
        Where to run.
    make_inputs : callable
        Makes the inputs of a context of either engine; they have an attribute ``pulse``, a queue.
    programs : sequence of Program
        What to run.
    batches : int
        How many batches.
    at_once : int
        Programs that run in one context.
    """
    old = _run(lambda: old_context(sc), make_inputs, programs, batches, at_once)
    return old, _run(lambda: StreamingContext(sc, INTERVAL), make_inputs, programs, batches, at_once)


def _run(
    make_context: Callable[[], Any],
    make_inputs: Callable[[Any], Any],
    programs: Sequence[Program],
    batches: int,
    at_once: int,
) -> Result:
    result: Result = [{} for _ in range(batches)]
    for first in range(0, len(programs), at_once):
        ssc = make_context()
        inputs = make_inputs(ssc)
        streams = {program.name: program.build(inputs) for program in programs[first : first + at_once]}
        for batch, found in zip(result, run_table(ssc, streams, inputs.pulse, batches, step=step_of(ssc)), strict=True):
            batch.update(found)
    return result


def rows(parts: Parts | None) -> Any:
    """All records, in an order that can be compared; None where there was no RDD."""
    return None if parts is None else listed(record for part in parts for record in part)


def normal(parts: Parts | None, by_partition: bool) -> Any:
    if parts is None:
        return "not called"
    if by_partition:
        return [listed(part) for part in parts]
    return len(parts), rows(parts)
