"""A program in several versions over one checkpoint directory, which kills itself at a step of its start.

Run with the directory, the version, and the number of the change of the directory before which it dies (0 for none); it
prints the batch time and the state of each batch.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from dstreams import DStream, StreamingContext, StreamingListener
from dstreams._spark.files import Files

BATCHES = 2
PAIRS = [[("a", 1), ("b", 1)]] * 200


def total(new: list[int], old: int | None) -> int:
    return sum(new) + (old or 0)


def show(name: str) -> Callable[[datetime, Any], None]:
    return lambda time, rdd: print(name, round(time.timestamp()), sorted(rdd.collect()), flush=True)


def define(ssc: StreamingContext, version: str) -> None:
    pairs: DStream[Any] = ssc.queueStream(PAIRS).named("pairs")
    if version == "moves":  # an operation more before it: the state gets another number
        pairs.reduceByKeyAndWindow(lambda a, b: a + b, lambda a, b: a - b, 2).foreachRDD(show("window"))
    if version == "stays":  # a source more: other offsets, the same state
        ssc.queueStream([[1]] * 200).named("more").count().foreachRDD(show("count"))
    pairs.updateStateByKey(total).foreachRDD(show("state"))


class Stop(StreamingListener):
    def __init__(self, ssc: StreamingContext) -> None:
        self._ssc = ssc
        self._left = BATCHES

    def onBatchCompleted(self, batchCompleted: Any) -> None:
        self._left -= 1
        if not self._left:
            self._ssc.stop(stopSparkContext=False)


def die_at(step: int) -> None:
    """Die, as by SIGKILL from outside, before so many changes of files have been made."""
    left = [step]

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(self: Files, *args: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(self, *args)

        return changed

    for name in ("write", "delete", "copy"):
        setattr(Files, name, dying(getattr(Files, name)))


def main(directory: str, version: str, step: int) -> None:
    def setup() -> StreamingContext:
        from pyspark import SparkContext

        ssc = StreamingContext(SparkContext.getOrCreate(), 1)
        define(ssc, version)
        return ssc

    die_at(step)
    ssc = StreamingContext.getOrCreate(directory, setup, upgrade=True)
    ssc.addStreamingListener(Stop(ssc))
    ssc.start()
    ssc.awaitTermination()
    print("ended", flush=True)
    ssc.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
