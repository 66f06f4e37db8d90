"""queueStream: one prepared RDD per batch.

The queue stays in the driver, because its elements are RDDs there; the reader asks for one element per batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession

from dstreams._plan.chunks import write_chunk
from dstreams._plan.worker_errors import exception_text, worker_traceback
from dstreams._sources.link import CLOCK, Link, Remote
from dstreams._sources.parts import ChunkPartition, CountingReader
from dstreams._sources.register import load_stream
from dstreams._sources.source import Source
from dstreams._sources.start import Start, count

if TYPE_CHECKING:
    from pyspark import RDD

__all__ = ["InitialSource", "QueueReader", "QueueSource", "list_chunks", "slices"]


def slices(data: list[Any], partitions: int, batch_size: int = 1024) -> list[list[Any]]:
    """Cut a list into partitions exactly as ``sc.parallelize(data, partitions)`` does.

    PySpark pickles the list in batches, and the JVM spreads the batches over the partitions.
    """
    size = max(1, min(len(data) // partitions, batch_size))
    batches = [data[i : i + size] for i in range(0, len(data), size)]
    bounds = [i * len(batches) // partitions for i in range(partitions + 1)]
    return [[record for batch in batches[low:high] for record in batch] for low, high in pairwise(bounds)]


def list_chunks(records: list[Any], partitions: int) -> list[list[bytes]]:
    """Chunks of each partition of a list."""
    return [[write_chunk(part)] if part else [] for part in slices(records, partitions)]


class _Saved:
    """An element as it is in a checkpoint directory, where no RDD can be: the chunks of each partition.

    Parameters
    ----------
    chunks : list of list of bytes
        The partitions.
    failure : str, optional
        Why they could not be computed; told when the element's turn comes.
    """

    def __init__(self, chunks: list[list[bytes]], failure: str | None = None) -> None:
        self._chunks = chunks
        self._failure = failure

    def partitions(self) -> list[list[bytes]]:
        """Return the partitions, or raise what computing them raised."""
        if self._failure is not None:
            raise _NotSaved(self._failure)
        return self._chunks


class _NotSaved(Exception):
    """The text is the reason."""


def _reason(error: Exception) -> str:
    """Why an element could not be computed: what the worker's exception says, not Spark's stack around it."""
    if isinstance(error, _NotSaved):
        return str(error)
    trace = worker_traceback(str(error))
    return exception_text(trace) if trace else f"{type(error).__name__}: {error}"


if TYPE_CHECKING:
    _Element = RDD[Any] | list[Any] | _Saved


class QueueSource(Source):
    """The queue, in the driver. Pickled, it has the records of its RDDs, which are computed for that.

    Parameters
    ----------
    elements : list of RDD or list
        What the batches get, in order; a list is cut into partitions as ``parallelize`` does.
    one_at_a_time : bool
        One element per batch, or all of them in the first.
    default : RDD or list, optional
        Element of every batch after the queue is used up; without it such a batch gets an empty RDD with one
        partition.
    parallelism : int
        Partitions of an element that is a list.
    """

    logical = True
    batches: int | None = None

    def __init__(
        self,
        elements: Sequence[RDD[Any] | list[Any]],
        one_at_a_time: bool,
        default: RDD[Any] | list[Any] | None,
        parallelism: int,
        name: str,
    ) -> None:
        self._batches: list[list[_Element]]
        self._batches = [[element] for element in elements] if one_at_a_time else [list(elements)]
        self._default: list[_Element] | None = [default] if default is not None else None
        self._parallelism = parallelism
        self._name = name

    def describe(self) -> str:
        """Name of the stream with the number of its elements."""
        return f"queueStream({sum(map(len, self._batches))} elements)"

    def __getstate__(self) -> dict[str, Any]:
        all_batches = [*self._batches, self._default or []]
        distinct = {id(element): element for batch in all_batches for element in batch}  # one may come several times
        saved = {key: self._save(element) for key, element in distinct.items()}
        *batches, default = [[saved[id(element)] for element in batch] for batch in all_batches]
        return {**self.__dict__, "_batches": batches, "_default": default or None}

    def frame(self, session: SparkSession, link: Link, start: Start) -> DataFrame:
        """Streaming frame of the elements' chunks."""
        queue, clock = link.serve(self._name, self), link.remote(CLOCK)
        reader = QueueReader(queue, clock, self.batches, count(start.position))
        return load_stream(session, link, self._name, reader)

    def element(self, n: int) -> list[tuple[list[bytes], str | None]]:
        """Partitions of the n-th batch (from 0): chunks, and why there are none where computing them failed."""
        if n < len(self._batches):
            element = self._batches[n]
        elif self._default is not None:
            element = self._default
        else:
            return [([], None)]
        try:
            return [(chunks, None) for part in element for chunks in self._chunks(part)]
        except Exception as error:
            return [([], f"queueStream: element {n} could not be computed: {_reason(error)}")]

    def _save(self, element: _Element) -> _Saved:
        try:
            return _Saved(self._chunks(element))
        except Exception as error:
            return _Saved([], _reason(error))

    def _chunks(self, part: _Element) -> list[list[bytes]]:
        if isinstance(part, _Saved):
            return part.partitions()
        if isinstance(part, list):
            return list_chunks(part, self._parallelism)
        found: list[list[Any]] = part.glom().collect()
        return [[write_chunk(records)] if records else [] for records in found]


class InitialSource(QueueSource):
    """The records that a state starts from: one element, for the first batch.

    Parameters
    ----------
    records : RDD or list
        Pairs of key and state.
    parallelism : int
        Partitions of a list.
    """

    logical = False
    initial = True
    batches = 1

    def __init__(self, records: RDD[Any] | list[Any], parallelism: int, name: str) -> None:
        super().__init__([records], True, None, parallelism, name)

    def describe(self) -> str:
        """Say what it is."""
        return "initial state"


class QueueReader(CountingReader):
    """Reader of a queue; the offset counts the elements that were taken.

    Parameters
    ----------
    queue, clock : Remote
        In the driver.
    batches : int, optional
        How many batches get an element; None for all.
    taken : int
        How many elements were taken by earlier runs of the program. Before Spark 4.2 nobody else tells.
    """

    def __init__(self, queue: Remote, clock: Remote, batches: int | None, taken: int = 0) -> None:
        self._queue = queue
        self._clock = clock
        self._batches = batches
        self._taken = taken

    def available(self, start: int | None) -> int:
        """Take one more element in every batch, and none when no batch follows."""
        taken = self._taken if start is None else start
        if self._batches is not None and taken >= self._batches:
            return taken
        self._taken = taken if self._clock.call_or(None, "due") is None else taken + 1
        return self._taken

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[ChunkPartition]:
        """Fetch the batch's element from the driver."""
        return [
            ChunkPartition(chunks, failure)
            for n in range(start["n"], end["n"])
            for chunks, failure in self._queue.call("element", n)
        ]
