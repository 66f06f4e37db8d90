"""Input partitions that carry their records with them, as chunks, from a source's planner to the tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition

from dstreams._plan.chunks import write_chunk

__all__ = ["MAX_WAITING_BYTES", "ChunkPartition", "ChunkReader", "CountingReader", "packed"]

_BLOCK_RECORDS = 10_000
_BLOCK_BYTES = 1 << 20

MAX_WAITING_BYTES = 256 << 20
"""A reader that listens all the time reads no more while so much waits for a batch."""
PARTITION_BYTES = 16 << 20
"""A partition travels inside its task, and Spark sends no task of more than spark.rpc.message.maxSize (128 MiB)."""


class ChunkPartition(InputPartition):
    """One partition of a batch.

    Parameters
    ----------
    chunks : list of bytes
        The partition's records.
    failure : str, optional
        Why the records could not be had; reading the partition raises it, which fails the batch but not the
        query.
    """

    def __init__(self, chunks: list[bytes], failure: str | None = None) -> None:
        self.chunks = chunks
        self.failure = failure


def packed(records: list[Any], each: int) -> list[ChunkPartition]:
    """One partition of all records; several if one would be too large to be sent to an executor.

    Parameters
    ----------
    records : list
        The records.
    each : int
        About how many bytes one has.
    """
    block = max(1, min(_BLOCK_RECORDS, _BLOCK_BYTES // (each or 1)))
    chunks = (write_chunk(records[i : i + block]) for i in range(0, len(records), block))
    partitions: list[ChunkPartition] = []
    size = PARTITION_BYTES
    for chunk in chunks:
        if size + len(chunk) > PARTITION_BYTES:
            partitions.append(ChunkPartition([]))
            size = 0
        partitions[-1].chunks.append(chunk)
        size += len(chunk)
    return partitions


class ChunkReader(DataSourceStreamReader):
    """A stream reader whose partitions are :class:`ChunkPartition`."""

    @abstractmethod
    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[ChunkPartition]:
        """Partitions of the batch between two offsets."""

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Give a partition's chunks, in a task."""
        assert isinstance(partition, ChunkPartition)
        if partition.failure is not None:
            raise RuntimeError(partition.failure)
        for chunk in partition.chunks:
            yield pa.RecordBatch.from_arrays([pa.array([chunk], pa.binary())], names=["chunk"])


class CountingReader(ChunkReader):
    """A reader whose offsets are ``{"n": count}``."""

    @abstractmethod
    def available(self, start: int | None) -> int:
        """Count up to which there is data; `start` is where the batch begins (None before Spark 4.2)."""

    def initialOffset(self) -> dict[str, Any]:
        """Return the offset before the first batch."""
        return {"n": 0}

    # Spark 4.1 calls it without arguments, Spark 4.2 and later with both.
    def latestOffset(self, start: dict[str, Any] | None = None, limit: Any = None) -> dict[str, Any]:
        """Offset up to which there is data."""
        return {"n": self.available(None if start is None else start["n"])}
