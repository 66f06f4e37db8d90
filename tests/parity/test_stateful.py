"""State and windows on the engine that PySpark ships and on this one, batch by batch; see :mod:`.side_by_side`.

Records are compared without regard to their partition: a window has as many partitions as batches on the old engine.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import pytest
from pyspark import SparkContext

from tests.parity.side_by_side import Program, Result, add, listed, on_both_engines, rows, table, wanted

pytestmark = pytest.mark.parity

BATCHES = 7
AT_ONCE = 10


@dataclass
class Inputs:
    """Queues that all programs read; the streams are of either engine."""

    ssc: Any
    pulse: Any
    numbers: Any
    pairs: Any
    words: Any

    @classmethod
    def of(cls, ssc: Any) -> Inputs:
        sc = ssc.sparkContext
        numbers = ssc.queueStream([[1, 2, 3, 4, 5], [], [6], [7, 8], [], [1]])
        pairs = [[("a", 1), ("b", 2), ("a", 3), (None, 4)], [("a", 5)], [], [("c", 6), ("b", 7)], [], [(("t", 1), 8)]]
        queue = ssc.queueStream([sc.parallelize(batch, 3) for batch in pairs])
        words = ssc.queueStream([["to be or not", "to be"], ["ü be"], [], ["or"], [""]])
        return cls(ssc, numbers, numbers, queue, words)


def total(new: list[int], old: int | None) -> int:
    return sum(new) + (old or 0)


def recent(new: list[int], old: tuple[int, int] | None) -> tuple[int, int] | None:
    """The last sum and its age; forgotten after three batches without values."""
    if new:
        return sum(new), 0
    assert old is not None
    return (old[0], old[1] + 1) if old[1] < 2 else None


def collected(new: list[int], old: list[int] | None) -> list[int]:
    """A state that is changed in place."""
    state = [] if old is None else old
    state.extend(new)
    return state


def counted(words: Any) -> Any:
    return words.flatMap(str.split).map(lambda word: (word, 1))


def branches(i: Inputs) -> Any:
    """State, and a window of it, and the stream itself, joined again."""
    state = i.pairs.mapValues(lambda v: v + 1).updateStateByKey(total)
    return state.join(i.pairs.reduceByKeyAndWindow(add, None, 1.0)).mapValues(listed)


def shared(i: Inputs) -> Any:
    pairs = i.words.flatMap(str.split).map(lambda word: (word, 1))
    return pairs.updateStateByKey(total).cogroup(pairs.window(1.0)).mapValues(lambda both: [listed(v) for v in both])


PROGRAMS = [
    Program("updateStateByKey", lambda i: i.pairs.updateStateByKey(total)),
    Program("updateStateByKey in five partitions", lambda i: i.pairs.updateStateByKey(total, 5)),
    Program("updateStateByKey that forgets", lambda i: i.pairs.updateStateByKey(recent)),
    Program("updateStateByKey in place", lambda i: i.pairs.updateStateByKey(collected)),
    Program("updateStateByKey with an initial list",
            lambda i: i.pairs.updateStateByKey(total, initialRDD=[("a", 100), ("z", 1)])),
    Program("updateStateByKey with an initial RDD", lambda i: i.pairs.updateStateByKey(
        total, 3, i.ssc.sparkContext.parallelize([("b", 100), ("y", 1)]))),
    Program("updateStateByKey after reduceByKey", lambda i: counted(i.words).reduceByKey(add).updateStateByKey(total)),
    Program("updateStateByKey after another reduceByKey",
            lambda i: counted(i.words).reduceByKey(add, 3).map(lambda kv: (kv[1], 1)).updateStateByKey(total)),
    Program("updateStateByKey after count",
            lambda i: i.numbers.count().map(lambda n: ("n", n)).updateStateByKey(total)),
    Program("updateStateByKey after a join",
            lambda i: i.pairs.join(i.pairs).mapValues(sum).updateStateByKey(total)),
    Program("reduce of updateStateByKey", lambda i: i.pairs.updateStateByKey(total).map(lambda kv: kv[1]).reduce(add)),
    Program("window", lambda i: i.numbers.window(1.5)),
    Program("window of one batch", lambda i: i.numbers.window(0.5)),
    Program("window that slides by two", lambda i: i.numbers.window(1.5, 1.0)),
    Program("window shorter than its slide", lambda i: i.numbers.window(0.5, 1.0)),
    Program("window that is no multiple of its slide", lambda i: i.numbers.window(1.5, 1.0).map(lambda n: n + 1)),
    Program("window of a window", lambda i: i.numbers.window(1.0).window(1.0)),
    Program("window of a slow window", lambda i: i.numbers.window(1.0, 1.0).window(2.0, 2.0)),
    Program("count of a window", lambda i: i.numbers.window(1.5).count()),
    Program("reduceByKey of a slow window", lambda i: i.pairs.window(1.5, 1.0).reduceByKey(add)),
    Program("window of a union", lambda i: i.numbers.union(i.numbers.map(lambda n: -n)).window(1.0)),
    Program("reduceByWindow", lambda i: i.numbers.reduceByWindow(add, None, 1.0, 0.5)),
    Program("reduceByWindow with an inverse", lambda i: i.numbers.reduceByWindow(add, operator.sub, 2.5, 0.5)),
    Program("countByWindow, short", lambda i: i.numbers.countByWindow(1.0, 0.5)),
    Program("countByWindow, long", lambda i: i.numbers.countByWindow(2.5, 0.5)),
    Program("countByWindow, slow", lambda i: i.numbers.countByWindow(1.0, 1.0)),
    Program("countByValueAndWindow", lambda i: i.words.flatMap(str.split).countByValueAndWindow(2.5, 0.5)),
    Program("groupByKeyAndWindow, short", lambda i: i.pairs.groupByKeyAndWindow(1.0, 0.5).mapValues(listed)),
    Program("groupByKeyAndWindow, long", lambda i: i.pairs.groupByKeyAndWindow(2.5, 0.5).mapValues(listed)),
    Program("reduceByKeyAndWindow", lambda i: i.pairs.reduceByKeyAndWindow(add, None, 1.5)),
    Program("reduceByKeyAndWindow, slow, three partitions",
            lambda i: i.pairs.reduceByKeyAndWindow(add, None, 1.5, 1.0, 3)),
    Program("reduceByKeyAndWindow with an inverse, short",
            lambda i: i.pairs.reduceByKeyAndWindow(add, operator.sub, 1.5)),
    Program("reduceByKeyAndWindow with an inverse, long",
            lambda i: i.pairs.reduceByKeyAndWindow(add, operator.sub, 2.5, 0.5, 3)),
    Program("reduceByKeyAndWindow with a filter",
            lambda i: i.pairs.reduceByKeyAndWindow(add, operator.sub, 2.5, 0.5, filterFunc=lambda kv: kv[1] > 0)),
    Program("reduceByKeyAndWindow with a filter, short",
            lambda i: i.pairs.reduceByKeyAndWindow(add, operator.sub, 1.0, 0.5, filterFunc=lambda kv: kv[1] > 5)),
    Program("updateStateByKey after a window", lambda i: i.pairs.window(1.0).updateStateByKey(total)),
    Program("updateStateByKey after a slow window", lambda i: i.pairs.window(1.0, 1.0).updateStateByKey(total)),
    Program("updateStateByKey after reduceByKeyAndWindow",
            lambda i: i.pairs.reduceByKeyAndWindow(add, operator.sub, 2.5).updateStateByKey(total)),
    Program("window after updateStateByKey", lambda i: i.pairs.updateStateByKey(total).window(1.0)),
    Program("updateStateByKey of swapped states",
            lambda i: i.pairs.updateStateByKey(total).map(lambda kv: (kv[1] % 3, 1)).updateStateByKey(total)),
    Program("a chain of three", lambda i: i.pairs.reduceByKeyAndWindow(add, None, 1.0)
            .map(lambda kv: (kv[1] % 2, kv[1])).updateStateByKey(total).window(1.0).map(listed)),
    Program("state joined with a window of its input", branches),
    Program("a stream that state and window read", shared),
    Program("fast joined with slow", lambda i: i.pairs.leftOuterJoin(i.pairs.window(1.0, 1.0))),
    Program("slow joined with fast", lambda i: i.pairs.window(1.0, 1.0).leftOuterJoin(i.pairs)),
    Program("transform of state", lambda i: i.pairs.updateStateByKey(total).transform(lambda rdd: rdd.map(str))),
]  # fmt: skip


EVERY_TIME = {
    "updateStateByKey that forgets", "updateStateByKey with an initial RDD", "window shorter than its slide",
    "reduceByKey of a slow window", "countByValueAndWindow", "reduceByKeyAndWindow with a filter, short",
    "a chain of three",
}  # fmt: skip
"""Programs that are compared in every test run; the others are marked as slow."""


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, spark_context: SparkContext, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Result, Result]:
    """Of the engine that PySpark ships, and of this package; of the programs whose tests are run."""
    # Enough for the old engine, which would pickle what these programs close over for a directory of its own.
    spark_context.setCheckpointDir(str(tmp_path_factory.mktemp("checkpoint")))
    return on_both_engines(spark_context, Inputs.of, wanted(request), BATCHES, AT_ONCE)


@table(PROGRAMS, EVERY_TIME)
def test_same_results(program: Program, results: tuple[Result, Result]) -> None:
    theirs, ours = ([rows(batch[program.name]) for batch in result] for result in results)
    assert ours == theirs


def test_the_programs_do_something(results: tuple[Result, Result]) -> None:
    old, _ = results
    assert {program.name for program in PROGRAMS} >= EVERY_TIME
    assert not [name for name in old[0] if all(not any(batch[name] or []) for batch in old)]
    assert len(old[0]) >= len(EVERY_TIME)
