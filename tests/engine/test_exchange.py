"""Operations with state whose input is on the batch side, and joins of such streams with direct ones."""

from __future__ import annotations

from operator import add, sub

import pytest

from tests.harness import flatten, run_table

pytestmark = pytest.mark.engine

PAIRS = [[("a", 1), ("b", 1)], [("a", 2)], [], [("c", 5)]]


def run(ssc, streams, pulse, batches):
    """Elements of each stream in each batch, sorted; None where there was no RDD."""
    rows = run_table(ssc, streams, pulse, batches)
    return [{name: parts and sorted(flatten(parts), key=repr) for name, parts in row.items()} for row in rows]


def total(new, old):
    return sum(new) + (old or 0)


def test_state_after_the_batch_side(streaming, tmp_path):
    """The same results as of the same operations in the plan, and the two line up."""
    ssc = streaming()
    ssc.sparkContext.setCheckpointDir(str(tmp_path))
    pairs = ssc.queueStream(PAIRS)
    changed = pairs.transform(lambda rdd: rdd.map(lambda kv: (kv[0], kv[1] * 10)))
    state = changed.updateStateByKey(total)
    direct = pairs.updateStateByKey(total, initialRDD=[("z", 7)])
    again = state.transform(lambda rdd: rdd).mapValues(lambda v: v + 1).updateStateByKey(total, initialRDD=[("z", 1)])
    rows = run(
        ssc,
        {
            "state": state,
            "joined": state.join(direct),
            "window": changed.window(2, 2),
            "reduced": changed.reduceByKeyAndWindow(add, sub, 5),
            "again": again,
        },
        pairs,
        4,
    )
    a, b, c = ("a", 10), ("b", 10), ("c", 50)
    assert [row["state"] for row in rows] == [[a, b], [("a", 30), b], [("a", 30), b], [("a", 30), b, c]]
    assert [row["joined"] for row in rows] == [
        [("a", (10, 1)), ("b", (10, 1))], [("a", (30, 3)), ("b", (10, 1))], [("a", (30, 3)), ("b", (10, 1))],
        [("a", (30, 3)), ("b", (10, 1)), ("c", (50, 5))],
    ]  # fmt: skip
    assert [row["window"] for row in rows] == [None, [("a", 10), ("a", 20), b], None, [c]]
    assert [row["reduced"] for row in rows] == [[a, b], [("a", 30), b], [("a", 30), b], [("a", 30), b, c]]
    assert [row["again"] for row in rows] == [
        [("a", 11), ("b", 11), ("z", 1)], [("a", 42), ("b", 22), ("z", 1)], [("a", 73), ("b", 33), ("z", 1)],
        [("a", 104), ("b", 44), ("c", 51), ("z", 1)],
    ]  # fmt: skip


def test_no_rdd_is_not_an_empty_one(streaming, tmp_path):
    """Without an RDD the update function is not called, and the states come out as they were."""
    ssc = streaming()
    ssc.sparkContext.setCheckpointDir(str(tmp_path))
    pairs = ssc.queueStream(PAIRS)
    some = pairs.transform(lambda time, rdd: rdd if not rdd.isEmpty() else None)
    rows = run(
        ssc,
        {
            "calls": some.updateStateByKey(lambda new, old: (old or 0) + 1),
            "window": some.window(2),
        },
        pairs,
        4,
    )
    assert [row["calls"] for row in rows] == [
        [("a", 1), ("b", 1)], [("a", 2), ("b", 2)], [("a", 2), ("b", 2)], [("a", 3), ("b", 3), ("c", 1)],
    ]  # fmt: skip
    assert [row["window"] for row in rows] == [
        [("a", 1), ("b", 1)], [("a", 1), ("a", 2), ("b", 1)], [("a", 2)], [("c", 5)],
    ]  # fmt: skip
