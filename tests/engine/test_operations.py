"""Every stateless operation on a real Spark.

The operations of the table run side by side on the same queues, many in one context; each row then has a test of
its own. What does not fit into the table follows below it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from pyspark import RDD, SparkContext, StorageLevel

from dstreams import DStream, StreamingContext
from dstreams.errors import DStreamError, DStreamStateError, DStreamTypeError, DStreamValueError
from tests.harness import Parts, flatten, run_batches, run_table

pytestmark = pytest.mark.engine

BATCHES = 4
"""Three elements of the queues, of which the second is mostly empty, and one batch after the queues' end."""


AT_ONCE = 10
"""Rows that run in one context. Each task knows the plans of all of them, so that more of them take longer."""


@dataclass
class Inputs:
    """The queues that all rows read; two partitions, and one without records after the queue's end."""

    ssc: StreamingContext
    numbers: DStream[int]
    pairs: DStream[Any]
    others: DStream[Any]
    words: DStream[Any]

    @classmethod
    def of(cls, ssc: StreamingContext) -> Inputs:
        return cls(
            ssc,
            ssc.queueStream([[1, 2, 3, 4], [], [5]]),
            ssc.queueStream([[("a", 1), ("b", 2), ("a", 3)], [], [("c", None)]]),
            ssc.queueStream([[("a", "x"), ("d", "y")], [("a", "z")], [("c", [1])]]),
            ssc.queueStream([["ü", "\U0001f600 x", "", "ü"], [None, None], [("tuple", 1), b"bytes"]]),
        )

    @property
    def sc(self) -> SparkContext:
        return self.ssc.sparkContext

    @property
    def nothing(self) -> DStream[Any]:
        """A stream that has no RDD in the first and the last batch."""
        seen: list[RDD[Any]] = []

        def sometimes(rdd: RDD[Any]) -> RDD[Any] | None:
            seen.append(rdd)
            return rdd if len(seen) in (2, 3) else None

        return self.pairs.transform(sometimes)


@dataclass
class Row:
    """One operation: how it is written, and what comes out of each batch, in any order."""

    name: str
    program: Callable[[Inputs], DStream[Any]]
    expected: list[list[Any] | None]
    parts: list[int | None] | None = None
    """Number of partitions in each batch."""
    exact: list[Parts | None] | None = None
    """The partitions themselves, where they are certain."""


def add(a: Any, b: Any) -> Any:
    return a + b


def both(value: tuple[Any, Any]) -> tuple[list[Any], list[Any]]:
    return sorted(value[0], key=str), sorted(value[1], key=str)


def join_with(stream: DStream[Any], table: RDD[Any]) -> DStream[Any]:
    return stream.transform(lambda rdd: rdd.join(table, 2))


def time_and_count(time: datetime, rdd: RDD[Any]) -> RDD[Any]:
    n = rdd.count()
    return rdd.context.parallelize([(type(time).__name__, time.tzinfo, time.microsecond, n)], 1)


FEW = [2, 2, 2, 1]
"""Partitions of the queues."""
ONE = [1] * BATCHES
TWO = [2] * BATCHES
THREE = [3] * BATCHES
NONE: list[list[Any] | None] = [[]] * BATCHES
PAIRS: list[list[Any] | None] = [[("a", 1), ("a", 3), ("b", 2)], [], [("c", None)], []]

TABLE = [
    Row("queueStream",
        lambda i: i.numbers, [[1, 2, 3, 4], [], [5], []], FEW, [[[1, 2], [3, 4]], [[], []], [[], [5]], [[]]]),
    Row("map", lambda i: i.numbers.map(lambda n: n * 10), [[10, 20, 30, 40], [], [50], []], FEW,
        [[[10, 20], [30, 40]], [[], []], [[], [50]], [[]]]),
    Row("map to None", lambda i: i.numbers.map(lambda n: None), [[None] * 4, [], [None], []], FEW),
    Row("flatMap", lambda i: i.numbers.flatMap(range), [[0, 0, 1, 0, 1, 2, 0, 1, 2, 3], [], [0, 1, 2, 3, 4], []], FEW),
    Row("flatMap of a generator",
        lambda i: i.numbers.flatMap(lambda n: (x for x in [n] if n % 2)), [[1, 3], [], [5], []], FEW),
    Row("filter", lambda i: i.numbers.filter(lambda n: n % 2), [[1, 3], [], [5], []], FEW,
        [[[1], [3]], [[], []], [[], [5]], [[]]]),
    Row("mapPartitions, also of empty partitions", lambda i: i.numbers.mapPartitions(lambda part: [sum(part)]),
        [[3, 7], [0, 0], [0, 5], [0]], FEW, [[[3], [7]], [[0], [0]], [[0], [5]], [[0]]]),
    Row("mapPartitions with a generator", lambda i: i.numbers.mapPartitions(lambda part: (n for n in part if n > 1)),
        [[2, 3, 4], [], [5], []], FEW),
    Row("mapPartitionsWithIndex",
        lambda i: i.numbers.mapPartitionsWithIndex(lambda index, part: [(index, list(part))]),
        [[(0, [1, 2]), (1, [3, 4])], [(0, []), (1, [])], [(0, []), (1, [5])], [(0, [])]], FEW),
    Row("mapPartitionsWithIndex after a shuffle",
        lambda i: i.numbers.repartition(3).mapPartitionsWithIndex(lambda index, part: [index]),
        [[0, 1, 2]] * BATCHES, THREE),
    Row("glom", lambda i: i.numbers.glom(), [[[1, 2], [3, 4]], [[], []], [[], [5]], [[]]], FEW),
    Row("mapValues", lambda i: i.pairs.mapValues(lambda v: (v,)),
        [[("a", (1,)), ("a", (3,)), ("b", (2,))], [], [("c", (None,))], []], FEW),
    Row("flatMapValues", lambda i: i.pairs.flatMapValues(lambda v: range(v or 0)),
        [[("a", 0), ("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)], [], [], []], FEW),
    Row("count", lambda i: i.numbers.count(), [[4], [0], [1], [0]], ONE),
    Row("count after a filter", lambda i: i.numbers.filter(lambda n: n > 4).count(), [[0], [0], [1], [0]], ONE),
    Row("count after a shuffle", lambda i: i.numbers.repartition(3).count(), [[4], [0], [1], [0]], ONE),
    Row("count of a count", lambda i: i.numbers.count().count(), [[1]] * BATCHES, ONE),
    Row("count of groups", lambda i: i.pairs.groupByKey().count(), [[2], [0], [1], [0]], ONE),
    Row("reduce", lambda i: i.numbers.reduce(add), [[10], [], [5], []], ONE),
    Row("reduce after a shuffle", lambda i: i.numbers.repartition(2).reduce(max), [[4], [], [5], []], ONE),
    Row("countByValue", lambda i: i.words.countByValue(),
        [[("ü", 2), ("\U0001f600 x", 1), ("", 1)], [(None, 2)], [(("tuple", 1), 1), (b"bytes", 1)], []], TWO),
    Row("reduceByKey", lambda i: i.pairs.reduceByKey(add), [[("a", 4), ("b", 2)], [], [("c", None)], []], TWO),
    Row("reduceByKey into 3",
        lambda i: i.pairs.reduceByKey(add, 3), [[("a", 4), ("b", 2)], [], [("c", None)], []], THREE),
    Row("reduceByKey into 1", lambda i: i.pairs.reduceByKey(operator.add, numPartitions=1),
        [[("a", 4), ("b", 2)], [], [("c", None)], []], ONE),
    Row("combineByKey", lambda i: i.pairs.combineByKey(str, lambda c, v: c + str(v), add).mapValues(sorted),
        [[("a", ["1", "3"]), ("b", ["2"])], [], [("c", ["N", "e", "n", "o"])], []], TWO),
    Row("combineByKey into 3",
        lambda i: i.pairs.combineByKey(lambda v: [v], lambda c, v: [*c, v], add, 3).mapValues(len),
        [[("a", 2), ("b", 1)], [], [("c", 1)], []], THREE),
    Row("groupByKey", lambda i: i.pairs.groupByKey().mapValues(lambda vs: sorted(vs, key=str)),
        [[("a", [1, 3]), ("b", [2])], [], [("c", [None])], []], TWO),
    Row("groupByKey gives ResultIterables",
        lambda i: i.pairs.groupByKey(1).map(lambda kv: (kv[0], type(kv[1]).__name__, len(kv[1]), len(list(kv[1])))),
        [[("a", "ResultIterable", 2, 2), ("b", "ResultIterable", 1, 1)], [], [("c", "ResultIterable", 1, 1)], []], ONE),
    Row("values that cannot be hashed", lambda i: i.pairs.map(lambda kv: (kv[0], {"v": [kv[1]]})).groupByKey()
        .mapValues(lambda vs: sorted(vs, key=str)),
        [[("a", [{"v": [1]}, {"v": [3]}]), ("b", [{"v": [2]}])], [], [("c", [{"v": [None]}])], []], TWO),
    Row("keys of several types", lambda i: i.words.map(lambda w: (w, 1)).reduceByKey(add),
        [[("ü", 2), ("\U0001f600 x", 1), ("", 1)], [(None, 2)], [(("tuple", 1), 1), (b"bytes", 1)], []], TWO),
    Row("repartition up", lambda i: i.numbers.repartition(5), [[1, 2, 3, 4], [], [5], []], [5] * BATCHES),
    Row("repartition down", lambda i: i.numbers.repartition(1), [[1, 2, 3, 4], [], [5], []], ONE),
    Row("partitionBy", lambda i: i.numbers.map(lambda n: (n, str(n))).partitionBy(3),
        [[(n, str(n)) for n in (1, 2, 3, 4)], [], [(5, "5")], []], THREE,
        [[[(3, "3")], [(1, "1"), (4, "4")], [(2, "2")]], [[], [], []], [[], [], [(5, "5")]], [[], [], []]]),
    Row("partitionBy a function", lambda i: i.numbers.map(lambda n: (n, None)).partitionBy(2, lambda key: key // 2),
        [[(n, None) for n in (1, 2, 3, 4)], [], [(5, None)], []], TWO,
        [[[(1, None), (4, None)], [(2, None), (3, None)]], [[], []], [[(5, None)], []], [[], []]]),
    Row("partitionBy negative", lambda i: i.numbers.map(lambda n: (n, None)).partitionBy(2, lambda key: -key),
        [[(n, None) for n in (1, 2, 3, 4)], [], [(5, None)], []], TWO,
        [[[(2, None), (4, None)], [(1, None), (3, None)]], [[], []], [[], [(5, None)]], [[], []]]),
    Row("mapPartitions after a shuffle",
        lambda i: i.pairs.partitionBy(3).mapPartitions(lambda part: [sum(1 for _ in part)])
        .mapPartitions(lambda part: [sum(part)] * 2).reduce(add), [[6], [0], [2], [0]], ONE),
    Row("union", lambda i: i.numbers.union(i.words), [[1, 2, 3, 4, "ü", "\U0001f600 x", "", "ü"], [None, None],
        [5, ("tuple", 1), b"bytes"], []], [4, 4, 4, 2]),
    Row("union of what was mapped", lambda i: i.numbers.map(str).union(i.numbers.filter(lambda n: n == 2)),
        [["1", "2", "3", "4", 2], [], ["5"], []], [4, 4, 4, 2]),
    Row("union with a shuffle", lambda i: i.numbers.union(i.numbers.repartition(3)),
        [[1, 1, 2, 2, 3, 3, 4, 4], [], [5, 5], []], [5, 5, 5, 4]),
    Row("union with itself",
        lambda i: i.numbers.union(i.numbers), [[1, 1, 2, 2, 3, 3, 4, 4], [], [5, 5], []], [4, 4, 4, 2]),
    Row("union and further", lambda i: i.pairs.union(i.others).mapValues(lambda v: 1).reduceByKey(add),
        [[("a", 3), ("b", 1), ("d", 1)], [("a", 1)], [("c", 2)], []], TWO),
    Row("union keeps the order of partitions", lambda i: i.numbers.union(i.numbers.map(lambda n: -n)),
        [[1, 2, 3, 4, -1, -2, -3, -4], [], [5, -5], []], [4, 4, 4, 2],
        [[[1, 2], [3, 4], [-1, -2], [-3, -4]], [[]] * 4, [[], [5], [], [-5]], [[], []]]),
    Row("ssc.union of three", lambda i: i.ssc.union(i.numbers, i.numbers.map(str), i.numbers.count()),
        [[1, 2, 3, 4, "1", "2", "3", "4", 4], [0], [5, "5", 1], [0]], [5, 5, 5, 3]),
    Row("cogroup", lambda i: i.pairs.cogroup(i.others).mapValues(both),
        [[("a", ([1, 3], ["x"])), ("b", ([2], [])), ("d", ([], ["y"]))], [("a", ([], ["z"]))],
         [("c", ([None], [[1]]))], []], TWO),
    Row("cogroup gives ResultIterables", lambda i: i.pairs.cogroup(i.others, 1)
        .map(lambda kv: (kv[0], *(type(side).__name__ for side in kv[1]))).filter(lambda r: r[0] != "a"),
        [[("b", *["ResultIterable"] * 2), ("d", *["ResultIterable"] * 2)], [], [("c", *["ResultIterable"] * 2)], []],
        ONE),
    Row("join",
        lambda i: i.pairs.join(i.others), [[("a", (1, "x")), ("a", (3, "x"))], [], [("c", (None, [1]))], []], TWO),
    Row("join into 3", lambda i: i.pairs.join(i.others, numPartitions=3),
        [[("a", (1, "x")), ("a", (3, "x"))], [], [("c", (None, [1]))], []], THREE),
    Row("leftOuterJoin", lambda i: i.pairs.leftOuterJoin(i.others),
        [[("a", (1, "x")), ("a", (3, "x")), ("b", (2, None))], [], [("c", (None, [1]))], []], TWO),
    Row("rightOuterJoin", lambda i: i.pairs.rightOuterJoin(i.others),
        [[("a", (1, "x")), ("a", (3, "x")), ("d", (None, "y"))], [("a", (None, "z"))], [("c", (None, [1]))], []], TWO),
    Row("fullOuterJoin", lambda i: i.pairs.fullOuterJoin(i.others),
        [[("a", (1, "x")), ("a", (3, "x")), ("b", (2, None)), ("d", (None, "y"))], [("a", (None, "z"))],
         [("c", (None, [1]))], []], TWO),
    Row("join with itself", lambda i: i.pairs.join(i.pairs),
        [[("a", (1, 1)), ("a", (1, 3)), ("a", (3, 1)), ("a", (3, 3)), ("b", (2, 2))], [], [("c", (None, None))], []],
        TWO),
    Row("join of reduced and grouped",
        lambda i: i.pairs.reduceByKey(add, 2).join(i.others.groupByKey(2).mapValues(len), 2),
        [[("a", (4, 1))], [], [("c", (None, 1))], []], TWO),
    Row("transform", lambda i: i.numbers.transform(lambda rdd: rdd.sortBy(lambda n: -n, numPartitions=1)),
        [[4, 3, 2, 1], [], [5], []], ONE, [[[4, 3, 2, 1]], [[]], [[5]], [[]]]),
    Row("transform with the time", lambda i: i.numbers.transform(time_and_count),
        [[("datetime", None, 0, n)] for n in (4, 0, 1, 0)], ONE),
    Row("transform to a pair RDD of the JVM", lambda i: i.numbers.transform(lambda rdd: rdd.zip(rdd.map(str))),
        [[(n, str(n)) for n in (1, 2, 3, 4)], [], [(5, "5")], []], FEW),
    Row("transform with an RDD of the program",
        lambda i: join_with(i.pairs, i.sc.parallelize([("a", "A"), ("c", "C")])),
        [[("a", (1, "A")), ("a", (3, "A"))], [], [("c", (None, "C"))], []], TWO),
    Row("transform to no RDD", lambda i: i.nothing, [None, [], [("c", None)], None], [None, 2, 2, None]),
    Row("map of no RDD", lambda i: i.nothing.map(lambda kv: kv[0]), [None, [], ["c"], None], [None, 2, 2, None]),
    Row("reduceByKey of no RDD",
        lambda i: i.nothing.reduceByKey(add), [None, [], [("c", None)], None], [None, 2, 2, None]),
    Row("transform of no RDD is not called", lambda i: i.nothing.transform(lambda rdd: rdd.map(lambda kv: 1)),
        [None, [], [1], None]),
    Row("join with no RDD", lambda i: i.others.join(i.nothing), [[], [], [("c", ([1], None))], []], TWO),
    Row("leftOuterJoin with no RDD", lambda i: i.others.leftOuterJoin(i.nothing),
        [[("a", ("x", None)), ("d", ("y", None))], [("a", ("z", None))], [("c", ([1], None))], []], TWO),
    Row("union with no RDD", lambda i: i.others.union(i.nothing),
        [[("a", "x"), ("d", "y")], [("a", "z")], [("c", [1]), ("c", None)], []], [2, 4, 4, 1]),
    Row("no RDD in a union on the left", lambda i: i.nothing.union(i.others),
        [[("a", "x"), ("d", "y")], [("a", "z")], [("c", [1]), ("c", None)], []], [2, 4, 4, 1]),
    Row("transformWith no RDD", lambda i: i.others.transformWith(lambda a, b: a.union(b), i.nothing),
        [[("a", "x"), ("d", "y")], [("a", "z")], [("c", [1]), ("c", None)], []], [2, 4, 4, 1]),
    Row("transform to something false", lambda i: i.numbers.transform(lambda rdd: []), [None] * BATCHES),
    Row("transform, map, reduceByKey", lambda i: i.numbers.transform(lambda rdd: rdd.filter(lambda n: n != 2))
        .map(lambda n: (n % 2, n)).reduceByKey(add), [[(1, 4), (0, 4)], [], [(1, 5)], []], TWO),
    Row("map, transform, count",
        lambda i: i.numbers.map(str).transform(lambda rdd: rdd.filter(lambda s: s > "1")).count(),
        [[3], [0], [1], [0]], ONE),
    Row("count of an empty RDD without partitions",
        lambda i: i.numbers.transform(lambda rdd: rdd.context.emptyRDD()).count(),
        NONE, ONE),
    Row("two transforms in a row", lambda i: i.numbers.transform(lambda rdd: rdd.map(lambda n: n + 1))
        .transform(lambda time, rdd: rdd.map(lambda n: n * 2)), [[4, 6, 8, 10], [], [12], []], FEW),
    Row("transformWith", lambda i: i.pairs.transformWith(lambda a, b: a.subtractByKey(b, 2), i.others),
        [[("b", 2)], [], [], []], TWO),
    Row("transformWith the time", lambda i: i.pairs.transformWith(
        lambda time, a, b: a.context.parallelize([(isinstance(time, datetime), a.count(), b.count())], 1), i.others),
        [[(True, 3, 2)], [(True, 0, 1)], [(True, 1, 1)], [(True, 0, 0)]], ONE),
    Row("ssc.transform gets a tuple", lambda i: i.ssc.transform(
        [i.numbers, i.pairs, i.others],
        lambda rdds: rdds[0].context.parallelize([(type(rdds).__name__, *(rdd.count() for rdd in rdds))], 1)),
        [[("tuple", 4, 3, 2)], [("tuple", 0, 0, 1)], [("tuple", 1, 1, 1)], [("tuple", 0, 0, 0)]], ONE),
    Row("ssc.transform of one", lambda i: i.ssc.transform([i.numbers.map(str)], lambda rdds: rdds[0].distinct(2)),
        [["1", "2", "3", "4"], [], ["5"], []], TWO),
    Row("oneAtATime=False", lambda i: i.ssc.queueStream([[1], [2], [3]], False),
        [[1, 2, 3], [], [], []], [6, 1, 1, 1], [[[], [1], [], [2], [], [3]], [[]], [[]], [[]]]),
    Row("oneAtATime=False and a default", lambda i: i.ssc.queueStream([[1], [2]], oneAtATime=False, default=[9, 9]),
        [[1, 2], [9, 9], [9, 9], [9, 9]], [4, 2, 2, 2]),
    Row("a default alone", lambda i: i.ssc.queueStream([], default=[9]), [[], [9], [9], [9]], TWO),
    Row("a queue of RDDs", lambda i: i.ssc.queueStream(
        [i.sc.parallelize(range(6), 3), i.sc.emptyRDD(), i.sc.parallelize([7], 1).map(str)],
        default=i.sc.parallelize([0], 1)),
        [[0, 1, 2, 3, 4, 5], [], ["7"], [0]], [3, 0, 1, 1], [[[0, 1], [2, 3], [4, 5]], [], [["7"]], [[0]]]),
]  # fmt: skip


@pytest.fixture(scope="module")
def results(spark_context: SparkContext) -> list[dict[str, Parts | None]]:
    """Partitions of every row of the table in each batch."""
    batches: list[dict[str, Parts | None]] = [{} for _ in range(BATCHES)]
    for first in range(0, len(TABLE), AT_ONCE):
        inputs = Inputs.of(StreamingContext(spark_context, 1))
        streams = {row.name: row.program(inputs) for row in TABLE[first : first + AT_ONCE]}
        for batch, found in zip(batches, run_table(inputs.ssc, streams, inputs.numbers, BATCHES), strict=True):
            batch.update(found)
    return batches


def in_any_order(records: list[Any] | None) -> list[Any] | None:
    return None if records is None else sorted(records, key=repr)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_operation(row: Row, results: list[dict[str, Parts | None]]) -> None:
    found = [batch[row.name] for batch in results]
    assert [in_any_order(flatten(parts)) for parts in found] == [in_any_order(batch) for batch in row.expected]
    if row.parts is not None:
        assert [None if parts is None else len(parts) for parts in found] == row.parts
    if row.exact is not None:
        assert [parts and [in_any_order(part) for part in parts] for parts in found] == [
            parts and [in_any_order(part) for part in parts] for parts in row.exact
        ]


def test_the_order_within_narrow_partitions_stays(results: list[dict[str, Parts | None]]) -> None:
    assert results[0]["map"] == [[10, 20], [30, 40]]
    assert results[0]["flatMap"] == [[0, 0, 1], [0, 1, 2, 0, 1, 2, 3]]
    assert results[0]["transform"] == [[4, 3, 2, 1]]


# ---------------------------------------------------------------------- computed once, kept, looked up

Streaming = Callable[..., StreamingContext]


def counted(ssc: StreamingContext) -> tuple[Callable[[Any], Any], Callable[[], int]]:
    """A function that returns its argument, and how often it has been called, in any process."""
    calls = ssc.sparkContext.accumulator(0)

    def count(record: Any) -> Any:
        calls.add(1)
        return record

    return count, lambda: calls.value


def test_what_several_operations_read_is_computed_once(streaming: Streaming) -> None:
    ssc = streaming()
    (plain, plain_calls), (shared, shared_calls), (keyed, keyed_calls) = (counted(ssc) for _ in range(3))
    numbers = ssc.queueStream([[1, 2, 3, 4]])
    single = numbers.map(plain).map(str)
    twice = numbers.map(shared)
    pairs = numbers.map(lambda n: (n % 2, n)).map(keyed).reduceByKey(add)
    streams = {
        "single": single,
        "twice": twice,
        "doubled": twice.map(lambda n: 2 * n),
        "self": twice.union(twice).count(),
        "joined": pairs.join(pairs.mapValues(lambda v: -v)),
    }
    (first,) = run_batches(ssc, streams, 1)
    assert first["single"] == ["1", "2", "3", "4"]
    assert first["twice"] == [1, 2, 3, 4]
    assert first["doubled"] == [2, 4, 6, 8]
    assert first["self"] == [8]
    assert sorted(first["joined"]) == [(0, (6, -6)), (1, (4, -4))]
    assert (plain_calls(), shared_calls(), keyed_calls()) == (4, 4, 4)


def test_a_transform_function_is_called_once_for_all_its_readers(streaming: Streaming) -> None:
    ssc = streaming()
    calls: list[int] = []

    def function(rdd: RDD[Any]) -> RDD[Any]:
        calls.append(1)
        return rdd.map(lambda n: n + 1)

    changed = ssc.queueStream([[1], [2]]).transform(function)
    streams = {"a": changed, "b": changed.map(str), "c": changed.transform(lambda rdd: rdd.map(repr))}
    found = run_batches(ssc, streams, 2)
    assert found == [{"a": [2], "b": ["2"], "c": ["2"]}, {"a": [3], "b": ["3"], "c": ["3"]}]
    assert calls[:2] == [1, 1]


@pytest.mark.parametrize("level", [None, StorageLevel.DISK_ONLY], ids=["cache", "persist"])
def test_a_cached_stream_is_computed_once(streaming: Streaming, level: StorageLevel | None) -> None:
    ssc = streaming()
    before, before_calls = counted(ssc)
    after, after_calls = counted(ssc)
    numbers = ssc.queueStream([[1, 2, 3]])
    lifted = numbers.map(before)
    batch_side = numbers.transform(lambda rdd: rdd.map(after))
    for stream in (lifted, batch_side):
        assert (stream.cache() if level is None else stream.persist(level)) is stream
        assert stream.is_cached
    levels: list[Any] = []
    lifted.foreachRDD(lambda rdd: levels.append(rdd.getStorageLevel()))
    lifted.foreachRDD(lambda rdd: (rdd.count(), rdd.collect()))
    streams = {"lifted": lifted.map(str), "batch": batch_side.map(str), "again": batch_side.count()}
    (first,) = run_batches(ssc, streams, 1)
    assert first == {"lifted": ["1", "2", "3"], "batch": ["1", "2", "3"], "again": [3]}
    assert (before_calls(), after_calls()) == (3, 3)
    expected = StorageLevel.MEMORY_ONLY if level is None else level
    assert (levels[0].useDisk, levels[0].useMemory) == (expected.useDisk, expected.useMemory)


def test_storage_levels_are_a_stream_s_own(streaming: Streaming) -> None:
    """On the old engine a window changes the level of the stream it is made of, and checkpoint() that of its own."""
    parent = streaming().queueStream([[1]]).map(str).persist(StorageLevel.DISK_ONLY)
    window = parent.window(2).persist(StorageLevel.MEMORY_ONLY)
    assert parent._node.storage_level == StorageLevel.DISK_ONLY
    assert window._node.storage_level == StorageLevel.MEMORY_ONLY
    checkpointed = parent.map(str).checkpoint(1)
    assert checkpointed._node.storage_level is None and not checkpointed.is_cached


def test_persisted_rdds_are_given_back(streaming: Streaming, spark_context: SparkContext) -> None:
    ssc = streaming()
    before = set(spark_context._jsc.getPersistentRDDs())
    ssc.remember(60)
    run_batches(ssc, ssc.queueStream([[1], [2], [3]]).map(str).cache(), 3)
    left = set(spark_context._jsc.getPersistentRDDs()) - before
    assert left == set(), "after the end of the program"


def test_slice_of_remembered_batches(streaming: Streaming) -> None:
    ssc = streaming()
    ssc.remember(60)
    numbers = ssc.queueStream([[1], [2], [], [4]])
    changed = numbers.transform(lambda rdd: rdd.map(lambda n: -n))
    sometimes = numbers.transform(lambda time, rdd: rdd if time.second % 2 else None)
    times: list[datetime] = []
    found: dict[str, Any] = {}

    def look(time: datetime, rdd: RDD[Any]) -> None:
        times.append(time)
        if len(times) == 4:
            seconds = [moment.timestamp() for moment in times]

            def of(stream: DStream[Any], begin: Any, end: Any) -> list[Any]:
                return [rdd.collect() for rdd in stream.slice(begin, end)]

            found["all"] = of(changed, times[0], times[3])
            found["source"] = of(numbers, times[1], times[3])
            found["one"] = of(changed, seconds[1], seconds[1])
            found["floor"] = of(changed, seconds[1] + 0.9, seconds[2] + 0.9)
            found["before and after"] = of(changed, seconds[0] - 100, seconds[3] + 100)
            found["backwards"] = of(changed, times[3], times[0])
            found["none at odd times"] = len(sometimes.slice(times[0], times[3]))

    changed.foreachRDD(look)
    numbers.foreachRDD(lambda rdd: None)
    sometimes.foreachRDD(lambda rdd: None)
    with pytest.raises(DStreamStateError, match="has not been initialized; call start"):
        numbers.slice(0, 1)
    run_batches(ssc, changed, 4)
    assert found == {
        "all": [[-1], [-2], [], [-4]],
        "source": [[2], [], [4]],
        "one": [[-2]],
        "floor": [[-2], []],
        "before and after": [[-1], [-2], [], [-4]],
        "backwards": [],
        "none at odd times": 2,
    }


def test_a_queue_of_lists_and_rdds_and_its_slice_after_stop(streaming: Streaming, spark_context: SparkContext) -> None:
    ssc = streaming()
    ssc.remember(60)
    queue = [spark_context.parallelize(["RDD"], 1).map(str), [2, 3], spark_context.parallelize([4], 1), (5,)]
    numbers = ssc.queueStream(queue)
    changed = numbers.transform(lambda rdd: rdd.map(repr))
    changed.foreachRDD(lambda rdd: None)
    batches = [["RDD"], [2, 3], [4], [5]]
    assert run_batches(ssc, numbers, 4) == batches
    now = datetime.now().timestamp()
    assert [rdd.collect() for rdd in numbers.slice(0, now + 60)][:4] == batches
    assert [rdd.collect() for rdd in changed.slice(0, now + 60)][:4] == [[repr(x) for x in b] for b in batches]


def test_slice_of_a_stream_inside_the_plan_says_what_to_do(streaming: Streaming) -> None:
    ssc = streaming()
    inside = ssc.queueStream([[1]]).map(str)
    end = inside.map(len)
    errors: list[BaseException] = []

    def look(time: datetime, rdd: RDD[Any]) -> list[Any]:
        for begin in (time, "yesterday"):
            try:
                inside.slice(begin, time)  # type: ignore[arg-type]
            except DStreamError as error:
                errors.append(error)
        return rdd.collect()

    end.foreachRDD(look)
    assert run_batches(ssc, end, 1) == [[1]]
    assert "exist inside the streaming plan only" in str(errors[0])
    assert "remember(seconds) before start()" in str(errors[0])
    assert isinstance(errors[1], DStreamTypeError)


# ---------------------------------------------------------------------- explain


def test_explain_tells_where_everything_runs(streaming: Streaming, capsys: pytest.CaptureFixture[str]) -> None:
    ssc = streaming()
    numbers = ssc.queueStream([[1], [2]])
    pairs = numbers.map(lambda n: (n, 1))
    reduced = pairs.reduceByKey(add)
    changed = reduced.transform(lambda rdd: rdd)
    kept = changed.map(str).cache()
    unused = numbers.filter(bool)
    reduced.union(numbers.map(lambda n: (n, 0))).count().pprint()
    kept.foreachRDD(lambda rdd: None)
    text = ssc.explain()
    assert capsys.readouterr().out == text + "\n"
    lines = text.splitlines()
    assert lines[0] == "== DStream program =="
    here = "test_operations.py:"
    first = int(lines[1].partition(here)[2].partition(")")[0])
    assert lines[1:] == [
        f"[0] queueStream(2 elements)  ({here}{first}): streaming plan",
        f"[1] map of [0]  ({here}{first + 1}): streaming plan",
        f"[2] reduceByKey of [1]  ({here}{first + 2}): streaming plan, handed over to the batch side, "
        "computed once for several readers",
        f"[3] transform of [2]  ({here}{first + 3}): batch side",
        f"[4] map of [3]  ({here}{first + 4}): batch side, cached",
        f"[5] filter of [0]  ({here}{first + 5}): not used by any output",
        f"[6] map of [0]  ({here}{first + 6}): streaming plan, handed over to the batch side",
        f"[7] union of [2], [6]  ({here}{first + 6}): batch side",
        f"[8] count of [7]  ({here}{first + 6}): batch side",
        f"output 0: pprint of [8]  ({here}{first + 6}): batch side",
        f"output 1: foreachRDD of [4]  ({here}{first + 7}): batch side",
    ]
    assert repr(unused) == f"DStream([5] filter at {here}{first + 5})"


def test_explain_of_a_running_program_shows_sparks_plan(streaming: Streaming) -> None:
    ssc = streaming()
    ssc.queueStream([[1]]).map(lambda n: (n, 1)).reduceByKey(add).foreachRDD(lambda rdd: None)
    ssc.start()
    text = ssc.explain()
    ssc.stop(stopSparkContext=False)
    assert "== Streaming plan" in text
    assert "MapInArrow" in text
    assert "Repartition" in text
    assert "queueStream(1 elements)" in text


# ---------------------------------------------------------------------- what is refused


def pair_of_contexts(streaming: Streaming) -> tuple[DStream[Any], DStream[Any]]:
    return streaming().queueStream([[1]]), streaming().queueStream([[1]])


@pytest.mark.parametrize("wrong", [0, -1, True, "2", 1.0])
@pytest.mark.parametrize(
    "operation",
    [
        lambda s, n: s.reduceByKey(add, n),
        lambda s, n: s.combineByKey(str, add, add, n),
        lambda s, n: s.groupByKey(n),
        lambda s, n: s.repartition(n),
        lambda s, n: s.partitionBy(n),
        lambda s, n: s.join(s, n),
        lambda s, n: s.leftOuterJoin(s, n),
        lambda s, n: s.rightOuterJoin(s, n),
        lambda s, n: s.fullOuterJoin(s, n),
        lambda s, n: s.cogroup(s, n),
    ],
)
def test_numbers_of_partitions(streaming: Streaming, operation: Callable[[Any, Any], Any], wrong: Any) -> None:
    with pytest.raises(DStreamValueError, match="Number of partitions must be positive"):
        operation(streaming().queueStream([[1]]), wrong)


@pytest.mark.parametrize("operation", ["join", "leftOuterJoin", "rightOuterJoin", "fullOuterJoin", "cogroup", "union"])
def test_the_other_side_must_be_a_stream(streaming: Streaming, operation: str) -> None:
    ssc = streaming()
    stream = ssc.queueStream([[1]])
    for other in (ssc.sparkContext.emptyRDD(), None, [1]):
        with pytest.raises(DStreamTypeError, match=f"{operation}: the other side must be a DStream"):
            getattr(stream, operation)(other)


def test_streams_of_two_contexts_do_not_mix(streaming: Streaming) -> None:
    ours, theirs = pair_of_contexts(streaming)
    with pytest.raises(DStreamValueError, match="belong to different StreamingContexts"):
        ours.union(theirs)
    with pytest.raises(DStreamValueError, match="different contexts"):
        ours.context().union(ours, theirs)
    with pytest.raises(DStreamValueError, match="different contexts"):
        ours.context().transform([ours, theirs], lambda rdds: rdds[0])
    for operation in ("join", "cogroup", "leftOuterJoin", "rightOuterJoin", "fullOuterJoin"):
        with pytest.raises(DStreamValueError):
            getattr(ours, operation)(theirs)
    with pytest.raises(DStreamValueError):
        ours.transformWith(lambda a, b: a, theirs)


def test_streams_with_different_slides_do_not_mix(streaming: Streaming) -> None:
    ssc = streaming()
    fast = ssc.queueStream([[1]])
    slow = fast.window(2, 2)
    with pytest.raises(DStreamValueError, match="the two DStream should have same slide duration"):
        fast.union(slow)
    with pytest.raises(DStreamValueError, match="All DStreams should have same slide duration"):
        ssc.union(fast, slow)
    with pytest.raises(DStreamValueError, match="Some of the DStreams have different slide durations"):
        ssc.transform([fast, slow], lambda rdds: rdds[0])


def test_union_of_none_or_one(streaming: Streaming) -> None:
    ssc = streaming()
    stream = ssc.queueStream([[1]])
    assert ssc.union(stream) is stream
    with pytest.raises(DStreamValueError, match="should have at least one DStream to union"):
        ssc.union()
    with pytest.raises(DStreamTypeError, match="union: expected DStreams, got int"):
        ssc.union(stream, 5)  # type: ignore[arg-type]


def test_transform_refuses(streaming: Streaming) -> None:
    ssc = streaming()
    stream = ssc.queueStream([[1]])
    with pytest.raises(DStreamTypeError, match="func should take one or two arguments"):
        stream.transform(lambda a, b, c: a)
    with pytest.raises(DStreamTypeError, match="func should take two or three arguments"):
        stream.transformWith(lambda a: a, stream)
    with pytest.raises(DStreamTypeError, match="func should take one or two arguments"):
        stream.foreachRDD(lambda: None)
    with pytest.raises(DStreamTypeError, match="foreachRDD: func must be a function"):
        stream.foreachRDD(None)  # type: ignore[arg-type]
    with pytest.raises(DStreamTypeError, match="transformFunc must be a function"):
        ssc.transform([stream], None)  # type: ignore[arg-type]
    with pytest.raises(DStreamValueError, match="at least one DStream"):
        ssc.transform([], lambda rdds: rdds[0])
    with pytest.raises(DStreamTypeError, match=r"storageLevel must be a pyspark\.StorageLevel"):
        stream.persist("MEMORY")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([],), DStreamValueError, "the queue is empty and there is no default"),
        (([], True, []), DStreamValueError, "the queue is empty and there is no default"),
        ((iter([[1]]),), DStreamTypeError, "rdds must be a list of RDDs or lists"),
        (("abc",), DStreamTypeError, "rdds must be a list of RDDs or lists, got str"),
        ((None,), DStreamTypeError, "rdds must be a list of RDDs or lists, got NoneType"),
        (([1, 2],), DStreamTypeError, "queueStream"),
    ],
)
def test_queueStream_refuses(streaming: Streaming, arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        streaming().queueStream(*arguments)


def test_the_queue_is_copied(streaming: Streaming) -> None:
    ssc = streaming()
    queue = [[1], [2]]
    stream = ssc.queueStream(queue)
    queue[0] = [9]
    queue[1].append(9)
    queue.append([9])
    assert run_batches(ssc, stream, 3) == [[1], [2], []]


def test_a_context_knows_its_streams(streaming: Streaming, spark_context: SparkContext) -> None:
    ssc = streaming()
    stream = ssc.queueStream([[1]])
    assert stream.context() is ssc
    assert ssc.sparkContext is spark_context
