"""What programs under test use: outputs that can be saved in a checkpoint directory, and runs of so many batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from dstreams import DStream, StreamingContext, StreamingListener

__all__ = ["Collect", "StopAfter", "collected", "files_below", "run_for"]

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


class StopAfter(StreamingListener):
    """Stops the context when so many batches have been completed."""

    def __init__(self, ssc: StreamingContext, batches: int) -> None:
        self.ssc = ssc
        self.left = batches

    def onBatchCompleted(self, batchCompleted: Any) -> None:
        self.left -= 1
        if self.left == 0:
            self.ssc.stop(stopSparkContext=False)


def run_for(ssc: StreamingContext, batches: int, timeout: float = 200) -> None:
    """Run a program until so many batches are completed; those that follow until it has stopped are run too."""
    ssc.addStreamingListener(StopAfter(ssc, batches))
    try:
        ssc.start()
        assert ssc.awaitTerminationOrTimeout(timeout), f"not {batches} batches in {timeout} s"
    finally:
        ssc.stop(stopSparkContext=False)


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


Setup = Callable[[], StreamingContext]
