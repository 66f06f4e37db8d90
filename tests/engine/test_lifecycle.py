"""The life of a context: one at a time, started once, stopped at any time and from anywhere."""

from __future__ import annotations

import gc
import signal
import threading
import time
import warnings
import weakref
from itertools import pairwise

import pytest
from pyspark import RDD
from pyspark.sql import SparkSession

from dstreams import DStreamError, Milliseconds, Seconds, StateSpec, StreamingContext, StreamingListener
from dstreams.errors import (
    DStreamStateError,
    DStreamTypeError,
    DStreamValueError,
    UnsupportedDStreamOperation,
)
from tests.unit.receivers import until

pytestmark = pytest.mark.engine

FOREVER = [1, 2, 3]


def endless(ssc):
    """A queue that never ends."""
    return ssc.queueStream([FOREVER], default=FOREVER)


class Seen:
    """Counts batches and lets a test wait for them."""

    def __init__(self) -> None:
        self.times: list = []
        self._changed = threading.Condition()

    def __call__(self, time, rdd) -> None:
        with self._changed:
            self.times.append(time)
            self._changed.notify_all()

    def wait_for(self, number, timeout=60) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.times) >= number, timeout), self.times


# ---------------------------------------------------------------------- making a context


@pytest.mark.parametrize("interval", [1, 0.5, Seconds(2), Milliseconds(300)])
def test_intervals(spark_context, interval):
    assert StreamingContext(spark_context, interval)._builder.interval_ms == int(float(interval) * 1000)


@pytest.mark.parametrize(
    ("interval", "error"),
    [
        (0, DStreamValueError),
        (-1, DStreamValueError),
        (0.0001, DStreamValueError),
        (float("nan"), DStreamValueError),
        ("1", DStreamTypeError),
        (None, DStreamTypeError),
        (True, DStreamTypeError),
    ],
)
def test_bad_intervals(spark_context, interval, error):
    with pytest.raises(error, match="batchDuration"):
        StreamingContext(spark_context, interval)


def test_a_session_instead_of_a_context(spark_session):
    with pytest.raises(DStreamTypeError, match=r"pass spark\.sparkContext"):
        StreamingContext(spark_session, 1)


# ---------------------------------------------------------------------- start and stop


def test_active_context(streaming):
    ssc = streaming()
    seen = Seen()
    endless(ssc).foreachRDD(seen)
    assert StreamingContext.getActive() is None
    assert ssc.awaitTerminationOrTimeout(0.01) is False
    ssc.start()
    assert StreamingContext.getActive() is ssc
    assert StreamingContext.getActiveOrCreate(None, lambda: pytest.fail("there is an active one")) is ssc
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert ssc.start() is None
    assert any("already been started" in str(warning.message) for warning in caught)
    seen.wait_for(3)
    assert ssc.awaitTermination(0.01) is None
    ssc.stop(stopSparkContext=False)
    ssc.stop(stopSparkContext=False)
    assert StreamingContext.getActive() is None
    assert ssc.awaitTerminationOrTimeout(1) is True
    with pytest.raises(DStreamStateError, match="StreamingContext has already been stopped"):
        ssc.start()


def test_a_second_context_has_to_wait(streaming):
    first, second = streaming(), streaming()
    seen = Seen()
    endless(first).foreachRDD(seen)
    endless(second).foreachRDD(seen)
    first.start()
    message = r"Only one StreamingContext may be started in this JVM\. .* was started at test_lifecycle.py:\d+"
    with pytest.raises(DStreamStateError, match=message):
        second.start()
    first.stop(stopSparkContext=False)
    before = len(seen.times)
    second.start()
    seen.wait_for(before + 2)


def test_start_without_outputs(streaming):
    ssc = streaming()
    endless(ssc).map(str)
    with pytest.raises(DStreamStateError, match="No output operations registered, so nothing to execute"):
        ssc.start()
    with pytest.raises(DStreamStateError, match="already been stopped"):
        ssc.start()


def test_operations_after_start_and_after_stop(streaming):
    ssc = streaming()
    seen = Seen()
    stream = endless(ssc)
    stream.foreachRDD(seen)
    ssc.start()
    text = "Adding new inputs, transformations, and output operations after {} a context is not supported"
    for define in (lambda: stream.map(str), lambda: stream.pprint(), lambda: endless(ssc)):
        with pytest.raises(DStreamStateError, match=text.format("starting")):
            define()
    with pytest.raises(DStreamStateError, match="Cannot change storage level of a DStream after streaming context"):
        stream.cache()
    ssc.stop(stopSparkContext=False)
    for define in (lambda: stream.map(str), lambda: stream.pprint(), lambda: endless(ssc)):
        with pytest.raises(DStreamStateError, match=text.format("stopping")):
            define()


def test_stop_before_start(streaming):
    ssc = streaming()
    ssc.stop(stopSparkContext=False)
    assert ssc.awaitTerminationOrTimeout(0) is True
    with pytest.raises(DStreamStateError, match="already been stopped"):
        ssc.start()


@pytest.mark.parametrize("graceful", [False, True])
def test_stop_inside_foreachRDD(streaming, graceful):
    ssc = streaming()
    seen = Seen()

    def stop_after_three(time, rdd):
        seen(time, rdd)
        if len(seen.times) == 3:
            ssc.stop(stopSparkContext=False, stopGraceFully=graceful)

    endless(ssc).foreachRDD(stop_after_three)
    ssc.start()
    assert ssc.awaitTerminationOrTimeout(200) is True
    assert len(seen.times) == 3


def test_stop_from_a_listener(streaming):
    ssc = streaming()

    class Stopper(StreamingListener):
        def onBatchCompleted(self, event):
            ssc.stop(stopSparkContext=False)

    ssc.addStreamingListener(Stopper())
    endless(ssc).foreachRDD(lambda rdd: None)
    ssc.start()
    assert ssc.awaitTerminationOrTimeout(200) is True


def test_stop_cancels_a_long_batch(streaming):
    """An immediate stop gives a running batch two seconds, then cancels its Spark jobs."""
    ssc = streaming()
    running = threading.Event()

    def long(rdd):
        running.set()

        def sleep(records):
            time.sleep(600)
            return records

        rdd.mapPartitions(sleep).count()

    endless(ssc).foreachRDD(long)
    ssc.start()
    assert running.wait(200)
    started = time.monotonic()
    ssc.stop(stopSparkContext=False)
    assert time.monotonic() - started < 15


@pytest.mark.slow
def test_stop_leaves_a_function_that_never_returns_behind(streaming):
    ssc = streaming()
    running, give_up = threading.Event(), threading.Event()

    def never(rdd):
        running.set()
        give_up.wait()

    endless(ssc).foreachRDD(never)
    ssc.start()
    assert running.wait(200)
    stopping = threading.Thread(target=ssc.stop, args=(False,), daemon=True)
    stopping.start()
    stopping.join(200)
    returned = not stopping.is_alive()
    give_up.set()
    assert returned
    assert ssc.awaitTerminationOrTimeout(0) is True


def test_graceful_stop_takes_what_was_received(streaming):
    from tests.programs.feed import Feed

    with Feed() as feed:
        ssc = streaming(1)
        lines: list = []
        seen = Seen()
        stream = ssc.socketTextStream(feed.host, feed.port)
        stream.foreachRDD(seen)
        stream.foreachRDD(lambda rdd: lines.extend(rdd.collect()))
        ssc.start()
        seen.wait_for(1)
        feed.wait_for_client()
        feed.send(b"one\ntwo\n")
        ssc.stop(stopSparkContext=False, stopGraceFully=True)
        assert lines == ["one", "two"]


def test_graceful_stop_that_takes_too_long(streaming, spark_context, tmp_path, caplog):
    """A last batch that cannot begin in `spark.streaming.gracefulStopTimeout` is not waited for; a running one is."""
    conf, name = spark_context._jsc.sc().conf(), "spark.streaming.gracefulStopTimeout"
    running, go_on = threading.Event(), threading.Event()
    completed: list = []

    def long(when, rdd) -> None:
        running.set()
        go_on.wait(200)
        completed.append(when)

    conf.set(name, "300ms")
    try:
        ssc = streaming()
        ssc.textFileStream(str(tmp_path)).foreachRDD(long)
        ssc.start()
    finally:
        conf.remove(name)
    assert running.wait(200)
    stop = threading.Thread(target=ssc.stop, args=(False, True))
    stop.start()
    end = time.monotonic() + 200
    while f"after the 0.3 s of {name} no batch begins any more" not in caplog.text and time.monotonic() < end:
        time.sleep(0.05)
    assert "no batch begins any more" in caplog.text
    assert stop.is_alive(), "it waits for the batch that runs"
    go_on.set()
    stop.join(200)
    assert len(completed) == 1


@pytest.mark.parametrize("value", ["soon", "-1s"])
def test_graceful_stop_timeout_that_is_none(streaming, spark_context, value):
    conf, name = spark_context._jsc.sc().conf(), "spark.streaming.gracefulStopTimeout"
    conf.set(name, value)
    try:
        ssc = streaming()
        ssc.queueStream([[1]]).pprint()
        with pytest.raises(DStreamValueError, match=rf"{name}: must be a time such as 10s"):
            ssc.start()
    finally:
        conf.remove(name)


def test_graceful_stop_of_a_query_that_ends_by_itself(streaming, tmp_path):
    """Nobody waits for the last batch of a query that is gone."""
    ssc = streaming(600)
    ssc.textFileStream(str(tmp_path)).foreachRDD(lambda rdd: None)
    ssc.start()
    stopping = threading.Thread(target=ssc.stop, args=(False, True))
    stopping.start()
    ssc._query._stream.stop()
    stopping.join(60)
    assert not stopping.is_alive()
    assert ssc.awaitTerminationOrTimeout(0) is True


def test_batch_times_are_contiguous_on_the_logical_clock(streaming):
    ssc = streaming(0.25)
    seen = Seen()
    endless(ssc).foreachRDD(seen)
    ssc.start()
    seen.wait_for(20)
    ssc.stop(stopSparkContext=False)
    steps = {(b - a).total_seconds() for a, b in zip(seen.times, seen.times[1:], strict=False)}
    assert steps == {0.25}
    assert all(t.microsecond % 250_000 == 0 and t.tzinfo is None for t in seen.times)


def test_sparkcontext_stopped_under_a_running_program():
    """In a process of its own, since it ends the SparkContext; also stop(stopSparkContext=True) with one call."""
    import subprocess
    import sys

    program = """
import threading
from pyspark import SparkContext, SparkConf
from dstreams import Seconds, StateSpec, StreamingContext
conf = SparkConf().setMaster("local[1]").set("spark.ui.enabled", "false").set("spark.log.level", "ERROR")
sc = SparkContext(conf=conf)
ssc = StreamingContext(sc, 1)
ready = threading.Event()
ssc.queueStream([[1]], default=[2]).foreachRDD(lambda rdd: ready.set())
ssc.start()
ready.wait(200)
sc.stop()
print("ended", ssc.awaitTerminationOrTimeout(30), StreamingContext.getActive())
ssc.stop()
ssc = StreamingContext(conf, Seconds(1))  # the guide's spelling
sc = ssc.sparkContext
assert sc.master == "local[1]"
ssc.queueStream([[1]]).foreachRDD(lambda rdd: None)
ssc.start()
ssc.stop()
print("stopped", sc._jsc is None)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=180, check=False)
    assert "ended True None" in done.stdout and "stopped True" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    assert "Traceback" not in done.stderr, done.stderr


@pytest.mark.slow
def test_interrupt_without_a_graceful_stop():
    """Ctrl-C is PySpark's, as on the old engine: awaitTermination raises KeyboardInterrupt."""
    import subprocess
    import sys

    program = """
import os, signal, threading
from pyspark import SparkContext, SparkConf
from dstreams import StateSpec, StreamingContext
conf = SparkConf().setMaster("local[1]").set("spark.ui.enabled", "false").set("spark.log.level", "ERROR")
ssc = StreamingContext(SparkContext(conf=conf), 1)
ready = threading.Event()
ssc.queueStream([[1]], default=[2]).foreachRDD(lambda rdd: ready.set())
ssc.start()
threading.Thread(target=lambda: ready.wait(200) and os.kill(os.getpid(), signal.SIGINT)).start()
try:
    ssc.awaitTermination(200)
except KeyboardInterrupt:
    print("interrupted")
ssc.stop()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0 and done.stdout.splitlines() == ["interrupted"], done.stdout + done.stderr


def test_handlers_of_signals_are_put_back(streaming):
    """By stop(), or where another thread has called that, by the next program's."""
    before = signal.getsignal(signal.SIGTERM)
    for by_another_thread in (True, False):
        ssc = streaming()
        endless(ssc).foreachRDD(lambda rdd: None)
        ssc.start()
        assert signal.getsignal(signal.SIGTERM) not in (before, None)
        if by_another_thread:
            stopping = threading.Thread(target=ssc.stop, args=(False,))
            stopping.start()
            stopping.join()
        else:
            ssc.stop(stopSparkContext=False)
    assert signal.getsignal(signal.SIGTERM) == before


def test_definitions_after_stop_without_start(streaming):
    ssc = streaming()
    stream = endless(ssc)
    ssc.stop(stopSparkContext=False)
    for define in (lambda: endless(ssc), lambda: stream.window(2), lambda: stream.pprint()):
        with pytest.raises(DStreamStateError, match="after stopping a context is not supported"):
            define()


def test_no_warning_that_dstreams_are_deprecated(spark_context):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        StreamingContext(spark_context, 1)


def test_batches_without_output_and_settings_after_start(streaming, tmp_path):
    """A batch in which no output is due has no events; settings that come too late are refused or without effect."""
    ssc = streaming()
    events: list = []

    class Listener(StreamingListener):
        def onBatchSubmitted(self, event):
            events.append(("submitted", event.batchInfo().batchTime().milliseconds()))

        def onBatchCompleted(self, event):
            events.append(("completed", event.batchInfo().batchTime().milliseconds()))

    seen = Seen()
    slow = endless(ssc).window(2, 2)
    slow.foreachRDD(seen)
    ssc.addStreamingListener(Listener())
    ssc.start()
    with pytest.raises(DStreamStateError, match="Cannot change checkpoint interval of a DStream after streaming con"):
        slow.checkpoint(2)
    ssc.checkpoint(str(tmp_path / "late"))
    ssc.remember(60)
    with pytest.raises(DStreamValueError, match=r"Remember duration already set as 60000 ms\. Cannot set it again"):
        ssc.remember(60)
    seen.wait_for(len(seen.times) + 3)
    assert len(ssc._query.batches.remembered) <= 2, "remember() had no effect"
    ssc.stop(stopSparkContext=False)
    assert not list((tmp_path / "late").rglob("offsets")), "checkpoint() had no effect"
    names, times = zip(*events[:6], strict=True)
    assert names == ("submitted", "completed") * 3
    assert [b - a for a, b in pairwise(times)] == [0, 2000, 0, 2000, 0]


def test_a_restored_program_is_the_saved_one(spark_context, tmp_path):
    """With its batch interval and the values that its functions have captured; listeners are not saved."""
    from tests.harness import attach, collected, run_for

    told: list = []

    class Listener(StreamingListener):
        def onBatchCompleted(self, event):
            told.append(event)

    def run(interval, factor):
        def setup():
            ssc = StreamingContext(spark_context, interval)
            attach({"scaled": ssc.queueStream([[1]], default=[1]).map(lambda n: n * factor)}, "saved")
            ssc.addStreamingListener(Listener())
            return ssc

        ssc = StreamingContext.getOrCreate(str(tmp_path), setup)
        run_for(ssc, 2)
        return ssc._builder.interval_ms

    assert run(1, 10) == 1000
    heard, before = len(told), len(collected["saved/scaled"])
    assert heard >= 2
    assert run(2, 99) == 1000
    assert len(told) == heard
    assert len(collected["saved/scaled"]) >= before + 2
    assert {tuple(records) for _, records in collected["saved/scaled"]} == {(10,)}


# ---------------------------------------------------------------------- what is left alone


def test_nobodys_session_is_changed(spark_session, streaming):
    keys = ["spark.sql.adaptive.enabled", "spark.sql.shuffle.partitions", "spark.sql.optimizer.excludedRules"]
    before = {key: spark_session.conf.get(key, None) for key in keys}
    to_df, instantiated = RDD.toDF, SparkSession._instantiatedSession
    environment = dict(spark_session.sparkContext.environment)
    ssc = streaming()
    found: dict = {}

    def look(rdd):
        session = SparkSession.builder.getOrCreate()
        found["session"] = session._jsparkSession.equals(spark_session._jsparkSession)
        found["rows"] = rdd.map(lambda x: (x,)).toDF(["n"]).selectExpr("sum(n) AS s").first().s
        found["adaptive"] = session.conf.get(keys[0], None)
        ssc.stop(stopSparkContext=False)

    endless(ssc).foreachRDD(look)
    ssc.start()
    ssc.awaitTermination(200)
    ssc.stop(stopSparkContext=False)  # the first is done by a thread of its own
    assert found == {"session": True, "rows": 6, "adaptive": before["spark.sql.adaptive.enabled"]}
    assert {key: spark_session.conf.get(key, None) for key in keys} == before
    assert RDD.toDF is to_df and SparkSession._instantiatedSession is instantiated
    assert ssc.sparkContext.environment == environment
    assert spark_session.streams.active == []


# ---------------------------------------------------------------------- mistakes


def total(new, old):
    return sum(new) + (old or 0)


NAMED = {
    "updateStateByKey": lambda pairs: pairs.updateStateByKey(total).named("n"),
    "mapWithState": lambda pairs: pairs.mapWithState(StateSpec.function(lambda k, v, state: v)).named("n"),
    "window": lambda pairs: pairs.window(2).named("n"),
    "countByWindow": lambda pairs: pairs.countByWindow(2, 1).named("n"),
    "countByValueAndWindow": lambda pairs: pairs.countByValueAndWindow(2, 1).named("n"),
    "reduceByWindow": lambda pairs: pairs.reduceByWindow(max, None, 2, 1).named("n"),
    "groupByKeyAndWindow": lambda pairs: pairs.groupByKeyAndWindow(2, 1).named("n"),
    # The lines break elsewhere, and it is the same.
    "over two lines": lambda pairs: pairs.countByWindow(2, 1)
    .named("n"),
}  # fmt: skip


@pytest.mark.parametrize("define", NAMED.values(), ids=NAMED)
def test_named_names_the_operation_that_it_is_called_on(streaming, define):
    ssc = streaming()
    define(ssc.queueStream([[("k", 1)]]))
    nodes = ssc._builder.graph.nodes
    assert [node.name for node in nodes if node.step is not None] == ["n"]
    assert [node.name for node in nodes if node.step is None] == [None] * (len(nodes) - 1)


@pytest.mark.parametrize(
    "define",
    [
        lambda pairs: pairs.map(str),
        lambda pairs: pairs.updateStateByKey(total).mapValues(str),
        lambda pairs: pairs.countByWindow(2, 1).map(str),
        lambda pairs: pairs.union(pairs),
    ],
)
def test_named_is_refused_where_nothing_is_kept(streaming, define):
    stream = define(streaming().queueStream([[("k", 1)]]))
    with pytest.raises(DStreamStateError, match="keeps nothing in a checkpoint directory"):
        stream.named("n")


def test_a_source_has_a_name_of_its_own(streaming):
    ssc = streaming()
    assert ssc.queueStream([[1]]).named("numbers")._node.name == "numbers"


def test_get_active_or_create(streaming):
    ssc = streaming()
    with pytest.raises(TypeError, match="setupFunc should be callable"):
        StreamingContext.getActiveOrCreate(None, None)
    assert StreamingContext.getActiveOrCreate(None, lambda: ssc) is ssc


def test_checkpoint_interval(streaming, tmp_path):
    """Checked at start with the old engine's texts; it has no effect."""
    for seconds, text in {
        1: r"for PythonTransformedDStream has been set to 1000 ms which is lower than its slide time \(2000 ms\)\. "
        r"Please set it to at least 2000 ms\.",
        3: r"for PythonTransformedDStream has been set to  3000 ms which not a multiple of its slide time \(2000 ms\)\."
        r" Please set it to a multiple of 2000 ms\.",
    }.items():
        ssc = streaming(2)
        ssc.checkpoint(str(tmp_path))
        ssc.queueStream([[1]]).map(str).checkpoint(seconds).pprint()
        with pytest.raises(DStreamStateError, match="requirement failed: The checkpoint interval " + text):
            ssc.start()


def test_all_errors_have_one_base():
    for error in (DStreamStateError, DStreamTypeError, DStreamValueError, UnsupportedDStreamOperation):
        assert issubclass(error, DStreamError)


def test_status(streaming):
    """Before, while, and after; with an output that fails."""
    ssc = streaming()

    def fails(rdd):
        raise ValueError("not today")

    ssc.queueStream([[1, 2]] * 500).foreachRDD(fails)
    assert ssc.status().as_dict()["state"] == "not started"
    ssc.start()
    while ssc.status().batches < 2:
        time.sleep(0.05)
    status = ssc.status()
    assert (status.state, status.interval_ms) == ("running", 1000)
    assert status.last_batch_ms is not None and status.processing_ms is not None
    assert [output["error"] for output in status.outputs] == ["ValueError: not today"]
    assert status.error == "ValueError: not today"
    ssc.stop(stopSparkContext=False)
    assert ssc.status().state == "stopped"


def test_spark_logs_as_before(streaming, spark_context):
    """Loggers that were quiet while a program ran, or stopped, have no level of their own again."""

    def levels() -> dict[str, str]:
        context = spark_context._jvm.org.apache.logging.log4j.LogManager.getContext(False)
        loggers = context.getConfiguration().getLoggers()
        return {name: str(loggers.get(name).getLevel().toString()) for name in loggers}

    before = levels()
    ssc = streaming()
    ssc.queueStream([[("a", 1)]] * 3).window(2).transform(lambda rdd: rdd).window(2).pprint()
    ssc.start()
    during = levels()
    ssc.stop(stopSparkContext=False, stopGraceFully=True)
    assert levels() == before
    assert set(during) > set(before)


@pytest.mark.parametrize("kind", ["plain", "state", "state after the batch side"])
def test_a_program_that_has_ended_is_let_go(spark_context, tmp_path, kind):
    """In a process with many contexts: a notebook, a server, a test suite."""
    ssc = StreamingContext(spark_context, 0.1)
    stream = endless(ssc).map(lambda x: (x, 1))
    if kind != "plain":
        ssc.checkpoint(str(tmp_path))
        stream = stream.transform(lambda rdd: rdd) if kind == "state after the batch side" else stream
        stream = stream.updateStateByKey(lambda new, old: sum(new))
    stream.foreachRDD(lambda rdd: rdd.count())
    ssc.start()
    ssc.awaitTerminationOrTimeout(0.5)
    held = [weakref.ref(each) for each in (ssc, ssc._query, ssc._query.batches)]
    ssc.stop(stopSparkContext=False)
    del ssc, stream

    def gone() -> bool:
        gc.collect()
        return not any(each() for each in held)

    until(gone)
