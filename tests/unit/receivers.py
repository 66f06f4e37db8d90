"""What the tests of receivers share: an ear for what they say, waiting, and the records that a batch would have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pyarrow as pa

from dstreams._plan.chunks import read_chunks
from dstreams._sources.custom import CustomSource
from dstreams._sources.receiver import ReceiverReader, Settings
from dstreams._sources.socket import SocketReader, read_line_blocks
from dstreams._spark.rdd import Cut
from dstreams.receiver import Receiver

__all__ = ["QUICK", "Decode", "Status", "custom", "decoded", "partitions", "received", "taken", "until"]

QUICK = Settings(restart_seconds=0.01, block_seconds=0.01, parallelism=2)

Decode = Callable[[Iterator[pa.RecordBatch]], Iterator[Any]]


class Status:
    """Stands in for the driver's log and the listeners."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def report(self, event: str, text: str) -> None:
        self.said.append((event, text))

    def texts(self, event: str) -> list[str]:
        return [text for said, text in self.said if said == event]


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.002)


def received(reader: ReceiverReader) -> int:
    """Count of the records that a batch could take."""
    return int(reader.latest(None)["n"])


def partitions(cut: Cut | None) -> list[list[bytes]]:
    """Chunks of each partition of a batch, which Spark cuts as it cuts a list that is parallelized."""
    if cut is None:
        return []
    bounds = [i * len(cut.chunks) // cut.partitions for i in range(cut.partitions + 1)]
    return [cut.chunks[low:high] for low, high in pairwise(bounds)]


def decoded(chunks: list[bytes], decode: Decode = read_chunks) -> list[Any]:
    """Records of chunks, as a worker reads them."""
    return list(decode(pa.RecordBatch.from_arrays([pa.array([chunk], pa.binary())], ["chunk"]) for chunk in chunks))


def taken(reader: ReceiverReader, start: int = 0, end: int | None = None) -> list[Any]:
    """Records of a batch."""
    cut = reader.batch({"n": start}, {"n": received(reader) if end is None else end})
    return decoded(
        [] if cut is None else cut.chunks, read_line_blocks if isinstance(reader, SocketReader) else read_chunks
    )


def custom(receiver: Receiver[Any], settings: Settings = QUICK) -> CustomSource:
    return CustomSource(receiver, 3, settings)
