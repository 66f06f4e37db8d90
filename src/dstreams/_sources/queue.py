"""queueStream: one prepared RDD per batch, as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark import RDD

from dstreams._plan.chunks import dump_in_driver, write_chunk
from dstreams._plan.worker_errors import exception_text, worker_traceback
from dstreams._sources.source import DriverSource
from dstreams._sources.start import Start, count
from dstreams._spark.rdd import Cut, chunk_rdd
from dstreams._spark.source import Offset, Reader

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["InitialSource", "QueueReader", "QueueSource", "failing_rdd"]


class _Saved:
    """An RDD as it is in a checkpoint directory, where none can be: the chunk of each partition.

    Parameters
    ----------
    chunks : list of bytes
        The partitions.
    failure : str, optional
        Why they could not be computed; told when the element's turn comes.
    """

    def __init__(self, chunks: list[bytes], failure: str | None = None) -> None:
        self.chunks = chunks
        self.failure = failure


_Element = RDD[Any] | list[Any] | _Saved


class QueueSource(DriverSource):
    """A queue. Pickled, it has the records of its RDDs, which are computed for that.

    Parameters
    ----------
    elements : list of RDD or list
        What the batches get, in order; a list becomes an RDD by ``sc.parallelize``.
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
    ) -> None:
        self._batches: list[list[_Element]]
        self._batches = [[element] for element in elements] if one_at_a_time else [list(elements)]
        self._default: list[_Element] | None = [default] if default is not None else None
        self._parallelism = parallelism

    def describe(self) -> str:
        """Name of the stream with the number of its elements."""
        return f"queueStream({sum(map(len, self._batches))} elements)"

    def __getstate__(self) -> dict[str, Any]:
        all_batches = [*self._batches, self._default or []]
        distinct = {id(element): element for batch in all_batches for element in batch}  # one may come several times
        saved = {key: self._save(element) for key, element in distinct.items()}
        *batches, default = [[saved[id(element)] for element in batch] for batch in all_batches]
        return {**self.__dict__, "_batches": batches, "_default": default or None}

    def reader(self, start: Start, sc: SparkContext) -> Reader:
        """Make what gives the elements to the query."""
        return QueueReader(self.describe(), partial(self.element, sc), self.batches)

    def element(self, sc: SparkContext, n: int) -> RDD[Any]:
        """RDD of the n-th batch (from 0); where it cannot be made, one that fails when it is computed."""
        parts = self._batches[n] if n < len(self._batches) else self._default
        if parts is None:
            return sc.parallelize([], 1)
        try:
            first, *others = (self._rdd(sc, part) for part in parts)
            rdd = sc.union([first, *others]) if others else first
            rdd.getNumPartitions()  # so that what is wrong with it fails its batch, and not the query
            return rdd
        except Exception as error:
            return failing_rdd(sc, f"queueStream: element {n} could not be computed: {_reason(error)}")

    def _rdd(self, sc: SparkContext, part: _Element) -> RDD[Any]:
        if isinstance(part, RDD):
            return part
        if isinstance(part, list):
            try:
                return sc.parallelize(part, self._parallelism)
            except Exception:
                write_chunk(part, dump_in_driver)  # its error names the record
                raise
        if part.failure is not None:
            raise _NotSaved(part.failure)
        if not part.chunks:  # Spark makes no collection without partitions
            return sc.emptyRDD()
        return chunk_rdd(sc, Cut(part.chunks, len(part.chunks)))

    def _save(self, element: _Element) -> _Element:
        try:
            if isinstance(element, RDD):
                return _Saved([write_chunk(records, dump_in_driver) for records in element.glom().collect()])
            if isinstance(element, list):
                write_chunk(element, dump_in_driver)
        except Exception as error:
            return _Saved([], _reason(error))
        return element


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

    def __init__(self, records: RDD[Any] | list[Any], parallelism: int) -> None:
        super().__init__([records], True, None, parallelism)

    def describe(self) -> str:
        """Say what it is."""
        return "initial state"


class QueueReader(Reader):
    """Gives one element in each batch; the offset counts them.

    Parameters
    ----------
    name : str
        Name of the stream, for plans.
    element : callable
        Gives the RDD of the n-th batch (from 0), or None for no partition.
    batches : int, optional
        How many batches get an element; None for all.
    """

    def __init__(self, name: str, element: Callable[[int], RDD[Any] | None], batches: int | None = None) -> None:
        self.name = name
        self._element = element
        self._batches = batches

    def latest(self, previous: Offset | None) -> Offset:
        """One more element in every batch."""
        taken = count(previous)
        return {"n": taken if self._batches is not None and taken >= self._batches else taken + 1}

    def batch(self, start: Offset | None, end: Offset) -> RDD[Any] | None:
        """The batch's element."""
        return self._element(count(start)) if count(end) > count(start) else None


class _NotSaved(Exception):
    """The text is the reason."""


def _reason(error: Exception) -> str:
    """Why an element could not be computed: what the worker's exception says, not Spark's stack around it."""
    if isinstance(error, _NotSaved):
        return str(error)
    trace = worker_traceback(str(error))
    return exception_text(trace) if trace else f"{type(error).__name__}: {error}"


def failing_rdd(sc: SparkContext, text: str) -> RDD[Any]:
    """RDD that cannot be computed: the batch fails that reads it, and not the query."""

    def fail(_: Iterable[Any]) -> Iterator[Any]:
        raise RuntimeError(text)

    return sc.parallelize([None], 1).mapPartitions(fail)
