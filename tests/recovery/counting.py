"""A program that counts in every way that keeps state; the kill test runs it in a process of its own.

``python counting.py CHECKPOINT OUTPUT STOP files DIRECTORY`` or ``... socket PORT``. A record is a line ``number key
value``. Each output operation appends one line of JSON per batch to the file OUTPUT; the program ends gracefully when
there is a file STOP.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from operator import add, sub
from typing import Any

from pyspark import RDD, SparkConf, SparkContext

from dstreams import State, StateSpec, StreamingContext

INTERVAL_MS, SLIDE_MS, WINDOW_MS = 500, 1_000, 30_000
"""The window is long enough that what was received before a kill is still in it after the restart."""
CONF = {
    "spark.app.name": "counting",
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # A slow machine may need longer for a restart than the default, behind which files count as old.
    "spark.streaming.fileStream.minRememberDuration": "600s",
}


class Append:
    """An output that appends what a batch has to a file; when it returns, that survives everything."""

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self.name = name

    def __call__(self, time: datetime, rdd: RDD[Any]) -> None:
        records = sorted(rdd.collect(), key=repr)
        line = json.dumps({"name": self.name, "time": round(time.timestamp() * 1000), "records": records})
        with open(self.path, "ab") as file:
            file.write(f"\n{line}\n".encode())  # begins a line even where a killed program left half of one
            file.flush()
            os.fsync(file.fileno())


def key_and_value(line: str) -> tuple[str, int]:
    _, key, value = line.split()
    return key, int(value)


def sum_and_count(values: list[int], state: tuple[int, int] | None) -> tuple[int, int]:
    total, count = state or (0, 0)
    return total + sum(values), count + len(values)


def running_count(key: str, _: int, state: State[int]) -> tuple[str, int]:
    state.update((state.getOption() or 0) + 1)
    return key, state.get()


def setup(checkpoint: str, output: str, kind: str, where: str) -> StreamingContext:
    """Make the program; called by the first start only."""
    conf = SparkConf()
    for key, value in CONF.items():
        conf.setIfMissing(key, value)  # spark-submit names another master
    ssc = StreamingContext(SparkContext(conf=conf), INTERVAL_MS / 1000)
    lines = ssc.textFileStream(where) if kind == "files" else ssc.socketTextStream("127.0.0.1", int(where))
    pairs = lines.map(key_and_value)
    counts = pairs.mapWithState(StateSpec.function(running_count))
    negated = pairs.transform(lambda rdd: rdd.mapValues(lambda value: -value))
    streams = {
        "input": lines,
        "state": pairs.updateStateByKey(sum_and_count),
        "window": pairs.reduceByKeyAndWindow(add, sub, WINDOW_MS / 1000, SLIDE_MS / 1000),
        "mapped": counts,
        "snapshots": counts.stateSnapshots(),
        "exchange": negated.updateStateByKey(sum_and_count),
    }
    for name, stream in streams.items():
        stream.foreachRDD(Append(output, name))
    return ssc


def main(checkpoint: str, output: str, stop: str, kind: str, where: str) -> None:
    create: Callable[[], StreamingContext] = lambda: setup(checkpoint, output, kind, where)  # noqa: E731
    ssc = StreamingContext.getOrCreate(checkpoint, create)
    ssc.start()
    while not ssc.awaitTerminationOrTimeout(0.2):
        if os.path.exists(stop):
            ssc.stop(stopSparkContext=True, stopGraceFully=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
