"""What type checkers refuse. A comment that suppresses nothing is an error, so each line below is one."""

from __future__ import annotations

from dstreams import DStream, StateSpec, StreamingContext


def add(a: int, b: int) -> int:
    return a + b


def total(new: list[int], old: int | None) -> int | None:
    return sum(new) + (old or 0)


def program(ssc: StreamingContext, words: DStream[str], pairs: DStream[tuple[str, int]]) -> None:
    # Operations on pairs need pairs.
    words.reduceByKey(add)  # type: ignore[arg-type, misc]  # pyright: ignore
    words.groupByKey()  # type: ignore[misc]  # pyright: ignore
    words.join(pairs)  # type: ignore[arg-type, misc]  # pyright: ignore
    words.updateStateByKey(total)  # type: ignore[misc]  # pyright: ignore
    words.mapWithState(StateSpec.function(print))  # type: ignore[misc]  # pyright: ignore
    pairs.join(words)  # type: ignore[arg-type]  # pyright: ignore

    # Functions take what the stream has.
    words.map(abs)  # type: ignore[arg-type]  # pyright: ignore
    pairs.reduceByKey(str.join)  # type: ignore[arg-type]  # pyright: ignore
    pairs.mapValues(len)  # type: ignore[arg-type]  # pyright: ignore
    words.reduce(add)  # type: ignore[arg-type]  # pyright: ignore
    words.foreachRDD(lambda rdd: rdd.map(lambda word: word.bit_length()))  # type: ignore[attr-defined]  # pyright: ignore
    pairs.updateStateByKey(lambda new: sum(new))  # type: ignore[arg-type, misc]  # pyright: ignore
    words.transform(lambda rdd: rdd.collect())  # type: ignore[arg-type, return-value]  # pyright: ignore

    # Records have the type that the program says.
    numbers: DStream[int] = words.map(len).map(str)  # type: ignore[arg-type]  # pyright: ignore
    numbers.pprint()

    # Arguments of a wrong type, which are refused when the program runs too.
    ssc.socketTextStream("localhost", "9999")  # type: ignore[arg-type]  # pyright: ignore
    ssc.queueStream(5)  # type: ignore[arg-type]  # pyright: ignore
    words.window("1 minute")  # type: ignore[arg-type]  # pyright: ignore
    pairs.reduceByKey(add, "4")  # type: ignore[arg-type]  # pyright: ignore
    words.pprint("10")  # type: ignore[arg-type]  # pyright: ignore
    words.persist(True)  # type: ignore[arg-type]  # pyright: ignore
