"""What no table of streams shows, on the engine that PySpark ships and on this one: failures, events, no RDD at all."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from pyspark import RDD, SparkContext
from pyspark.streaming import StreamingContext as OldStreamingContext
from pyspark.streaming import StreamingListener as OldStreamingListener

from dstreams import StreamingContext, StreamingListener
from tests.harness import run_table
from tests.parity.side_by_side import add, rows

pytestmark = pytest.mark.parity

INTERVAL = 0.5
ENGINES = {"old": (OldStreamingContext, OldStreamingListener), "ours": (StreamingContext, StreamingListener)}


def on_both(program: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    """What a program, given a context and the class of listeners, finds on the old engine and on ours."""
    found = {}
    for engine, (context, listener) in ENGINES.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            ssc = context(SparkContext._active_spark_context, INTERVAL)
        try:
            found[engine] = program(ssc, listener)
        finally:
            ssc.stop(stopSparkContext=False)
    return found["old"], found["ours"]


@pytest.fixture(scope="module", autouse=True)
def _directory(spark_context: SparkContext, tmp_path_factory: pytest.TempPathFactory) -> None:
    spark_context.setCheckpointDir(str(tmp_path_factory.mktemp("checkpoint")))


# ---------------------------------------------------------------------- streams without an RDD, or that slide slowly


def counts(a: RDD[Any], b: RDD[Any]) -> RDD[Any]:
    return a.context.parallelize([(a.count(), b.count())], 1)


def only_in(stream: Any, *batches: int) -> Any:
    """A stream that has an RDD in these batches only, counted from 1."""
    first: list[datetime] = []

    def function(when: datetime, rdd: RDD[Any]) -> RDD[Any] | None:
        first.append(when)
        return rdd if round((when - first[0]).total_seconds() / INTERVAL) + 1 in batches else None

    return stream.transform(function)


def streams_of(ssc: Any) -> dict[str, Any]:
    numbers = ssc.queueStream([[1, 2, 3], [], [], [4]])
    pairs = ssc.queueStream([[("a", 1), ("b", 2)], [("a", 3)], [], []])
    slow = numbers.window(1.0, 1.0)
    return {
        "numbers": numbers,
        "fast with slow": numbers.transformWith(counts, slow),
        "slow with fast": slow.transformWith(counts, numbers),
        "window": only_in(numbers, 1).window(1.0),
        "state": only_in(pairs, 1, 3).updateStateByKey(lambda new, old: (old or 0) + 1),
        "filter without an inverse": pairs.reduceByKeyAndWindow(add, None, 1.0, 0.5, filterFunc=lambda pair: False),
    }


@pytest.mark.slow
def test_streams_without_an_rdd_and_slow_ones() -> None:
    def program(ssc: Any, _: Any) -> Any:
        streams = streams_of(ssc)
        batches = run_table(ssc, streams, streams["numbers"], 4)
        return {name: [rows(batch[name]) for batch in batches] for name in streams}

    theirs, ours = on_both(program)
    assert ours == theirs
    assert ours == {
        "numbers": [[1, 2, 3], [], [], [4]],
        "fast with slow": [[(3, 0)], [(0, 3)], [(0, 0)], [(1, 1)]],
        "slow with fast": [None, [(3, 0)], None, [(1, 1)]],
        "window": [[1, 2, 3], [1, 2, 3], [], []],
        "state": [[("a", 1), ("b", 1)], [("a", 1), ("b", 1)], [("a", 2), ("b", 2)], [("a", 2), ("b", 2)]],
        "filter without an inverse": [[("a", 1), ("b", 2)], [("a", 4), ("b", 2)], [("a", 3)], []],
    }


# ---------------------------------------------------------------------- batches and outputs that fail

EVENTS = {
    "onBatchSubmitted": "submitted",
    "onBatchStarted": "started",
    "onOutputOperationStarted": "output started",
    "onOutputOperationCompleted": "output completed",
    "onBatchCompleted": "completed",
}


def recorder(listener: type, events: dict[int, list[Any]]) -> Any:
    """A listener that keeps what is told of each batch, by its time in ms."""

    def keep(name: str) -> Callable[[Any, Any], None]:
        def method(self: Any, event: Any) -> None:
            if "Output" in name:
                info = event.outputOperationInfo()
                event = (name, info.id(), info.failureReason() is not None)
            else:
                info = event.batchInfo()
                event = (name, info.numRecords(), len(info.streamIdToInputInfo()))
            events.setdefault(info.batchTime().milliseconds(), []).append((EVENTS[event[0]], *event[1:]))

        return method

    return type("Recorder", (listener,), {name: keep(name) for name in EVENTS})()


class Steps:
    """Numbers the batches of an output, and lets a test wait for one."""

    def __init__(self) -> None:
        self.times: list[datetime] = []
        self._changed = threading.Condition()

    def __call__(self, when: datetime, rdd: RDD[Any]) -> None:
        with self._changed:
            self.times.append(when)
            self._changed.notify_all()

    def wait_for(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.times) >= number, 200), self.times


def error_of(ssc: Any) -> str:
    with pytest.raises(Exception) as caught:
        ssc.awaitTerminationOrTimeout(0)
    return str(caught.value)


def test_batches_and_outputs_that_fail() -> None:
    """One output fails in the second batch, making the RDDs in each of the next five, an output again in the eighth."""

    def program(ssc: Any, listener: type) -> Any:
        events: dict[int, list[Any]] = {}
        good, batch = Steps(), 0
        numbers = ssc.queueStream([[1]], default=[2])
        ssc.addStreamingListener(recorder(listener, events))

        def count(rdd: RDD[Any]) -> RDD[Any]:
            nonlocal batch
            batch += 1
            return rdd

        def fail(rdd: RDD[Any]) -> None:
            if batches(good) in (2, 8):
                raise RuntimeError(f"an output failed in batch {batches(good)}")

        def batches(steps: Steps) -> int:
            return round((steps.times[-1] - steps.times[0]).total_seconds() / INTERVAL) + 1

        def transform(rdd: RDD[Any]) -> Any:
            if batch == 3:
                raise RuntimeError("a transform function failed")
            return 7 if batch == 4 else rdd

        numbers.transform(count).foreachRDD(lambda when, rdd: good(when, rdd))
        numbers.foreachRDD(fail)
        numbers.foreachRDD(lambda rdd: None)
        numbers.transform(transform).foreachRDD(lambda rdd: None)
        not_in_6 = numbers.transform(lambda rdd: None if batch == 6 else rdd)
        not_in_7 = numbers.transform(lambda rdd: None if batch == 7 else rdd)
        ssc.transform([numbers], lambda rdds: None if batch == 5 else rdds[0]).foreachRDD(lambda rdd: None)
        ssc.transform([numbers, not_in_6], lambda rdds: rdds[0]).foreachRDD(lambda rdd: None)
        ssc.union(numbers.transform(lambda rdd: rdd), not_in_7).foreachRDD(lambda rdd: None)
        assert type(ssc).getActive() is None
        ssc.start()
        good.wait_for(6)  # batches 1, 2, 8 and later: the events of the ninth have come by then
        active = type(ssc).getActive() is ssc
        last = error_of(ssc)
        ssc.stop(stopSparkContext=False)
        zero = min(events)
        return {
            "events": {n: told for moment, told in sorted(events.items()) if (n := (moment - zero) // 500 + 1) < 10},
            "last": "an output failed in batch 8" in last,
            "after stop": "an output failed in batch 8" in error_of(ssc),
            "active": active,
        }

    def told(*failed: int) -> list[Any]:
        outputs = [[("output started", n, False), ("output completed", n, n in failed)] for n in range(7)]
        return [("submitted", 0, 0), ("started", 0, 0), *(event for pair in outputs for event in pair),
                ("completed", 0, 0)]  # fmt: skip

    theirs, ours = on_both(program)
    assert ours == theirs
    assert ours == {
        "events": {1: told(), 2: told(1), 8: told(1), 9: told()},
        "last": True, "after stop": True, "active": True,
    }  # fmt: skip
