"""The same programs on the engine that PySpark ships and on this one, batch by batch.

A program is written once, against the public API. They run side by side on the same queues, many in one context,
on the old engine and then on ours; each program then has a test of its own. Left out is what is different on
purpose: the truthy result of a foreachRDD function, a union whose left side has no RDD, operations on a stream
that has no RDD, unions of streams that are serialized differently.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from pyspark import RDD, SparkContext

from tests.parity.side_by_side import Program, Result, add, listed, normal, on_both_engines, table, wanted

pytestmark = pytest.mark.parity

BATCHES = 3
AT_ONCE = 10
"""Programs that run in one context. Each task knows the plans of all of them, so that more of them take longer."""


@dataclass
class Inputs:
    """Queues that all programs read; the streams are of either engine."""

    ssc: Any
    pulse: Any
    numbers: Any
    pairs: Any
    others: Any
    words: Any

    @classmethod
    def of(cls, ssc: Any) -> Inputs:
        sc = ssc.sparkContext
        words = ["to be or not to be", "", "ü \U0001f600", "that is"]
        numbers = ssc.queueStream([[1, 2, 3, 4, 5], [], [6]])
        return cls(
            ssc,
            numbers,
            numbers,
            ssc.queueStream([sc.parallelize([("a", 1), ("b", 2), ("a", 3), ("c", None)], 3), sc.parallelize([], 2)]),
            ssc.queueStream([[("a", "x"), ("d", [1])], [("a", "y")], []], default=[("z", "default")]),
            ssc.queueStream([words, ["be"], ["x"]], oneAtATime=False),
        )


def both(sides: Any) -> tuple[list[Any], list[Any]]:
    return listed(sides[0]), listed(sides[1])


def sometimes(stream: Any) -> Any:
    """A stream that has an RDD in every second batch only."""
    seen: list[int] = []

    def function(rdd: RDD[Any]) -> RDD[Any] | None:
        seen.append(1)
        return rdd if len(seen) % 2 else None

    return stream.transform(function)


def elapsed(stream: Any) -> Any:
    """Seconds since the batch before, and the type of the batch time."""
    before: list[datetime] = []

    def function(time: datetime, rdd: RDD[Any]) -> RDD[Any]:
        before.append(time)
        seconds = (time - before[-2]).total_seconds() if len(before) > 1 else None
        return rdd.context.parallelize([(type(time).__name__, time.tzinfo, seconds)], 1)

    return stream.transform(function)


def join_with(stream: Any, table: RDD[Any]) -> Any:
    return stream.transform(lambda rdd: rdd.join(table, 2))


def counts(rdds: Any) -> RDD[Any]:
    return rdds[0].context.parallelize([(type(rdds).__name__, [rdd.count() for rdd in rdds])], 1)


PROGRAMS = [
    Program("queue of lists", lambda i: i.numbers),
    Program("queue of RDDs", lambda i: i.pairs),
    Program("queue with a default", lambda i: i.others),
    Program("queue taken at once", lambda i: i.words),
    Program("empty queue with a default", lambda i: i.ssc.queueStream([], default=[9])),
    Program("flatMap", lambda i: i.words.flatMap(lambda line: line.split(" "))),
    Program("filter", lambda i: i.numbers.filter(lambda n: n % 2 == 0)),
    Program("mapPartitions", lambda i: i.numbers.mapPartitions(lambda part: [sum(part)])),
    Program("mapPartitionsWithIndex", lambda i: i.numbers.mapPartitionsWithIndex(lambda n, part: [(n, list(part))])),
    Program("mapValues", lambda i: i.pairs.mapValues(lambda v: (v, v))),
    Program("flatMapValues", lambda i: i.pairs.flatMapValues(lambda v: range(v or 0))),
    Program("glom", lambda i: i.numbers.glom()),
    Program("count", lambda i: i.numbers.count()),
    Program("count after a shuffle", lambda i: i.pairs.groupByKey().count()),
    Program("count without partitions", lambda i: i.numbers.transform(lambda rdd: rdd.context.emptyRDD()).count()),
    Program("reduce", lambda i: i.numbers.reduce(max)),
    Program("countByValue", lambda i: i.numbers.map(lambda n: n % 2).countByValue()),
    Program("reduceByKey", lambda i: i.pairs.filter(lambda kv: kv[1]).reduceByKey(add)),
    Program("combineByKey", lambda i: i.pairs.combineByKey(lambda v: [v], lambda c, v: [*c, v], add).mapValues(listed)),
    Program("groupByKey", lambda i: i.pairs.groupByKey().mapValues(listed)),
    Program("repartition up", lambda i: i.numbers.repartition(4), by_partition=False),
    Program("repartition down", lambda i: i.numbers.repartition(1)),
    Program("partitionBy", lambda i: i.numbers.map(lambda n: (n, str(n))).partitionBy(3)),
    Program("word count", lambda i: i.words.flatMap(lambda s: s.split()).map(lambda w: (w, 1)).reduceByKey(add)),
    Program("union", lambda i: i.numbers.map(str).union(i.words.map(len))),
    Program("union with itself", lambda i: (lambda m: m.union(m))(i.numbers.map(str))),
    Program("union with no RDD", lambda i: i.others.map(lambda kv: kv).union(sometimes(i.pairs.map(lambda kv: kv)))),
    Program("ssc.union", lambda i: i.ssc.union(i.numbers.map(str), i.words.map(str), i.numbers.count())),
    Program("union, then reduceByKey",
            lambda i: i.pairs.mapValues(str).union(i.others.mapValues(str)).reduceByKey(min)),
    Program("cogroup", lambda i: i.pairs.cogroup(i.others).mapValues(both)),
    Program("join", lambda i: i.pairs.join(i.others)),
    Program("leftOuterJoin", lambda i: i.pairs.leftOuterJoin(i.others)),
    Program("rightOuterJoin", lambda i: i.pairs.rightOuterJoin(i.others)),
    Program("fullOuterJoin", lambda i: i.pairs.fullOuterJoin(i.others)),
    Program("join with itself", lambda i: i.others.join(i.others.mapValues(str))),
    Program("join with no RDD", lambda i: i.others.leftOuterJoin(sometimes(i.pairs))),
    Program("cogroup with no RDD", lambda i: sometimes(i.pairs).cogroup(i.others).mapValues(both)),
    Program("transform", lambda i: i.numbers.transform(lambda rdd: rdd.sortBy(lambda n: -n, numPartitions=1))),
    Program("transform with the time", lambda i: elapsed(i.numbers)),
    Program("transform to no RDD", lambda i: sometimes(i.numbers)),
    Program("transform to something false", lambda i: i.numbers.transform(lambda rdd: 0)),
    Program("transform to a pair RDD of the JVM", lambda i: i.numbers.transform(lambda rdd: rdd.zip(rdd.map(str)))),
    Program("transform, map, reduceByKey", lambda i: i.numbers.transform(lambda rdd: rdd.map(lambda n: (n % 2, n)))
            .mapValues(lambda v: v + 1).reduceByKey(add)),
    Program("transform with an RDD of the program",
            lambda i: join_with(i.pairs, i.ssc.sparkContext.parallelize([("a", "A"), ("c", "C")]))),
    Program("transformWith", lambda i: i.pairs.transformWith(lambda a, b: a.subtractByKey(b, 2), i.others)),
    Program("transformWith the time",
            lambda i: i.pairs.transformWith(lambda time, a, b: counts((a, b)), i.others)),
    Program("transformWith no RDD",
            lambda i: i.numbers.transformWith(lambda a, b: counts((a, b)), sometimes(i.pairs))),
    Program("ssc.transform", lambda i: i.ssc.transform([i.numbers, i.pairs.map(str), i.others], counts)),
    Program("a branch", lambda i: (lambda m: m.map(lambda n: (n, 1)).join(m.map(lambda n: (n, 2))))(
        i.numbers.map(lambda n: n % 3))),
    Program("cached branches",
            lambda i: (lambda m: m.union(m.map(lambda n: -n)))(i.numbers.map(lambda n: n + 1).cache())),
    Program("two shuffles", lambda i: i.words.flatMap(str.split).map(lambda w: (w, 1)).reduceByKey(operator.add)
            .map(lambda kv: (kv[1], kv[0])).groupByKey(3).mapValues(listed)),
]  # fmt: skip


EVERY_TIME = {
    "empty queue with a default", "count without partitions", "combineByKey", "union with no RDD",
    "union, then reduceByKey", "join with no RDD", "cogroup with no RDD", "transform with the time",
    "transform to something false", "transformWith no RDD",
}  # fmt: skip
"""Programs that are compared in every test run; tests/engine has the results of the others."""


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest, spark_context: SparkContext) -> tuple[Result, Result]:
    """Of the engine that PySpark ships, and of this package; of the programs whose tests are run."""
    return on_both_engines(spark_context, Inputs.of, wanted(request), BATCHES, AT_ONCE)


@table(PROGRAMS, EVERY_TIME)
def test_same_results(program: Program, results: tuple[Result, Result]) -> None:
    theirs, ours = ([normal(batch[program.name], program.by_partition) for batch in result] for result in results)
    assert ours == theirs


def test_the_programs_do_something(results: tuple[Result, Result]) -> None:
    old, _ = results
    silent = [name for name in old[0] if all(not any(batch[name] or []) for batch in old)]
    assert silent == ["count without partitions", "transform to something false"]
    assert {program.name for program in PROGRAMS} >= EVERY_TIME
    assert len(old[0]) >= 10
