"""The traces that the old engine gave (batches of one second, two partitions), one row per batch."""

from __future__ import annotations

from operator import add, sub

import pytest
from pyspark.resultiterable import ResultIterable

from tests.harness import flatten, run_batches, run_table

pytestmark = pytest.mark.engine

A, B, C, D = [("a", 1), ("b", 1)], [("a", 2)], [], [("c", 5)]
KEYED = [A, B, C, D]


def result(parts):
    """Elements in an order that can be compared, iterables as lists; None where there was no RDD."""
    if parts is None:
        return None
    return sorted((k, list(v) if isinstance(v, ResultIterable) else v) for k, v in flatten(parts))


def values(rdd):
    return sorted(rdd.collect())


def test_windows(streaming, tmp_path):
    ssc = streaming()
    ssc.sparkContext.setCheckpointDir(str(tmp_path))
    stream = ssc.queueStream(KEYED)
    counted = ssc.queueStream([[], [1, 1, 2], [1]])
    grouped = ssc.queueStream([[("a", 1)], [("a", 2)], [], [("a", 3), ("b", 9)]])
    fast = ssc.queueStream([[("k", i)] for i in range(9)])
    add_sub = stream.reduceByKeyAndWindow(add, sub, 5, 1)
    rows = run_table(
        ssc,
        {
            "window 3": stream.window(3),
            "window 3 2": stream.window(3, 2),
            "window 1 2": stream.window(1, 2),
            "add sub 5": add_sub,
            "add sub 5 filtered": stream.reduceByKeyAndWindow(add, sub, 5, 1, filterFunc=lambda kv: kv[1] > 0),
            "add sub 3": stream.reduceByKeyAndWindow(add, sub, 3, 1),
            "countByWindow 2": counted.countByWindow(2, 1).map(lambda n: ("n", n)),
            "countByWindow 5": counted.countByWindow(5, 1).map(lambda n: ("n", n)),
            "groupByKeyAndWindow": grouped.groupByKeyAndWindow(5, 1),
            "outer join": fast.leftOuterJoin(fast.window(2, 2)),
        },
        stream,
        9,
    )
    column = {name: [result(row[name]) for row in rows] for name in rows[0]}
    a, b, d = A, B, D
    assert column["window 3"] == [a, sorted(a + b), sorted(a + b), sorted(b + d), d, d, [], [], []]
    assert column["window 3 2"] == [None, sorted(a + b), None, sorted(b + d), None, d, None, [], None]
    assert column["window 1 2"] == [None, b, None, d, None, [], None, [], None]
    first = [("a", 1), ("b", 1)]
    second = [("a", 3), ("b", 1)]
    both = [("a", 3), ("b", 1), ("c", 5)]
    assert column["add sub 5"] == [
        first, second, second, both, both,
        [("a", 2), ("b", 0), ("c", 5)], [("a", 0), ("b", 0), ("c", 5)], [("a", 0), ("b", 0), ("c", 5)],
        [("a", 0), ("b", 0), ("c", 0)],
    ]  # fmt: skip
    assert column["add sub 5 filtered"] == [
        first, second, second, both, both, [("a", 2), ("c", 5)], [("c", 5)], [("c", 5)], [],
    ]  # fmt: skip
    assert column["add sub 3"] == [first, second, second, [("a", 2), ("c", 5)], [("c", 5)], [("c", 5)], [], [], []]
    assert column["countByWindow 2"] == [[], [("n", 3)], [("n", 4)], [("n", 1)], [], [], [], [], []]
    assert column["countByWindow 5"] == [
        [], *([("n", n)] for n in (3, 4, 4, 4, 4, 1, 0, 0)),
    ]  # fmt: skip
    assert column["groupByKeyAndWindow"] == [
        [("a", [1])], [("a", [1, 2])], [("a", [1, 2])], [("a", [1, 2, 3]), ("b", [9])],
        [("a", [1, 2, 3]), ("b", [9])], [("a", [2, 3]), ("b", [9])], [("a", [3]), ("b", [9])],
        [("a", [3]), ("b", [9])], [("a", []), ("b", [])],
    ]  # fmt: skip
    assert column["outer join"] == [
        [("k", (0, None))], [("k", (1, 0)), ("k", (1, 1))], [("k", (2, None))], [("k", (3, 2)), ("k", (3, 3))],
        [("k", (4, None))], [("k", (5, 4)), ("k", (5, 5))], [("k", (6, None))], [("k", (7, 6)), ("k", (7, 7))],
        [("k", (8, None))],
    ]  # fmt: skip


def test_state(streaming, tmp_path):
    ssc = streaming()
    ssc.sparkContext.setCheckpointDir(str(tmp_path))
    stream = ssc.queueStream([A, B, []])
    initial = ssc.sparkContext.parallelize([("z", 100), ("a", 50)])
    rows = run_batches(
        ssc,
        {
            "pairs": stream.updateStateByKey(lambda new, old: (new, old)),
            "sums": stream.updateStateByKey(lambda new, old: sum(new) + (old or 0), initialRDD=initial),
        },
        3,
        of=values,
    )
    a0, b0 = ([1], None), ([1], None)
    assert [row["pairs"] for row in rows] == [
        [("a", a0), ("b", b0)], [("a", ([2], a0)), ("b", ([], b0))], [("a", ([], ([2], a0))), ("b", ([], ([], b0)))],
    ]  # fmt: skip
    assert [row["sums"] for row in rows] == [
        [("a", 51), ("b", 1), ("z", 100)], [("a", 53), ("b", 1), ("z", 100)], [("a", 53), ("b", 1), ("z", 100)],
    ]  # fmt: skip
