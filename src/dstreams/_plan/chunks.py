"""Chunks: pickled lists of records, the one column that every streaming DataFrame here carries.

A chunk has the bytes that PySpark's own ``AutoBatchedSerializer(CPickleSerializer())`` writes, so a chunk
column is an RDD, and back, without work per record. Workers and the driver read and write them, so nothing here
knows the SparkContext or the graph.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import pyarrow as pa
from pyspark import cloudpickle

__all__ = [
    "CHUNK_BYTES",
    "Chunks",
    "Decode",
    "Records",
    "dump",
    "dump_in_driver",
    "read_chunks",
    "write_chunk",
    "write_chunks",
]

CHUNK_BYTES = 1 << 18
"""Size that chunks are given, where records are not larger themselves."""

Records = Iterable[Any]
Decode = Callable[[Iterator[pa.RecordBatch]], Iterator[Any]]


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
        if len(data) < CHUNK_BYTES:
            size *= 4
        elif len(data) > 4 * CHUNK_BYTES:
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
