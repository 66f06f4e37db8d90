"""Chunks: pickled lists of records, the one column that every streaming DataFrame here carries.

A chunk has the bytes that PySpark's own ``AutoBatchedSerializer(CPickleSerializer())`` writes, so a chunk
column is an RDD, and back, without work per record. Everything in this file runs in Spark's Python workers;
it must not know the SparkContext, the graph or the driver.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import pyarrow as pa

__all__ = ["CHUNK", "ROUTED", "ChunkWriter", "Router", "StageFunction", "apply", "read_chunks", "write_chunk"]

CHUNK = "chunk binary"
"""Schema of a frame of chunks."""
ROUTED = "part int, chunk binary"
"""Schema of chunks on their way through a shuffle, each with the partition it goes to."""

Records = Iterable[Any]
Decode = Callable[[Iterator[pa.RecordBatch]], Iterator[Any]]
Encode = Callable[[Records], Iterator[pa.RecordBatch]]

_CHUNK_SCHEMA = pa.schema([("chunk", pa.binary())])
_ROUTED_SCHEMA = pa.schema([("part", pa.int32()), ("chunk", pa.binary())])
_CHUNK_BYTES = 1 << 18


def write_chunk(records: list[Any]) -> bytes:
    """Pickle a list of records; an error names a record that cannot be pickled."""
    try:
        return pickle.dumps(records, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        culprit = next((record for record in records if not _pickles(record)), records)
        raise pickle.PicklingError(
            f"a record of the stream cannot be pickled: {culprit!r:.200} ({error}). Records travel between "
            "processes: let the function return plain data (or an instance of a class in a module that the "
            "workers can import)."
        ) from error


def _pickles(record: Any) -> bool:
    try:
        pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
    except Exception:
        return False
    return True


def read_chunks(batches: Iterator[pa.RecordBatch]) -> Iterator[Any]:
    """Records of Arrow batches whose last column is chunks."""
    return chain.from_iterable(
        pickle.loads(memoryview(chunk.as_buffer()))
        for batch in batches
        for chunk in batch.column(batch.num_columns - 1)
    )


class ChunkWriter:
    """Records to Arrow batches of chunks."""

    schema = CHUNK

    def __call__(self, records: Records) -> Iterator[pa.RecordBatch]:
        """Yield batches of one chunk, of growing size, so that who wants few records waits for few."""
        source, size = iter(records), 64
        while block := list(islice(source, size)):
            data = write_chunk(block)
            yield pa.RecordBatch.from_arrays([pa.array([data], pa.binary())], schema=_CHUNK_SCHEMA)
            if len(data) < _CHUNK_BYTES:
                size *= 4
            elif len(data) > 4 * _CHUNK_BYTES:
                size = max(1, size // 4)


class Router:
    """Records to Arrow batches of chunks, each with the partition that the shuffle brings it to.

    Parameters
    ----------
    partitions : int
        Number of target partitions.
    route : callable, optional
        Key of a pair to an int; None deals records out one after the other.
    """

    schema = ROUTED

    def __init__(self, partitions: int, route: Callable[[Any], int] | None) -> None:
        self.partitions = partitions
        self.route = route

    def __call__(self, records: Records) -> Iterator[pa.RecordBatch]:
        """Yield one batch whenever enough records wait; the amount adapts to their size in bytes."""
        assign = self._deal if self.route is None else self._by_key
        source, limit = iter(records), 1000
        while block := list(islice(source, limit)):
            buckets: list[list[Any]] = [[] for _ in range(self.partitions)]
            assign(block, buckets)
            full = [(part, write_chunk(bucket)) for part, bucket in enumerate(buckets) if bucket]
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array([part for part, _ in full], pa.int32()),
                    pa.array([data for _, data in full], pa.binary()),
                ],
                schema=_ROUTED_SCHEMA,
            )
            size = sum(len(data) for _, data in full) // len(full)
            if size < _CHUNK_BYTES:
                limit *= 4
            elif size > 4 * _CHUNK_BYTES:
                limit = max(1, limit // 4)

    def _by_key(self, block: list[Any], buckets: list[list[Any]]) -> None:
        route, n = self.route, self.partitions
        assert route is not None
        for pair in block:
            try:
                key, value = pair
            except (TypeError, ValueError):
                raise TypeError(
                    f"a keyed operation needs (key, value) pairs, but got the record {pair!r:.200}"
                ) from None
            buckets[route(key) % n].append((key, value))

    def _deal(self, block: list[Any], buckets: list[list[Any]]) -> None:
        for part, bucket in enumerate(buckets):
            bucket.extend(block[part :: self.partitions])


def apply(functions: tuple[Callable[[Any], Records], ...], records: Records) -> Iterator[Any]:
    """Apply functions over a partition, one after the other; to be called inside a generator (see ``combine``)."""
    for function in functions:
        records = function(iter(records))
    return iter(records)


class StageFunction:
    """What one Python stage of the streaming plan does to the Arrow batches of a partition.

    Parameters
    ----------
    decode : callable
        Arrow batches to records.
    functions : sequence of callables
        Iterator of records to iterable of records, applied in order.
    encode : ChunkWriter or Router
        Records to Arrow batches.
    """

    def __init__(self, decode: Decode, functions: tuple[Callable[[Any], Records], ...], encode: Encode) -> None:
        self.decode = decode
        self.functions = functions
        self.encode = encode

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Run the stage; input that no function asked for is read to its end, so that the worker lives on."""
        yield from self.encode(apply(self.functions, self.decode(batches)))
        for _ in batches:
            pass
