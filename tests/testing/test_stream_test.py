"""Programs under test: all that a test can do with them, and what it is told when they are wrong."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark import SparkContext

from dstreams import StateSpec, StreamingContext
from dstreams.errors import DStreamStateError, DStreamValueError
from dstreams.kafka import KafkaUtils
from dstreams.testing import BatchFailed, ProgramFailed, StreamTest

pytestmark = pytest.mark.engine

SCRIPT = Path(__file__).with_name("wordcount.py")


def total(new: list[int], old: int | None) -> int:
    return sum(new) + (old or 0)


def counts(ssc: StreamingContext) -> Any:
    lines = ssc.socketTextStream("production", 9999)
    words = lines.flatMap(str.split).map(lambda word: (word, 1))
    words.reduceByKeyAndWindow(lambda a, b: a + b, None, 2).pprint()
    return {"all": words.updateStateByKey(total), "number": lines.count()}


def test_batches_and_time(stream_test):
    run = stream_test(counts)
    first = run.batch(lines=["to be", "or not to be"])
    assert first.time == datetime(2000, 1, 1, 0, 0, 1)
    assert list(first) == ["pprint", "all", "number"]
    assert sorted(first["all"]) == [("be", 2), ("not", 1), ("or", 1), ("to", 2)]
    assert first[2] == first["number"] == [2]
    run.batch(["be"]).expect(all=[("to", 2), ("be", 3), ("or", 1), ("not", 1)], number=[1])
    assert run.batch()["number"] == [], "no data on a socket is no partition, and no count"
    assert [len(batch["pprint"]) for batch in run.advance(seconds=2)] == [0, 0]
    (late,) = run.advance(seconds=3600, late=True)
    assert late.time == datetime(2000, 1, 1, 1, 0, 5)
    with pytest.raises(AssertionError, match=r"all: missing \[\('to', 9\)\], not expected \[.*'be'"):
        late.expect(all=[("to", 9)])
    assert len(run.batches) == 6


@pytest.mark.old_engine
def test_a_script_is_killed_and_restarted(stream_test, capsys):
    """Unchanged: its socket, its directory, its SparkContext and its interval."""
    importlib.import_module("pyspark.streaming")
    run = stream_test(SCRIPT, args=["production", "9999"], inputs={"lines": "production:9999"})
    run.batch(lines=["a b a"]).expect(pprint=[("a", 2), ("b", 1)])
    assert "Time: 2000-01-01 00:00:02" in capsys.readouterr().out
    run.crash()
    assert run.restart() is None
    run.batch(lines=["b"]).expect([("a", 2), ("b", 2)])
    uncommitted = run.crash(lines=["c"])
    with pytest.raises(ProgramFailed, match="has crashed"):
        run.batch()
    again = run.restart()
    assert (again.time, sorted(again["pprint"])) == (uncommitted.time, [("a", 2), ("b", 2), ("c", 1)])
    assert sorted(uncommitted[0]) == sorted(again[0])
    run.advance(seconds=2)[0].expect([("a", 2), ("b", 2), ("c", 1)])
    run.close()
    assert sys.modules["pyspark.streaming"].__name__ == "pyspark.streaming", "as it was before the script"


def test_a_kafka_program_without_kafka(stream_test):
    """Production code, offsets and commits included, on records of the test; no broker, no connector."""

    def program(ssc):
        orders = KafkaUtils.createDirectStream(ssc, ["orders"], {"bootstrap.servers": "kafka:9092", "group.id": "g"})
        orders.foreachRDD(lambda rdd: orders.commitAsync(rdd.offsetRanges()))
        ranges = orders.transform(lambda rdd: rdd.context.parallelize([str(r) for r in rdd.offsetRanges()]))
        return {"ranges": ranges, "values": orders.map(lambda pair: pair[1])}

    run = stream_test(program)
    first = run.batch([("k", "v"), (None, "w")]).expect(values=["v", "w"])
    assert first["ranges"] == ["OffsetRange(topic: orders, partition: 0, range: [0 -> 2])"]
    again = run.batch([("k", "x")]).expect(values=["x"])
    assert again["ranges"] == ["OffsetRange(topic: orders, partition: 0, range: [2 -> 3])"]


def test_timeouts_without_waiting(stream_test):
    def idle(key, value, state):
        if state.isTimingOut():
            return (key, "idle")
        state.update(value)
        return (key, value)

    def program(ssc):
        spec = StateSpec.function(idle).timeout(1800)
        return ssc.textFileStream("/incoming").map(lambda line: (line, 1)).mapWithState(spec)

    run = stream_test(program, interval=60)
    run.batch(["k"]).expect([("k", 1)])
    run.advance(1800, late=True)
    assert ("k", "idle") in [record for batch in run.advance(60 * 2) for record in batch["result"]]


def test_several_inputs_have_names(stream_test, spark_context: SparkContext):
    def program(ssc):
        orders = ssc.socketTextStream("orders", 1).named("orders")
        rates = ssc.socketTextStream("rates", 2)
        queue = ssc.queueStream([["q1"], ["q2"]])
        return orders.union(rates).union(queue)

    run = stream_test(program, inputs={"rates": "rates:2"})
    run.batch(orders=["o"], rates=["r"]).expect(["o", "r", "q1"])
    run.batch(rates=["r"]).expect(["r", "q2"])
    with pytest.raises(DStreamValueError, match="no input 'order'; the program has 'orders', 'rates'"):
        run.batch(order=["o"])
    with pytest.raises(DStreamValueError, match="name the inputs"):
        run.batch(["o"])
    with pytest.raises(DStreamValueError, match="a list of records"):
        run.batch(orders="o")
    with pytest.raises(DStreamValueError, match=r"no multiple of the program's batch interval of 1 s"):
        run.advance(0.5)
    with pytest.raises(AssertionError, match=r"2 outputs expected, there are 1: \['result'\]"):
        run.batches[0].expect(["o"], ["r"])
    with pytest.raises(DStreamStateError, match="Only one StreamingContext may be started"):
        StreamTest(spark_context, program)
    assert not run.stopped
    with pytest.raises(DStreamStateError, match="names no checkpoint directory"):
        run.restart()


def test_an_input_that_the_program_does_not_have(stream_test):
    with pytest.raises(
        ProgramFailed, match=r"is in none of the program's sources: socketTextStream\(production:9999\)"
    ):
        stream_test(counts, inputs={"lines": "other:1"})


def test_a_slow_window_and_functions_with_names(stream_test):
    seen: list[int] = []

    def save(rdd):
        seen.append(rdd.count())

    def program(ssc):
        lines = ssc.socketTextStream("production", 9999)
        lines.foreachRDD(save)
        lines.window(2, 2).foreachRDD(save)
        lines.foreachRDD(lambda rdd: None)

    run = stream_test(program)
    first = run.batch(["a"])
    assert list(first) == ["save", "save_2", "foreachRDD"]
    assert (first["save"], first["save_2"]) == (["a"], None)
    with pytest.raises(AssertionError, match="save_2 was not called: its stream has no RDD"):
        first.expect(**{"save_2": ["a"]})
    run.batch(["b"]).expect(["b"], ["a", "b"], ["b"])
    assert seen == [1, 1, 2]


def test_functions_are_called_once(stream_test, spark_context: SparkContext):
    """The test's look at an output does not compute it a second time."""
    calls = spark_context.accumulator(0)

    def count(line):
        calls.add(1)
        return line

    run = stream_test(lambda ssc: ssc.socketTextStream("p", 1).map(count).foreachRDD(lambda rdd: rdd.count()))
    run.batch(["a", "b"])
    assert calls.value == 2


# ---------------------------------------------------------------------- programs that are wrong


def test_a_program_that_raises(stream_test):
    def program(ssc):
        lines = ssc.socketTextStream("p", 1)
        lines.map(int).pprint()

    run = stream_test(program)
    run.batch(["1"]).expect([1])
    with pytest.raises(BatchFailed, match=r"batch 2000-01-01 00:00:02: ValueError: invalid literal.*'x'") as failed:
        run.batch(["x"])
    assert isinstance(failed.value.__cause__, ValueError)
    run.batch(["2"]).expect([2])


def test_programs_that_do_not_start(stream_test):
    with pytest.raises(ProgramFailed, match="raised ZeroDivisionError before it was started"):
        stream_test(lambda ssc: 1 / 0)
    with pytest.raises(ProgramFailed, match="No output operations registered"):
        stream_test(lambda ssc: None)
    with pytest.raises(ProgramFailed, match="ended without starting a StreamingContext"):
        stream_test(lambda: None)
    with pytest.raises(TypeError, match="give a function of the StreamingContext"):
        stream_test("no_such_file.py")


def test_a_context_made_where_the_test_cannot_see_it(stream_test):
    """A thread of the program's own has the real clock and the real sources: that is said, and the context ended."""

    def program():
        def make():
            ssc = StreamingContext(sc, 1)
            ssc.queueStream([["a"]]).pprint()
            ssc.start()

        sc = SparkContext.getOrCreate()
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()

    with pytest.raises(ProgramFailed, match="in a thread of its own"):
        stream_test(program)
    assert StreamingContext.getActive() is None


def test_a_program_that_stops_itself(stream_test):
    def program(ssc):
        def stop_at(rdd):
            if "stop" in rdd.collect():
                ssc.stop(stopSparkContext=False, stopGraceFully=True)

        ssc.socketTextStream("p", 1).foreachRDD(stop_at)

    run = stream_test(program)
    run.batch(["go on"])
    assert not run.stopped
    run.batch(["stop"]).expect(["stop"])
    assert run.stopped
    with pytest.raises(ProgramFailed, match=r"has ended after 2 batches: stop\(\) at test_stream_test.py:\d+"):
        run.batch()


def test_a_program_that_sleeps(stream_test):
    """As where a test of it would have waited; it costs the test no more than its time limit."""

    def program(ssc):
        def wait(rdd):
            if rdd.count():
                time.sleep(8)

        ssc.socketTextStream("p", 1).foreachRDD(wait)

    run = stream_test(program)
    run.batch([])
    run._timeout = 3
    with pytest.raises(ProgramFailed, match=r"not done after 3 s; the program is at .*stream_test.py:\d+: time.sleep"):
        run.batch(["a"])
    run.close()
    assert StreamingContext.getActive() is None


def test_the_usual_fixture(streaming_context, spark_context: SparkContext):
    """The widely copied way to test: a context, a queue, a list of results; its batches do not wait for the clock."""
    assert streaming_context.sparkContext is spark_context
    results: list[list[int]] = []
    stream = streaming_context.queueStream([[1, 2], [3]])
    stream.map(lambda n: n * 2).foreachRDD(lambda rdd: results.append(rdd.collect()))
    streaming_context.start()
    while len(results) < 2:
        assert not streaming_context.awaitTerminationOrTimeout(0.05)
    assert results[:2] == [[2, 4], [6]]
