"""Programs with mistakes: what is said, when, and what goes on."""

from __future__ import annotations

import logging
import threading
import time
import traceback

import pytest

from dstreams import DStreamError
from dstreams.errors import BatchError, DStreamTypeError, DStreamValueError
from tests.harness import Output

pytestmark = pytest.mark.engine


class CustomError(Exception):
    """An exception of the program's own."""


def error_of(ssc) -> BaseException:
    with pytest.raises(BaseException) as caught:
        ssc.awaitTermination(200)
    return caught.value


# ---------------------------------------------------------------------- while it runs


def test_function_that_raises_in_a_lifted_operation(streaming):
    ssc = streaming()

    def invert(x):
        return 1 / x

    numbers = ssc.queueStream([[1], [0], [2]], default=[4])
    bad = Output(numbers.map(invert))
    good = Output(numbers)
    ssc.start()
    error = error_of(ssc)
    assert type(error) is ZeroDivisionError and str(error) == "division by zero"
    text = "".join(traceback.format_exception(error))
    assert "return 1 / x" in text and "in invert" in text, "the user's line in the worker"
    assert "foreachRDD at harness.py:" in text, "the operation, and where the output was defined"
    assert "\tat " not in text and "py4j" not in text
    good.wait_for_batches(4)
    bad.wait_for_batches(3)
    assert bad.batches[:3] == [[1.0], [0.5], [0.25]], "the other batches, as on the old engine"
    assert good.batches[:4] == [[1], [0], [2], [4]], "the other outputs"
    assert type(error_of(ssc)) is ZeroDivisionError, "every later call raises too"


def test_function_that_raises_in_foreachRDD(streaming):
    ssc = streaming()
    mine = CustomError("in the driver")
    calls = []

    def fail(rdd):
        calls.append(rdd)
        if len(calls) == 2:
            raise mine

    numbers = ssc.queueStream([[1], [2], [3]], default=[4])
    numbers.foreachRDD(fail)
    other = Output(numbers)
    ssc.start()
    assert error_of(ssc) is mine
    assert "fail" in [frame.name for frame in traceback.extract_tb(mine.__traceback__)]
    other.wait_for_batches(4)
    assert other.batches[:4] == [[1], [2], [3], [4]]


def test_sys_exit_in_a_callback_ends_nothing(streaming):
    ssc = streaming()
    numbers = ssc.queueStream([[1]], default=[2])
    numbers.foreachRDD(lambda rdd: exit(3))
    other = Output(numbers)
    ssc.start()
    assert isinstance(error_of(ssc), SystemExit)
    other.wait_for_batches(3)


def test_transform_that_raises_loses_the_batch(streaming):
    ssc = streaming()
    numbers = ssc.queueStream([[1], [2], [3]], default=[4])

    def fail_on_two(rdd):
        if rdd.collect() == [2]:
            raise CustomError("two")
        return rdd

    first = Output(numbers)
    Output(numbers.transform(fail_on_two))
    ssc.start()
    assert str(error_of(ssc)) == "two"
    first.wait_for_batches(3)
    assert first.batches[:3] == [[1], [3], [4]], "no output of the batch runs, as on the old engine"


def test_transform_that_returns_no_rdd(streaming):
    ssc = streaming()
    numbers = ssc.queueStream([[1]], default=[2])
    calls: list = []
    enough = threading.Event()

    def no_rdd(rdd):
        calls.append(rdd)
        if len(calls) == 6:
            enough.set()
        return 7

    Output(numbers.transform(no_rdd))
    ssc.start()
    assert enough.wait(200)
    assert len(ssc._query.batches.remembered) <= 2, "batches that fail are forgotten too"
    error = error_of(ssc)
    assert isinstance(error, DStreamTypeError) and "must return an RDD or None, got int" in str(error)


def test_context_transform_that_returns_none(streaming):
    ssc = streaming()
    numbers = ssc.queueStream([[1]], default=[2])
    Output(ssc.transform([numbers], lambda rdds: None))
    ssc.start()
    error = error_of(ssc)
    assert isinstance(error, BatchError) and "Transform function must not return null" in str(error)


@pytest.mark.parametrize("combine", ["transform", "union"])
def test_missing_rdd_where_all_are_needed(streaming, combine):
    ssc = streaming()
    numbers = ssc.queueStream([[1]], default=[2])
    none = numbers.transform(lambda rdd: None)
    if combine == "transform":
        Output(ssc.transform([numbers, none], lambda rdds: rdds[0]))
        text = r"Couldn't generate RDD from parent at time \d+ ms"
    else:
        Output(ssc.union(numbers, none))
        text = r"Could not generate RDD from a parent for unifying at time \d+ ms"
    ssc.start()
    with pytest.raises(BatchError, match=text):
        ssc.awaitTermination(200)


def test_result_that_cannot_be_pickled(streaming):
    ssc = streaming()
    Output(ssc.queueStream([[1]], default=[2]).map(lambda x: (x, threading.Lock())))
    ssc.start()
    error = error_of(ssc)
    assert "a record of the stream cannot be pickled" in str(error) and "lock" in str(error)


def test_record_that_is_no_pair(streaming):
    ssc = streaming()
    Output(ssc.queueStream([[1]], default=[2]).partitionBy(2))
    ssc.start()
    error = error_of(ssc)
    assert isinstance(error, TypeError)
    assert "a keyed operation needs (key, value) pairs, but got the record 1" in str(error)


def test_queue_element_that_cannot_be_computed(streaming, spark_context):
    ssc = streaming()
    broken = spark_context.parallelize([1, 0]).map(lambda x: 1 // x)
    results = Output(ssc.queueStream([broken, spark_context.parallelize([5])], default=spark_context.parallelize([6])))
    ssc.start()
    assert isinstance(error_of(ssc), ZeroDivisionError)
    results.wait_for_batches(2)
    assert results.batches[:2] == [[5], [6]]


# ---------------------------------------------------------------------- at start


def test_queue_element_whose_files_are_missing(streaming, spark_context, tmp_path):
    """Known only when its partitions are asked for: its batch is lost, and not the query."""
    ssc = streaming()
    elements = [spark_context.textFile(str(tmp_path / "absent")), spark_context.parallelize(["there"])]
    lines = Output(ssc.queueStream(elements, default=spark_context.parallelize(["more"])))
    ssc.start()
    assert "Input path does not exist" in str(error_of(ssc))
    lines.wait_for_batches(2)
    ssc.stop(stopSparkContext=False)
    assert lines.elements[:2] == ["there", "more"]


def test_function_that_cannot_be_pickled(streaming):
    ssc = streaming()
    lock = threading.Lock()
    numbers = ssc.queueStream([[1]])
    numbers.map(lambda x: x + 1).map(lambda x: (x, lock.locked())).filter(bool).reduceByKey(max).pprint()
    with pytest.raises(DStreamTypeError) as caught:
        ssc.start()
    assert "[2] map at test_failures.py" in str(caught.value), "the operation that is to blame"
    assert "cannot be pickled" in str(caught.value) and "lock" in str(caught.value)
    ssc = streaming()
    ssc.queueStream([[1]]).countByValue().map(lambda x: (x, lock.locked())).pprint()
    with pytest.raises(DStreamTypeError, match=r"\[2\] map at .*cannot be pickled"):
        ssc.start()


@pytest.mark.parametrize(
    "define",
    [
        lambda numbers, stop: numbers.map(stop),
        lambda numbers, stop: numbers.flatMap(stop),
        lambda numbers, stop: numbers.filter(stop),
        lambda numbers, stop: numbers.map(lambda x: (0, x)).reduceByKey(stop),
        lambda numbers, stop: numbers.countByValue().map(stop),
    ],
)
def test_stop_iteration_loses_no_records_in_silence(streaming, define):
    """PySpark guards against it with a wrapper around each call, which is left out here for speed."""

    def stop(*_):
        raise StopIteration

    ssc = streaming()
    Output(define(ssc.queueStream([[1, 2, 3, 4]]), stop))
    ssc.start()
    assert "StopIteration" in str(error_of(ssc))


def test_function_that_closes_over_the_context(streaming, spark_context):
    ssc = streaming()
    ssc.queueStream([[1]]).map(lambda x: spark_context.parallelize([x])).pprint()
    with pytest.raises(DStreamTypeError, match=r"map at test_failures.py.*cannot be pickled"):
        ssc.start()
    ssc = streaming()
    ssc.queueStream([[1]]).map(lambda x: ssc.remember(x)).pprint()
    with pytest.raises(DStreamTypeError, match=r"map at test_failures.py.*cannot be pickled"):
        ssc.start()


# ---------------------------------------------------------------------- at definition


@pytest.mark.parametrize(
    ("define", "text"),
    [
        (lambda s: s.queueStream([]), "the queue is empty and there is no default"),
        (lambda s: s.queueStream(iter([[1]])), "rdds must be a list"),
        (lambda s: s.queueStream([[1]], default=[]).repartition(0), "Number of partitions must be positive"),
        (lambda s: s.queueStream([[1]]).reduceByKey(max, -1), "Number of partitions must be positive"),
        (lambda s: s.queueStream([[1]]).join(3), "the other side must be a DStream"),
        (lambda s: s.queueStream([[1]]).union([1]), "the other side must be a DStream"),
        (lambda s: s.queueStream([[1]]).transform(lambda: None), "func should take one or two arguments"),
        (lambda s: s.queueStream([[1]]).transform("x"), "func must be a function"),
        (lambda s: s.queueStream([[1]]).foreachRDD(lambda a, b, c: None), "func should take one or two arguments"),
        (lambda s: s.queueStream([[1]]).pprint("10"), "num must be an int"),
        (lambda s: s.queueStream([[1]]).persist("MEMORY"), "storageLevel must be a pyspark.StorageLevel"),
        (lambda s: s.transform([], lambda rdds: None), "give a list with at least one DStream"),
        (lambda s: s.transform([1], lambda rdds: None), "expected DStreams, got int"),
        (lambda s: s.union(), "should have at least one DStream to union"),
        (lambda s: s.socketTextStream(7, 9999), "hostname must be a str"),
        (lambda s: s.socketTextStream("localhost", "9999"), "port must be an int"),
        (lambda s: s.socketTextStream("localhost", 99999), "port must be between 1 and 65535"),
        (lambda s: s.textFileStream(None), "directory must be a str"),
        (lambda s: s.binaryRecordsStream("/tmp", 0), "recordLength must be a positive number"),
        (lambda s: s.remember("5"), "duration must be a number"),
        (lambda s: s.remember(5) or s.remember(6), "Remember duration already set as 5000 ms"),
        (lambda s: s.addStreamingListener(object()), "has none of the methods of a StreamingListener"),
        (lambda s: s.queueStream([[1]]).slice(0, 1), "has not been initialized"),
    ],
)
def test_bad_arguments(streaming, define, text):
    with pytest.raises(DStreamError, match=text):
        define(streaming())


def test_streams_of_different_intervals_and_contexts(streaming):
    one, two, other = streaming(1), streaming(2), streaming(1)
    a, b, c = (ssc.queueStream([[1]]) for ssc in (one, two, other))
    with pytest.raises(DStreamValueError, match="the two DStream should have same slide duration"):
        a.union(b)
    with pytest.raises(DStreamValueError, match="different StreamingContexts"):
        a.union(c)
    with pytest.raises(DStreamValueError, match="Some of the DStreams have different contexts"):
        one.union(a, c)


def test_a_batch_that_is_cancelled_is_no_error_in_the_log(streaming, spark_context, monkeypatch, caplog):
    """PySpark cancels all jobs at Ctrl-C; who waits for the end is told all the same."""
    monkeypatch.setattr(logging.getLogger("dstreams"), "propagate", True)
    caplog.set_level(logging.INFO, "dstreams")
    ssc = streaming()

    def wait(record):
        time.sleep(100)

    def cancel():
        while not spark_context.statusTracker().getActiveJobsIds():
            time.sleep(0.05)
        spark_context.cancelAllJobs()

    def run(rdd):
        threading.Thread(target=cancel, daemon=True).start()
        rdd.foreach(wait)

    ssc.queueStream([[1]]).foreachRDD(run)
    ssc.start()
    assert "cancelled as part of cancellation of all jobs" in str(error_of(ssc))
    assert "the batch that ran was cancelled, with all jobs of the SparkContext" in caplog.messages
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
