"""Run a program in this process, and look at what came out, batch by batch.

:func:`run_batches` is for a few streams. :func:`run_table` is for many at once: it costs one Spark job per batch,
and it runs programs of the old engine as well. :func:`run_for` is for programs that have outputs of their own, such as
:class:`Collect`, which can be saved in a checkpoint directory.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from pyspark import RDD

from dstreams import DStream, StreamingContext, StreamingListener

__all__ = [
    "Collect", "Output", "Parts", "StopAfter", "attach", "collected", "elements", "files_below", "flatten",
    "partitions", "results", "run_batches", "run_for", "run_table", "times",
]  # fmt: skip

Parts = list[list[Any]]
"""The elements of an RDD, one list for each partition."""


def elements(rdd: RDD[Any]) -> list[Any]:
    """All elements."""
    return rdd.collect()


def partitions(rdd: RDD[Any]) -> Parts:
    """One list of elements for each partition."""
    return rdd.glom().collect()


def flatten(parts: Parts | None) -> list[Any] | None:
    """From what :func:`partitions` gives to what :func:`elements` gives."""
    return None if parts is None else [record for part in parts for record in part]


class Output:
    """Collects what an output operation gets, batch by batch, while the program runs; a test waits for it.

    Parameters
    ----------
    stream : DStream
        The stream whose RDDs to collect.
    """

    def __init__(self, stream: DStream[Any]) -> None:
        self.batches: list[list[Any]] = []
        self.partitions: list[int] = []
        self._changed = threading.Condition()
        stream.foreachRDD(self._take)

    def _take(self, rdd: RDD[Any]) -> None:
        found = rdd.collect()
        with self._changed:
            self.batches.append(found)
            self.partitions.append(rdd.getNumPartitions())
            self._changed.notify_all()

    @property
    def elements(self) -> list[Any]:
        """All elements so far."""
        return [element for batch in self.batches for element in batch]

    def wait_for(self, condition: Callable[[Output], bool], timeout: float = 200) -> None:
        """Wait until the condition holds."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), timeout), self.batches

    def wait_for_batches(self, number: int, timeout: float = 200) -> None:
        """Wait until so many batches are there."""
        self.wait_for(lambda output: len(output.batches) >= number, timeout)

    def wait_for_more(self, number: int) -> None:
        """Wait for so many further batches."""
        self.wait_for_batches(len(self.batches) + number)


class StopAfter(StreamingListener):
    """Stops the context when so many batches have been completed."""

    def __init__(self, ssc: StreamingContext, batches: int) -> None:
        self.ssc = ssc
        self.batches = batches
        self.times: list[int] = []

    def onBatchCompleted(self, batchCompleted: Any) -> None:
        self.times.append(batchCompleted.batchInfo().batchTime().milliseconds())
        if len(self.times) == self.batches:
            self.ssc.stop(stopSparkContext=False)


def run_for(ssc: StreamingContext, batches: int, timeout: float = 200) -> list[int]:
    """Run a program until so many batches are completed, and return their times in ms.

    Those that follow until it has stopped are run too. Raises what ``awaitTermination`` does.
    """
    counter = StopAfter(ssc, batches)
    ssc.addStreamingListener(counter)
    try:
        ssc.start()
        ended = ssc.awaitTerminationOrTimeout(timeout)
    finally:
        ssc.stop(stopSparkContext=False)
    assert ended and len(counter.times) >= batches, f"{len(counter.times)} of {batches} batches in {timeout} s"
    return counter.times[:batches]


def run_batches(
    ssc: StreamingContext,
    streams: DStream[Any] | dict[str, DStream[Any]],
    batches: int,
    timeout: float = 200,
    of: Callable[[RDD[Any]], Any] = elements,
) -> list[Any]:
    """Run a program for so many batches and return the results of each.

    Parameters
    ----------
    ssc : StreamingContext
        Context of the streams; it is started here, and stopped.
    streams : DStream or dict of str to DStream
        What to look at. Other outputs of the program run as well.
    batches : int
        How many batches to wait for; those that follow until the context has stopped are left out.
    timeout : float
        Seconds until the run counts as failed.
    of : callable
        What to keep of an RDD: :func:`elements`, :func:`partitions`, or any other function of it.

    Returns
    -------
    list
        For each batch a result, or a dict of results by name; None where a stream had no RDD.

    Raises
    ------
    Exception
        What ``awaitTermination`` raises, or an AssertionError if the batches do not come in time.
    """
    named = streams if isinstance(streams, dict) else {"": streams}
    seen: dict[int, dict[str, Any]] = {}

    def attach(name: str, stream: DStream[Any]) -> None:
        def keep(time: datetime, rdd: RDD[Any]) -> None:
            seen.setdefault(_milliseconds(time), {})[name] = of(rdd)

        stream.foreachRDD(keep)

    for name, stream in named.items():
        attach(name, stream)
    times = run_for(ssc, batches, timeout)
    rows = [{name: seen.get(time, {}).get(name) for name in named} for time in times]
    return rows if isinstance(streams, dict) else [row[""] for row in rows]


def run_table(
    ssc: Any, streams: dict[str, Any], pulse: Any, batches: int, timeout: float = 400, step: Callable[[], None] = int
) -> list[dict[str, Parts | None]]:
    """Run many streams of one context for so many batches, of either engine.

    Parameters
    ----------
    ssc : StreamingContext
        Context of the streams; it is started here, and stopped.
    streams : dict of str to DStream
        What to look at.
    pulse : DStream
        A stream that has an RDD in every batch, such as a queueStream. Its output is the last one of a batch: it
        fetches the RDDs of all the others in one Spark job.
    batches : int
        How many batches to wait for.
    timeout : float
        Seconds until the run counts as failed.
    step : callable
        Called when a batch may begin, where batches do not come by themselves.

    Returns
    -------
    list of dict
        For each batch the partitions of each stream by name; None where a stream had no RDD.
    """
    batch: dict[str, RDD[Any]] = {}
    rows: list[dict[str, Parts | None]] = []
    changed = threading.Condition()

    def attach(name: str, stream: Any) -> None:
        def keep(rdd: RDD[Any]) -> None:
            batch[name] = rdd

        stream.foreachRDD(keep)

    def fetch(_: RDD[Any]) -> None:
        found = _fetch(ssc.sparkContext, batch) if len(rows) < batches else {}
        batch.clear()
        with changed:
            rows.append({name: found.get(name) for name in streams})
            changed.notify_all()

    for name, stream in streams.items():
        attach(name, stream)
    pulse.foreachRDD(fetch)
    try:
        ssc.start()
        for number in range(1, batches + 1):
            step()
            with changed:
                if not changed.wait_for(lambda number=number: len(rows) >= number, timeout):
                    break
        ssc.awaitTerminationOrTimeout(0)  # raises what a batch failed with
    finally:
        ssc.stop(stopSparkContext=False)
    assert len(rows) >= batches, f"{len(rows)} of {batches} batches in {timeout} s"
    return rows[:batches]


def _fetch(sc: Any, rdds: dict[str, RDD[Any]]) -> dict[str, Parts]:
    if not rdds:  # a union has a first member
        return {}
    found: dict[str, Parts] = {name: [] for name in rdds}
    tagged = [rdd.mapPartitions(_tag(name)) for name, rdd in rdds.items()]
    for name, part in sc.union(tagged).collect():
        found[name].append(part)
    return found


def _tag(name: str) -> Callable[[Any], Any]:
    return lambda records: [(name, list(records))]


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


# ---------------------------------------------------------------------- programs that are saved and restored

collected: dict[str, list[tuple[int, list[Any]]]] = defaultdict(list)
"""Batch times in ms and sorted records, by the key of an output; also of batches that were run again."""


class Collect:
    """An output that puts what it gets into :data:`collected`; pickled as its key, so that it can be restored."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, time: datetime, rdd: Any) -> None:
        records = sorted(rdd.collect(), key=repr)
        collected[self.key].append((round(time.timestamp() * 1000), records))


def attach(streams: dict[str, DStream[Any]], run: str) -> None:
    """Collect several streams under ``run/name``."""
    for name, stream in streams.items():
        stream.foreachRDD(Collect(f"{run}/{name}"))


def results(run: str, names: Iterable[str]) -> dict[str, list[list[Any]]]:
    """Records of each batch by name of the output; a batch that was run again must have given the same."""
    found = {}
    for name in names:
        by_time: dict[int, list[Any]] = {}
        for time_ms, records in collected[f"{run}/{name}"]:
            assert by_time.setdefault(time_ms, records) == records, f"{name}: batch {time_ms} gave something else again"
        assert list(by_time) == sorted(by_time), f"{name}: batch times go back"
        found[name] = list(by_time.values())
    return found


def times(run: str, name: str) -> list[int]:
    """Batch times in ms, each once."""
    return list(dict.fromkeys(time for time, _ in collected[f"{run}/{name}"]))


def files_below(directory: Path) -> dict[str, bytes]:
    """Everything in a directory but what tells who uses it."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name.strip(".") not in ("lock", "owner", "owner.crc")
    }
