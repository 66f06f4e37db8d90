from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from pyspark import RDD, cloudpickle
from pyspark.resultiterable import ResultIterable

from dstreams._plan.stages import Narrow, Shuffle, UnionOf
from dstreams._plan.streaming_rdd import StreamingRDD
from dstreams.errors import DStreamError, DStreamValueError, StreamingSideError
from tests.unit.interpreter import count_stages, rdd_of, run

# PySpark's merge sort looks there for the memory in use.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def records(rdd: Any) -> list[Any]:
    """All records, sorted."""
    assert isinstance(rdd, StreamingRDD)
    return sorted(record for part in run(rdd.stage) for record in part)


def shuffles(rdd: Any) -> int:
    """Number of shuffles in the plan."""
    return count_stages(rdd.stage, Shuffle)


def pairs() -> StreamingRDD:
    return rdd_of([("a", 1), ("b", 2), ("a", 3)], [("b", 4), ("c", 5)])


def others() -> StreamingRDD:
    return rdd_of([("a", "x"), ("d", "y")], [("a", "z")])


def plain(result: ResultIterable[Any]) -> list[Any]:
    return sorted(result)


@pytest.mark.parametrize(
    ("operation", "expected", "number_of_shuffles"),
    [
        (lambda r: r.map(lambda kv: kv[1]), [1, 2, 3, 4, 5], 0),
        (lambda r: r.flatMap(lambda kv: [kv[0]] * kv[1]).filter(lambda k: k != "c"), ["a"] * 4 + ["b"] * 6, 0),
        (lambda r: r.mapPartitions(lambda part: [sum(1 for _ in part)]), [2, 3], 0),
        (lambda r: r.glom().map(len), [2, 3], 0),
        (lambda r: r.mapValues(lambda v: -v), [("a", -3), ("a", -1), ("b", -4), ("b", -2), ("c", -5)], 0),
        (lambda r: r.flatMapValues(range).filter(lambda kv: kv[0] == "b"), [("b", i) for i in (0, 0, 1, 1, 2, 3)], 0),
        (lambda r: r.reduceByKey(operator.add, 2), [("a", 4), ("b", 6), ("c", 5)], 1),
        (lambda r: r.groupByKey(3).mapValues(plain), [("a", [1, 3]), ("b", [2, 4]), ("c", [5])], 1),
        (
            lambda r: r.combineByKey(str, lambda s, v: s + str(v), operator.add, 1).mapValues(sorted),
            [("a", ["1", "3"]), ("b", ["2", "4"]), ("c", ["5"])],
            1,
        ),
        (lambda r: r.aggregateByKey(0, max, max, 2), [("a", 3), ("b", 4), ("c", 5)], 1),
        (lambda r: r.foldByKey(10, min, 2), [("a", 1), ("b", 2), ("c", 5)], 1),
        (lambda r: r.distinct(2), [("a", 1), ("a", 3), ("b", 2), ("b", 4), ("c", 5)], 1),
        (lambda r: r.keyBy(lambda kv: kv[1] % 2).keys(), [0, 0, 1, 1, 1], 0),
        (lambda r: r.values(), [1, 2, 3, 4, 5], 0),
        (lambda r: r.repartition(3), [("a", 1), ("a", 3), ("b", 2), ("b", 4), ("c", 5)], 1),
    ],
)  # fmt: skip
def test_one_stream(operation: Callable[[Any], Any], expected: list[Any], number_of_shuffles: int) -> None:
    result = operation(pairs())
    assert records(result) == expected
    assert shuffles(result) == number_of_shuffles


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (lambda a, b: a.join(b, 2), [("a", (1, "x")), ("a", (1, "z")), ("a", (3, "x")), ("a", (3, "z"))]),
        (
            lambda a, b: a.leftOuterJoin(b, 2).filter(lambda kv: kv[0] != "a"),
            [("b", (2, None)), ("b", (4, None)), ("c", (5, None))],
        ),
        (lambda a, b: a.rightOuterJoin(b, 2).filter(lambda kv: kv[0] != "a"), [("d", (None, "y"))]),
        (
            lambda a, b: a.fullOuterJoin(b, 2).filter(lambda kv: kv[0] != "a"),
            [("b", (2, None)), ("b", (4, None)), ("c", (5, None)), ("d", (None, "y"))],
        ),
        (
            lambda a, b: a.cogroup(b, 3).mapValues(lambda both: (plain(both[0]), plain(both[1]))),
            [("a", ([1, 3], ["x", "z"])), ("b", ([2, 4], [])), ("c", ([5], [])), ("d", ([], ["y"]))],
        ),
        (lambda a, b: a.subtractByKey(b, 2), [("b", 2), ("b", 4), ("c", 5)]),
    ],
)
def test_two_streams(operation: Callable[[Any, Any], Any], expected: list[Any]) -> None:
    result = operation(pairs(), others())
    assert records(result) == expected
    assert shuffles(result) == 1, "both sides go through one shuffle"


def test_union_keeps_all_partitions_of_both() -> None:
    both = pairs().union(others())
    assert isinstance(both.stage, UnionOf)
    assert [len(part) for part in run(both.stage)] == [3, 2, 2, 1]


def test_groups_are_result_iterables() -> None:
    ((_, group), *_) = records(rdd_of([("k", 1), ("k", 2)]).groupByKey(1))
    assert isinstance(group, ResultIterable)
    assert len(group) == 2


def test_narrow_operations_add_no_shuffle_and_keep_the_partitions() -> None:
    rdd = pairs().map(lambda kv: kv).filter(lambda kv: True).mapPartitions(lambda part: part)
    assert count_stages(rdd.stage, Narrow) == 3
    assert [len(part) for part in run(rdd.stage)] == [3, 2]


def test_keys_go_to_the_partition_that_the_function_says() -> None:
    rdd = rdd_of([(n, None) for n in range(6)]).partitionBy(3, lambda key: key + 1)
    assert [[key for key, _ in part] for part in run(rdd.stage)] == [[2, 5], [0, 3], [1, 4]]


def test_a_second_shuffle_by_the_same_partitioner_is_saved() -> None:
    once = pairs().reduceByKey(operator.add, 4)
    assert shuffles(once.mapValues(str).groupByKey(4)) == 1
    assert shuffles(once.filter(bool).partitionBy(4)) == 1
    assert shuffles(once.groupByKey(2)) == 2, "another number of partitions"
    assert shuffles(once.map(lambda kv: kv).groupByKey(4)) == 2, "the keys may have changed"
    assert shuffles(once.map(lambda kv: kv, preservesPartitioning=True).groupByKey(4)) == 1
    assert shuffles(once.partitionBy(4, len)) == 2, "another function"
    assert records(once.mapValues(str).groupByKey(4).mapValues(list)) == [("a", ["4"]), ("b", ["6"]), ("c", ["5"])]


def test_the_number_of_partitions_is_known_after_a_shuffle_only() -> None:
    assert pairs().partitionBy(5).getNumPartitions() == 5
    assert pairs().groupByKey(3).map(str).getNumPartitions() == 3
    assert pairs().partitionBy(None).getNumPartitions() == 2, "the parallelism"
    assert pairs().repartition(7).getNumPartitions() == 7
    for unknown in (pairs(), pairs().map(str), pairs().partitionBy(2).union(pairs().partitionBy(2))):
        with pytest.raises(StreamingSideError, match=r"RDD.getNumPartitions needs the data of a batch"):
            unknown.getNumPartitions()


@pytest.mark.parametrize("wrong", [0, -1, True, "2", 2.0])
def test_the_number_of_partitions_must_be_positive(wrong: Any) -> None:
    with pytest.raises(DStreamValueError, match="Number of partitions must be positive"):
        pairs().partitionBy(wrong)
    with pytest.raises(DStreamValueError, match="Number of partitions must be positive"):
        pairs().coalesce(wrong, shuffle=True)


@pytest.mark.parametrize(
    "action",
    [
        lambda rdd: rdd.collect(),
        lambda rdd: rdd.count(),
        lambda rdd: rdd.take(1),
        lambda rdd: rdd.first(),
        lambda rdd: rdd.isEmpty(),
        lambda rdd: rdd.reduce(operator.add),
        lambda rdd: rdd.foreach(print),
        lambda rdd: rdd.sum(),
        lambda rdd: rdd.countByValue(),
        lambda rdd: rdd.collectAsMap(),
        lambda rdd: rdd.saveAsTextFile("nowhere"),
        lambda rdd: rdd.sortByKey(),
        lambda rdd: rdd.zipWithIndex(),
        lambda rdd: rdd.coalesce(1),
        lambda rdd: rdd.union("something else"),
    ],
)
def test_what_needs_data_raises_one_error_that_says_what_to_do(action: Callable[[Any], Any]) -> None:
    with pytest.raises(StreamingSideError, match=r"Do this inside transform\(\) or foreachRDD\(\)") as caught:
        action(pairs().partitionBy(2))
    assert isinstance(caught.value, DStreamError)


def test_it_can_be_pickled_with_the_functions_it_holds() -> None:
    # PySpark's algorithms close over the RDD they are methods of.
    rdd = pairs().join(others(), 2)
    again = cloudpickle.loads(cloudpickle.dumps(rdd))
    assert isinstance(again, StreamingRDD)
    assert records(again) == records(rdd)
    assert again.ctx.defaultParallelism == 2


def test_it_is_an_rdd_and_shows_what_it_is() -> None:
    assert isinstance(pairs(), RDD)
    assert repr(pairs()) == "StreamingRDD(Scan)"
    assert repr(pairs().map(str)) == "StreamingRDD(Narrow)"
