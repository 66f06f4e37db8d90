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
from pyspark import cloudpickle

from dstreams._spark.rdd import CHUNK

__all__ = [
    "ROUTED",
    "ChunkWriter",
    "Chunks",
    "Router",
    "StageFunction",
    "apply",
    "dump",
    "dump_in_driver",
    "read_chunks",
    "split",
    "write_chunk",
    "write_chunks",
]

ROUTED = "part int, chunk binary"
"""Schema of chunks on their way through a shuffle, each with the partition it goes to."""

Records = Iterable[Any]
Decode = Callable[[Iterator[pa.RecordBatch]], Iterator[Any]]
Encode = Callable[[Records], Iterator[pa.RecordBatch]]

_CHUNK_SCHEMA = pa.schema([("chunk", pa.binary())])
_ROUTED_SCHEMA = pa.schema([("part", pa.int32()), ("chunk", pa.binary())])
_CHUNK_BYTES = 1 << 18


def dump(thing: Any) -> bytes:
    """Pickle something in a worker.

    What pickle does not take, cloudpickle may, as for PySpark's own records: instances of classes of the program's
    script (which the daemon's ``__main__`` does not have) or of a function, lambdas. It is slower, and so comes second.
    """
    try:
        return pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    except Exception:
        return dump_in_driver(thing)


def dump_in_driver(thing: Any) -> bytes:
    """Pickle something in the driver, where classes of the script look as if any process could import them."""
    return cloudpickle.dumps(thing, pickle.HIGHEST_PROTOCOL)  # type: ignore[no-any-return]


def write_chunk(records: list[Any], dump: Callable[[Any], bytes] = dump) -> bytes:
    """Pickle a list of records; an error names a record that cannot be pickled."""
    try:
        return dump(records)
    except Exception as error:
        culprit = next((record for record in records if not _pickles(record)), records)
        raise pickle.PicklingError(
            f"a record of the stream cannot be pickled: {culprit!r:.200} ({error}). Records travel between processes: "
            "let the function return plain data, or objects without locks, connections, files and the like."
        ) from error


def _pickles(record: Any) -> bool:
    try:
        dump_in_driver(record)
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


def write_chunks(records: Records, size: int = 1024) -> Iterator[bytes]:
    """Chunks of a stream of records; the number of records in each adapts to their size in bytes."""
    source = iter(records)
    while block := list(islice(source, size)):
        data = write_chunk(block)
        yield data
        if len(data) < _CHUNK_BYTES:
            size *= 4
        elif len(data) > 4 * _CHUNK_BYTES:
            size = max(1, size // 4)


class Chunks:
    """Records that are pickled already; who only passes them on need not look at them.

    Parameters
    ----------
    chunks : list of bytes
        The records.
    """

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    @classmethod
    def of(cls, records: Records) -> Chunks:
        """Pickle records, unless they are."""
        return records if isinstance(records, Chunks) else cls(list(write_chunks(records)))

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(map(pickle.loads, self.chunks))


class ChunkWriter:
    """Records to Arrow batches of chunks."""

    schema = CHUNK

    def __call__(self, records: Records) -> Iterator[pa.RecordBatch]:
        """Yield batches of one chunk, of growing size, so that who wants few records waits for few."""
        for data in write_chunks(records, 64):
            yield pa.RecordBatch.from_arrays([pa.array([data], pa.binary())], schema=_CHUNK_SCHEMA)


def split(records: Records, partitions: int, route: Callable[[Any], int] | None) -> Iterator[list[tuple[int, bytes]]]:
    """Records to chunks for the partitions of a shuffle, block by block.

    Parameters
    ----------
    records : iterable
        Pairs where `route` is given.
    partitions : int
        Number of target partitions.
    route : callable, optional
        Key of a pair to an int; None deals records out one after the other.

    Yields
    ------
    list of tuple of int and bytes
        Partition and chunk, once enough records wait; the amount adapts to their size in bytes.
    """
    source, limit = iter(records), 1000
    while block := list(islice(source, limit)):
        targets: list[list[Any]] = [[] for _ in range(partitions)]
        if route is None:
            for part, target in enumerate(targets):
                target.extend(block[part::partitions])
        else:
            _by_key(block, targets, route)
        full = [(part, write_chunk(target)) for part, target in enumerate(targets) if target]
        yield full
        size = sum(len(data) for _, data in full) // len(full)
        if size < _CHUNK_BYTES:
            limit *= 4
        elif size > 4 * _CHUNK_BYTES:
            limit = max(1, limit // 4)


def _by_key(block: list[Any], targets: list[list[Any]], route: Callable[[Any], int]) -> None:
    n = len(targets)
    for pair in block:
        try:
            key, value = pair
        except (TypeError, ValueError):
            raise TypeError(f"a keyed operation needs (key, value) pairs, but got the record {pair!r:.200}") from None
        targets[route(key) % n].append((key, value))


class Router:
    """Records to Arrow batches of chunks, each with the partition that the shuffle brings it to; see :func:`split`."""

    schema = ROUTED

    def __init__(self, partitions: int, route: Callable[[Any], int] | None) -> None:
        self.partitions = partitions
        self.route = route

    def __call__(self, records: Records) -> Iterator[pa.RecordBatch]:
        """Yield one batch whenever enough records wait."""
        for full in split(records, self.partitions, self.route):
            parts, chunks = zip(*full, strict=True)
            yield pa.RecordBatch.from_arrays(
                [pa.array(parts, pa.int32()), pa.array(chunks, pa.binary())], schema=_ROUTED_SCHEMA
            )


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
