"""Each source and each operation with the type of what it gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, BinaryIO

from pyspark import RDD, SparkContext, StorageLevel
from pyspark.resultiterable import ResultIterable
from pyspark.sql import DataFrame, Row
from typing_extensions import assert_type

from dstreams import DStream, State, StateSpec, StreamingContext
from dstreams.dstream import MapWithStateDStream
from dstreams.kafka import KafkaDStream, KafkaRDD, KafkaUtils, OffsetRange
from dstreams.receiver import Receiver


class Numbers(Receiver[int]):
    def onStart(self) -> None:
        self.store(1)


def read(connection: BinaryIO) -> Iterator[bytes]:
    yield connection.read(4)


def sources(ssc: StreamingContext, sc: SparkContext, frame: DataFrame) -> None:
    assert_type(ssc.socketTextStream("localhost", 9999), DStream[str])
    assert_type(ssc.socketStream("localhost", 9999, read), DStream[bytes])
    assert_type(ssc.textFileStream("in"), DStream[str])
    assert_type(ssc.binaryRecordsStream("in", 4), DStream[bytes])
    assert_type(ssc.queueStream([[1, 2], [3]]), DStream[int])
    assert_type(ssc.queueStream([sc.parallelize(["a"]), sc.parallelize(["b"])], default=["c"]), DStream[str])
    assert_type(ssc.receiverStream(Numbers()), DStream[int])
    assert_type(ssc.dataFrameStream(frame), DStream[Row])
    assert_type(ssc.dataFrameStream(lambda spark: spark.readStream.load("in")), DStream[Row])


def several(ssc: StreamingContext, a: DStream[int], b: DStream[int], words: DStream[str]) -> None:
    assert_type(ssc.union(a, b), DStream[int])
    assert_type(a.union(b), DStream[int])
    assert_type(a.union(words), DStream[int | str])
    first: DStream[int] = ssc.transform([a, words], lambda rdds: rdds[0])
    assert_type(first.map(str), DStream[str])
    assert_type(a.transformWith(lambda x, y: x.union(y), b), DStream[int])
    assert_type(a.transformWith(paired, words), DStream[tuple[int, str]])


def paired(time: datetime, numbers: RDD[int], words: RDD[str]) -> RDD[tuple[int, str]]:
    return numbers.cartesian(words)


def doubled(numbers: Iterator[int]) -> Iterator[int]:
    return (2 * n for n in numbers)


def placed(index: int, numbers: Iterable[int]) -> Iterable[tuple[int, int]]:
    return ((index, n) for n in numbers)


def elements(numbers: DStream[int]) -> None:
    assert_type(numbers.map(float), DStream[float])
    assert_type(numbers.flatMap(range), DStream[int])
    assert_type(numbers.filter(lambda n: n > 0), DStream[int])
    assert_type(numbers.mapPartitions(doubled), DStream[int])
    assert_type(numbers.mapPartitionsWithIndex(placed), DStream[tuple[int, int]])
    assert_type(numbers.glom(), DStream[list[int]])
    assert_type(numbers.count(), DStream[int])
    assert_type(numbers.reduce(max), DStream[int])
    assert_type(numbers.countByValue(), DStream[tuple[int, int]])
    assert_type(numbers.repartition(2).cache().persist(StorageLevel.MEMORY_ONLY).checkpoint(10), DStream[int])
    assert_type(numbers.named("numbers"), DStream[int])
    assert_type(numbers.transform(lambda rdd: rdd.map(str)), DStream[str])
    assert_type(numbers.transform(lambda time, rdd: rdd.map(lambda n: (time, n))), DStream[tuple[datetime, int]])
    assert_type(numbers.slice(0, 1), list[RDD[int]])
    assert_type(numbers.toDF("n BIGINT"), DataFrame)
    numbers.foreachRDD(lambda rdd: rdd.map(lambda n: n.bit_length()).foreach(print))
    numbers.saveAsTextFiles("out")


def windows(words: DStream[str], pairs: DStream[tuple[str, float]]) -> None:
    assert_type(words.window(10), DStream[str])
    assert_type(words.reduceByWindow(lambda a, b: a + b, None, 10, 5), DStream[str])
    assert_type(words.countByWindow(10, 5), DStream[int])
    assert_type(words.countByValueAndWindow(10, 5), DStream[tuple[str, int]])
    assert_type(pairs.groupByKeyAndWindow(10, 5), DStream[tuple[str, ResultIterable[float]]])
    assert_type(pairs.reduceByKeyAndWindow(max, None, 10, 5), DStream[tuple[str, float]])


def pairs(left: DStream[tuple[str, int]], right: DStream[tuple[str, bytes]]) -> None:
    assert_type(left.mapValues(float), DStream[tuple[str, float]])
    assert_type(left.flatMapValues(range), DStream[tuple[str, int]])
    assert_type(left.reduceByKey(max, 2), DStream[tuple[str, int]])
    assert_type(left.combineByKey(str, extended, joined), DStream[tuple[str, str]])
    assert_type(left.partitionBy(2, len), DStream[tuple[str, int]])
    assert_type(left.join(right), DStream[tuple[str, tuple[int, bytes]]])
    assert_type(left.leftOuterJoin(right), DStream[tuple[str, tuple[int, bytes | None]]])
    assert_type(left.rightOuterJoin(right), DStream[tuple[str, tuple[int | None, bytes]]])
    assert_type(left.fullOuterJoin(right), DStream[tuple[str, tuple[int | None, bytes | None]]])
    assert_type(left.cogroup(right), DStream[tuple[str, tuple[ResultIterable[int], ResultIterable[bytes]]]])


def extended(text: str, n: int) -> str:
    return f"{text} {n}"


def joined(a: str, b: str) -> str:
    return f"{a} {b}"


def latest(new: list[int], old: set[int] | None) -> set[int] | None:
    return set(new) or old


def tracked(key: str, value: int | None, state: State[int]) -> float:
    return (value or 0) / 2


def tracked_in_time(time: datetime, key: str, value: int | None, state: State[int]) -> float | None:
    return None if value is None else value / 2


def state(left: DStream[tuple[str, int]]) -> None:
    assert_type(left.updateStateByKey(latest, initialRDD=[("a", {1})]), DStream[tuple[str, set[int]]])
    tracking = left.mapWithState(StateSpec.function(tracked).numPartitions(2))
    assert_type(tracking, MapWithStateDStream[float])
    assert_type(tracking.stateSnapshots(), DStream[tuple[Any, Any]])
    assert_type(left.mapWithState(StateSpec.function(tracked_in_time)), MapWithStateDStream[float])


def kafka(ssc: StreamingContext) -> None:
    orders = KafkaUtils.createDirectStream(ssc, ["orders"], {"bootstrap.servers": "localhost:9092"})
    assert_type(orders, KafkaDStream)
    orders.foreachRDD(lambda rdd: orders.commitAsync(rdd.offsetRanges()))
    assert_type(orders.transform(offsets), DStream[OffsetRange])


def offsets(rdd: KafkaRDD) -> RDD[OffsetRange]:
    return rdd.context.parallelize(rdd.offsetRanges())
