"""A whole program: the type of its records is known from the socket to the outputs, without a cast."""

from __future__ import annotations

from datetime import datetime

from pyspark import RDD, SparkContext
from pyspark.resultiterable import ResultIterable
from typing_extensions import assert_type

from dstreams import DStream, Minutes, Seconds, State, StateSpec, StreamingContext


def total(new: list[int], old: int | None) -> int | None:
    return sum(new) + (old or 0)


def add(a: int, b: int) -> int:
    return a + b


def sub(a: int, b: int) -> int:
    return a - b


def track(word: str, n: int | None, state: State[int]) -> tuple[str, int]:
    state.update((n or 0) + (state.getOption() or 0))
    return word, state.get()


def top(counts: RDD[tuple[str, int]]) -> RDD[tuple[int, str]]:
    return counts.map(lambda pair: (pair[1], pair[0])).coalesce(1)


def store(time: datetime, counts: RDD[tuple[str, int]]) -> None:
    assert_type(counts.collect(), list[tuple[str, int]])
    print(time.isoformat(), counts.collectAsMap())


def setup() -> StreamingContext:
    ssc = StreamingContext(SparkContext(appName="typed"), Seconds(1))
    ssc.checkpoint("checkpoint")

    lines = ssc.socketTextStream("localhost", 9999)
    assert_type(lines, DStream[str])
    words = lines.flatMap(lambda line: line.split()).filter(lambda word: word.isalpha())
    assert_type(words, DStream[str])
    # Mypy infers this type. Pyright, which takes 1 for Literal[1] in a tuple, has to be told, with an RDD too.
    pairs: DStream[tuple[str, int]] = words.map(lambda word: (word, 1))
    counts = pairs.reduceByKey(add)
    assert_type(counts, DStream[tuple[str, int]])

    assert_type(counts.updateStateByKey(total), DStream[tuple[str, int]])
    assert_type(counts.window(60, 5), DStream[tuple[str, int]])
    busy = counts.reduceByKeyAndWindow(add, sub, 60, 5)
    assert_type(busy, DStream[tuple[str, int]])
    visits = busy.mapWithState(StateSpec.function(track).timeout(Minutes(30)))
    assert_type(visits.filter(lambda visit: visit[1] > 1), DStream[tuple[str, int]])

    shares = busy.join(counts).mapValues(lambda both: both[1] / both[0])
    assert_type(shares, DStream[tuple[str, float]])
    assert_type(counts.groupByKey(), DStream[tuple[str, ResultIterable[int]]])

    ranked = counts.transform(top)
    assert_type(ranked, DStream[tuple[int, str]])
    ranked.pprint()
    counts.foreachRDD(store)
    counts.foreachRDD(lambda rdd: rdd.saveAsTextFile("counts"))
    return ssc


if __name__ == "__main__":
    context = StreamingContext.getOrCreate("checkpoint", setup)
    assert_type(context, StreamingContext)
    context.start()
    assert_type(context.awaitTerminationOrTimeout(60), bool)
