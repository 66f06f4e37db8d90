"""DStream: a stream of RDDs. Docstrings and delegation; what an operation means is one function on RDDs."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from pyspark import RDD, StorageLevel
from pyspark.core.rdd import portable_hash

from dstreams._plan.callbacks import with_time
from dstreams._plan.graph import Missing, Node, OnEmpty, Output, call_site
from dstreams._run.save import save_batch
from dstreams.duration import to_milliseconds
from dstreams.errors import (
    DStreamError,
    DStreamStateError,
    DStreamTypeError,
    DStreamValueError,
    UnsupportedDStreamOperation,
)
from dstreams.util import rddToFileName

if TYPE_CHECKING:
    from pyspark.resultiterable import ResultIterable

    from dstreams.context import StreamingContext

__all__ = ["DStream", "TransformedDStream"]

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
W = TypeVar("W")


class DStream(Generic[T]):
    """A continuous sequence of RDDs, one per batch.

    Made by the source methods of :class:`~dstreams.StreamingContext` and by the operations below.

    Notes
    -----
    A node that several operations or outputs read is computed once per batch (the old engine computes it once
    for each of them, unless it is cached). ``numPartitions`` defaults to ``sc.defaultParallelism``, read when the
    operation is defined.
    """

    def __init__(self, node: Node, ssc: StreamingContext) -> None:
        self._node = node
        self._ssc = ssc
        self._sc = ssc._sc
        self.is_cached = False
        self.is_checkpointed = False

    def context(self) -> StreamingContext:
        """Return the StreamingContext of this stream."""
        return self._ssc

    def __repr__(self) -> str:
        return f"DStream({self._node})"

    # ------------------------------------------------------------------ making nodes

    def _derive(
        self,
        op: str,
        func: Callable[[RDD[Any]], RDD[Any]],
        on_empty: OnEmpty = OnEmpty.EMPTY,
    ) -> DStream[Any]:
        """Add an operation that is one function from an RDD to an RDD, on either side."""
        return self._ssc._stream(
            Node(op, (self._node,), lambda _, rdd: func(rdd), self._node.slide_ms, on_empty=on_empty)
        )

    def _derive_with(
        self, op: str, other: DStream[Any], func: Callable[[RDD[Any], RDD[Any]], RDD[Any]]
    ) -> DStream[Any]:
        """Add an operation on two streams; where one has no RDD at a time, an empty one stands in."""
        _expect_stream(self, other, op)
        return self._ssc._stream(
            Node(
                op,
                (self._node, other._node),
                lambda _, a, b: func(a, b),
                self._node.slide_ms,
                on_empty=OnEmpty.SHUFFLE,
                missing=Missing.EMPTY,
            )
        )

    def _partitions(self, numPartitions: int | None, op: str) -> int:
        if numPartitions is None:
            return self._sc.defaultParallelism
        if isinstance(numPartitions, bool) or not isinstance(numPartitions, int) or numPartitions < 1:
            raise DStreamValueError(f"{op}: Number of partitions must be positive, got {numPartitions!r}")
        return numPartitions

    # ------------------------------------------------------------------ element by element
    # Generators over partitions: RDD.map and its like wrap the function in another one that looks for StopIteration,
    # one more call for each element. In a generator Python itself turns StopIteration into an error.

    def map(self, f: Callable[[T], U], preservesPartitioning: bool = False) -> DStream[U]:
        """Apply a function to each element.

        Parameters
        ----------
        f : callable
            Element to element.
        preservesPartitioning : bool
            True if `f` leaves the keys of pairs alone.

        Returns
        -------
        DStream[U]
        """
        return self._derive(
            "map", lambda rdd: rdd.mapPartitions(lambda records: (f(x) for x in records), preservesPartitioning)
        )

    def flatMap(self, f: Callable[[T], Iterable[U]], preservesPartitioning: bool = False) -> DStream[U]:
        """Apply a function that gives any number of elements for each.

        Parameters
        ----------
        f : callable
            Element to iterable.
        preservesPartitioning : bool
            True if `f` leaves the keys of pairs alone.

        Returns
        -------
        DStream[U]
        """
        return self._derive(
            "flatMap",
            lambda rdd: rdd.mapPartitions(
                lambda records: chain.from_iterable(f(x) for x in records), preservesPartitioning
            ),
        )

    def filter(self, f: Callable[[T], bool]) -> DStream[T]:
        """Keep the elements for which `f` is true."""
        return self._derive("filter", lambda rdd: rdd.mapPartitions(lambda records: (x for x in records if f(x)), True))

    def mapPartitions(self, f: Callable[[Iterable[T]], Iterable[U]], preservesPartitioning: bool = False) -> DStream[U]:
        """Apply a function to each partition as a whole.

        Parameters
        ----------
        f : callable
            Iterator of a partition's elements to iterable; called for empty partitions too.
        preservesPartitioning : bool
            True if `f` leaves the keys of pairs alone.

        Returns
        -------
        DStream[U]
        """
        return self._derive(
            "mapPartitions", lambda rdd: rdd.mapPartitions(f, preservesPartitioning), OnEmpty.PER_PARTITION
        )

    def mapPartitionsWithIndex(
        self, f: Callable[[int, Iterable[T]], Iterable[U]], preservesPartitioning: bool = False
    ) -> DStream[U]:
        """Apply a function to the index and the elements of each partition.

        Runs on the batch side, since a partition has its index only there.

        Parameters
        ----------
        f : callable
            ``(index, iterator) -> iterable``.
        preservesPartitioning : bool
            True if `f` leaves the keys of pairs alone.

        Returns
        -------
        DStream[U]
        """
        return self._ssc._stream(
            Node(
                "mapPartitionsWithIndex",
                (self._node,),
                lambda _, rdd: rdd.mapPartitionsWithIndex(f, preservesPartitioning),
                self._node.slide_ms,
                liftable=False,
            )
        )

    def mapValues(self: DStream[tuple[K, V]], f: Callable[[V], W]) -> DStream[tuple[K, W]]:
        """Apply a function to the value of each pair; the keys and their partitioning stay."""
        return self._derive("mapValues", lambda rdd: rdd.mapValues(f))

    def flatMapValues(self: DStream[tuple[K, V]], f: Callable[[V], Iterable[W]]) -> DStream[tuple[K, W]]:
        """Apply a function that gives any number of values for the value of each pair."""
        return self._derive("flatMapValues", lambda rdd: rdd.flatMapValues(f))

    def glom(self) -> DStream[list[T]]:
        """Make one list of each partition."""
        return self._derive("glom", lambda rdd: rdd.glom(), OnEmpty.PER_PARTITION)

    # ------------------------------------------------------------------ counting and reducing

    def count(self) -> DStream[int]:
        """Count the elements of each RDD: one int.

        Returns
        -------
        DStream[int]
            ``[0]`` where the RDD has partitions but no elements, nothing where it has no partitions (a file or
            socket stream without new data), as on the old engine.
        """
        return self._derive(
            "count",
            lambda rdd: (
                rdd.mapPartitions(lambda records: [sum(1 for _ in records)])
                .map(lambda n: (None, n))
                .reduceByKey(operator.add, 1)
                .map(operator.itemgetter(1))
            ),
            OnEmpty.COUNT,
        )

    def reduce(self, func: Callable[[T, T], T]) -> DStream[T]:
        """Reduce each RDD to one element; an empty one stays empty."""
        return self._derive(
            "reduce",
            lambda rdd: rdd.map(lambda x: (None, x)).reduceByKey(func, 1).map(operator.itemgetter(1)),
            OnEmpty.SHUFFLE,
        )

    def countByValue(self: DStream[K]) -> DStream[tuple[K, int]]:
        """Count how often each element occurs in each RDD."""
        n = self._sc.defaultParallelism
        return self._derive(
            "countByValue",
            lambda rdd: rdd.map(lambda x: (x, 1)).reduceByKey(operator.add, n),
            OnEmpty.SHUFFLE,
        )

    def reduceByKey(
        self: DStream[tuple[K, V]], func: Callable[[V, V], V], numPartitions: int | None = None
    ) -> DStream[tuple[K, V]]:
        """Reduce the values of each key.

        Parameters
        ----------
        func : callable
            Associative and commutative.
        numPartitions : int, optional
            Partitions of the result.

        Returns
        -------
        DStream[tuple[K, V]]
        """
        n = self._partitions(numPartitions, "reduceByKey")
        return self._derive("reduceByKey", lambda rdd: rdd.reduceByKey(func, n), OnEmpty.SHUFFLE)

    def combineByKey(
        self: DStream[tuple[K, V]],
        createCombiner: Callable[[V], W],
        mergeValue: Callable[[W, V], W],
        mergeCombiners: Callable[[W, W], W],
        numPartitions: int | None = None,
    ) -> DStream[tuple[K, W]]:
        """Combine the values of each key with functions of your own.

        Parameters
        ----------
        createCombiner, mergeValue, mergeCombiners : callable
            As in ``RDD.combineByKey``.
        numPartitions : int, optional
            Partitions of the result.

        Returns
        -------
        DStream[tuple[K, W]]
        """
        n = self._partitions(numPartitions, "combineByKey")
        return self._derive(
            "combineByKey",
            lambda rdd: rdd.combineByKey(createCombiner, mergeValue, mergeCombiners, n),
            OnEmpty.SHUFFLE,
        )

    def groupByKey(
        self: DStream[tuple[K, V]], numPartitions: int | None = None
    ) -> DStream[tuple[K, ResultIterable[V]]]:
        """Group the values of each key into an iterable."""
        n = self._partitions(numPartitions, "groupByKey")
        return self._derive("groupByKey", lambda rdd: rdd.groupByKey(n), OnEmpty.SHUFFLE)

    # ------------------------------------------------------------------ partitions

    def repartition(self, numPartitions: int) -> DStream[T]:
        """Spread the elements evenly over `numPartitions` partitions."""
        n = self._partitions(numPartitions, "repartition")
        return self._derive("repartition", lambda rdd: rdd.repartition(n), OnEmpty.SHUFFLE)

    def partitionBy(
        self: DStream[tuple[K, V]], numPartitions: int, partitionFunc: Callable[[K], int] = portable_hash
    ) -> DStream[tuple[K, V]]:
        """Partition pairs by key.

        Parameters
        ----------
        numPartitions : int
            Partitions of the result.
        partitionFunc : callable
            Key to int; the partition is that int modulo `numPartitions`.

        Returns
        -------
        DStream[tuple[K, V]]
        """
        n = self._partitions(numPartitions, "partitionBy")
        return self._derive("partitionBy", lambda rdd: rdd.partitionBy(n, partitionFunc), OnEmpty.SHUFFLE)

    # ------------------------------------------------------------------ two streams

    def union(self, other: DStream[U]) -> DStream[T | U]:
        """Put the elements of two streams side by side.

        Raises
        ------
        DStreamValueError
            If the streams have different slide intervals; the old engine's text.
        """
        if isinstance(other, DStream) and self._node.slide_ms != other._node.slide_ms:
            raise DStreamValueError("the two DStream should have same slide duration")
        _expect_stream(self, other, "union")
        return self._ssc._stream(
            Node(
                "union",
                (self._node, other._node),
                lambda _, a, b: a.union(b),
                self._node.slide_ms,
                missing=Missing.EMPTY,
            )
        )

    def cogroup(
        self: DStream[tuple[K, V]], other: DStream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[ResultIterable[V], ResultIterable[W]]]]:
        """Group the values that both streams have for each key."""
        n = self._partitions(numPartitions, "cogroup")
        return self._derive_with("cogroup", other, lambda a, b: a.cogroup(b, n))

    def join(
        self: DStream[tuple[K, V]], other: DStream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[V, W]]]:
        """Join on the key, keys that both streams have."""
        n = self._partitions(numPartitions, "join")
        return self._derive_with("join", other, lambda a, b: a.join(b, n))

    def leftOuterJoin(
        self: DStream[tuple[K, V]], other: DStream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[V, W | None]]]:
        """Join on the key, all keys of this stream; None where the other has none."""
        n = self._partitions(numPartitions, "leftOuterJoin")
        return self._derive_with("leftOuterJoin", other, lambda a, b: a.leftOuterJoin(b, n))

    def rightOuterJoin(
        self: DStream[tuple[K, V]], other: DStream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[V | None, W]]]:
        """Join on the key, all keys of the other stream; None where this has none."""
        n = self._partitions(numPartitions, "rightOuterJoin")
        return self._derive_with("rightOuterJoin", other, lambda a, b: a.rightOuterJoin(b, n))

    def fullOuterJoin(
        self: DStream[tuple[K, V]], other: DStream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[V | None, W | None]]]:
        """Join on the key, all keys of both streams; None where one has none."""
        n = self._partitions(numPartitions, "fullOuterJoin")
        return self._derive_with("fullOuterJoin", other, lambda a, b: a.fullOuterJoin(b, n))

    # ------------------------------------------------------------------ RDD to RDD

    def transform(self, func: Callable[..., RDD[U] | None]) -> DStream[U]:
        """Apply a function to the real RDD of each batch, on the driver.

        Parameters
        ----------
        func : callable
            ``(rdd)`` or ``(time, rdd)``, returning an RDD, or None for no RDD at this time. `time` is a naive
            local datetime.

        Returns
        -------
        DStream[U]

        Raises
        ------
        DStreamTypeError
            "func should take one or two arguments".

        Notes
        -----
        Called once per batch, also when several operations read the result (the old engine calls it for each).
        """
        call = with_time(func, 1, "transform")
        return self._ssc._stream(
            Node(
                "transform",
                (self._node,),
                lambda time, rdd: _rdd_or_none(call(time, rdd), "transform"),
                self._node.slide_ms,
                liftable=False,
            )
        )

    def transformWith(
        self, func: Callable[..., RDD[V] | None], other: DStream[U], keepSerializer: bool = False
    ) -> DStream[V]:
        """Apply a function to the real RDDs that two streams have in each batch, on the driver.

        Parameters
        ----------
        func : callable
            ``(rdd_a, rdd_b)`` or ``(time, rdd_a, rdd_b)``, returning an RDD or None.
        other : DStream
            The second stream. Where one of the two has no RDD at a time, an empty one stands in.
        keepSerializer : bool
            Accepted for compatibility; RDDs know their own serializer here.

        Returns
        -------
        DStream[V]

        Raises
        ------
        DStreamTypeError
            "func should take two or three arguments".
        """
        call = with_time(func, 2, "transformWith")
        _expect_stream(self, other, "transformWith")
        return self._ssc._stream(
            Node(
                "transformWith",
                (self._node, other._node),
                lambda time, a, b: _rdd_or_none(call(time, a, b), "transformWith"),
                self._node.slide_ms,
                liftable=False,
                missing=Missing.EMPTY,
            )
        )

    # ------------------------------------------------------------------ outputs

    def foreachRDD(self, func: Callable[..., Any]) -> None:
        """Call a function with the RDD of each batch; an output operation.

        Parameters
        ----------
        func : callable
            ``(rdd)`` or ``(time, rdd)``, run on the driver with the program's live objects. What it returns is
            ignored (the old engine fails the batch if it is true).

        Notes
        -----
        An exception fails this output of this batch: `awaitTermination` raises it, other outputs and later
        batches go on, as on the old engine.
        """
        self._output("foreachRDD", with_time(func, 1, "foreachRDD"))

    def pprint(self, num: int = 10) -> None:
        """Print the first elements of each RDD; an output operation.

        Parameters
        ----------
        num : int
            At most so many elements, then ``...`` if there are more.
        """

        def show(time: datetime, taken: list[T]) -> None:
            print("-------------------------------------------")
            print(f"Time: {time}")
            print("-------------------------------------------")
            for record in taken[:num]:
                print(record)
            if len(taken) > num:
                print("...")
            print("", flush=True)

        if isinstance(num, bool) or not isinstance(num, int):
            raise DStreamTypeError(f"pprint: num must be an int, got {num!r} of type {type(num).__name__}")
        self._output("pprint", show, look=max(0, num) + 1)

    print = pprint

    def saveAsTextFiles(self, prefix: str, suffix: str | None = None) -> None:
        """Save each RDD as text files in a directory ``prefix-<ms>[.suffix]``; an output operation.

        Parameters
        ----------
        prefix : str
            First part of the path, on any Hadoop file system.
        suffix : str, optional
            Ending of the directory's name.

        Notes
        -----
        Every batch gets a directory, also an empty one. An existing directory of the same name is replaced.
        """
        self._save("saveAsTextFiles", prefix, suffix, lambda rdd, path: rdd.saveAsTextFile(path))

    def saveAsPickleFiles(self, prefix: str, suffix: str | None = None) -> None:
        """Save each RDD as pickled records in a directory ``prefix-<ms>[.suffix]``; an output operation.

        Read them with ``sc.pickleFile``. Parameters as in :meth:`saveAsTextFiles`.
        """
        self._save("saveAsPickleFiles", prefix, suffix, lambda rdd, path: rdd.saveAsPickleFile(path))

    def _save(self, op: str, prefix: str, suffix: str | None, write: Callable[[RDD[Any], str], None]) -> None:
        def save(time: datetime, rdd: RDD[Any]) -> None:
            save_batch(rdd.context, rddToFileName(prefix, suffix, time), lambda path: write(rdd, path))

        self._output(op, save)

    def _output(self, op: str, run: Callable[[datetime, Any], Any], look: int | None = None) -> None:
        self._ssc._check_open(op)
        self._ssc._graph.add_output(Output(op, self._node, run, look, call_site()))

    # ------------------------------------------------------------------ keeping

    def cache(self) -> DStream[T]:
        """Persist the RDDs of this stream in memory.

        Returns
        -------
        DStream[T]
            This stream.
        """
        return self.persist(StorageLevel.MEMORY_ONLY)

    def persist(self, storageLevel: StorageLevel) -> DStream[T]:
        """Persist the RDDs of this stream, as long as batches are remembered.

        What is computed from a persisted stream runs on the batch side.

        Parameters
        ----------
        storageLevel : pyspark.StorageLevel
            Where to keep them.

        Returns
        -------
        DStream[T]
            This stream.

        Raises
        ------
        DStreamStateError
            After the context was started.
        """
        if not isinstance(storageLevel, StorageLevel):
            raise DStreamTypeError(f"persist: storageLevel must be a pyspark.StorageLevel, got {storageLevel!r}")
        if self._ssc._started:
            raise DStreamStateError.frozen_setting("storage level")
        self.is_cached = True
        self._node.storage_level = storageLevel
        return self

    def checkpoint(self, interval: float) -> NoReturn:
        """Not in this version: recovery is not translated yet."""
        raise UnsupportedDStreamOperation.recovery("DStream.checkpoint")

    def slice(self, begin: datetime | float, end: datetime | float) -> list[RDD[T]]:
        """Return the RDDs of the batches from `begin` to `end`, both included.

        Parameters
        ----------
        begin, end : datetime.datetime or float
            Naive local datetimes or seconds since the epoch.

        Returns
        -------
        list of RDD
            RDDs of the batches that are still remembered (see :meth:`StreamingContext.remember`). The old engine
            also computes batches that are forgotten or to come, which takes elements out of a queue.

        Raises
        ------
        DStreamStateError
            Before start.
        DStreamError
            If this stream runs inside the streaming plan and nothing keeps its RDDs.
        """
        low, high = (_milliseconds(moment, "slice") for moment in (begin, end))
        batches = self._ssc._batches("slice")
        slide = self._node.slide_ms
        found = [batches[time_ms] for time_ms in sorted(batches) if low // slide * slide <= time_ms <= high]
        try:
            return [rdd for batch in found if (rdd := batch.rdd(self._node)) is not None]
        except KeyError:
            raise DStreamError(
                f"slice: the RDDs of {self._node} exist inside the streaming plan only. Call "
                "StreamingContext.remember(seconds) before start(), or cache() on this stream."
            ) from None

    # ------------------------------------------------------------------ state and windows

    def window(self, windowDuration: float, slideDuration: float | None = None) -> NoReturn:
        """Not in this version."""
        self._refuse_window("window", windowDuration, slideDuration)

    def reduceByWindow(
        self, reduceFunc: Any, invReduceFunc: Any, windowDuration: float, slideDuration: float
    ) -> NoReturn:
        """Not in this version."""
        self._refuse_window("reduceByWindow", windowDuration, slideDuration)

    def countByWindow(self, windowDuration: float, slideDuration: float) -> NoReturn:
        """Not in this version."""
        self._refuse_window("countByWindow", windowDuration, slideDuration)

    def countByValueAndWindow(
        self, windowDuration: float, slideDuration: float, numPartitions: int | None = None
    ) -> NoReturn:
        """Not in this version."""
        self._refuse_window("countByValueAndWindow", windowDuration, slideDuration)

    def groupByKeyAndWindow(
        self, windowDuration: float, slideDuration: float, numPartitions: int | None = None
    ) -> NoReturn:
        """Not in this version."""
        self._refuse_window("groupByKeyAndWindow", windowDuration, slideDuration)

    def reduceByKeyAndWindow(
        self,
        func: Any,
        invFunc: Any,
        windowDuration: float,
        slideDuration: float | None = None,
        numPartitions: int | None = None,
        filterFunc: Any = None,
    ) -> NoReturn:
        """Not in this version."""
        self._refuse_window("reduceByKeyAndWindow", windowDuration, slideDuration)

    def updateStateByKey(self, updateFunc: Any, numPartitions: int | None = None, initialRDD: Any = None) -> NoReturn:
        """Not in this version."""
        raise UnsupportedDStreamOperation.stateful("updateStateByKey")

    def mapWithState(self, spec: Any) -> NoReturn:
        """Not in this version."""
        raise UnsupportedDStreamOperation.stateful("mapWithState")

    def _refuse_window(self, op: str, window: float, slide: float | None) -> NoReturn:
        for name, duration in (("windowDuration", window), ("slideDuration", slide)):
            if duration is not None and to_milliseconds(duration, name) % self._node.slide_ms:
                raise DStreamValueError(
                    f"{name} must be multiple of the parent dstream's slide (batch) duration ({self._node.slide_ms} ms)"
                )
        raise UnsupportedDStreamOperation.stateful(op)


class TransformedDStream(DStream[T]):
    """Name that programs import for annotations; every derived stream is a :class:`DStream`."""


def _expect_stream(stream: DStream[Any], other: Any, op: str) -> None:
    if not isinstance(other, DStream):
        raise DStreamTypeError(f"{op}: the other side must be a DStream, got {type(other).__name__}")
    if other._ssc is not stream._ssc:
        raise DStreamValueError(f"{op}: the two DStreams belong to different StreamingContexts")


def _rdd_or_none(result: Any, op: str) -> RDD[Any] | None:
    """Return what a transform function gave; anything false but an RDD means no RDD, as on the old engine."""
    if isinstance(result, RDD):
        return result
    if not result:
        return None
    raise DStreamTypeError(f"{op}: the function must return an RDD or None, got {type(result).__name__}")


def _milliseconds(moment: datetime | float, op: str) -> int:
    if isinstance(moment, datetime):
        moment = time.mktime(moment.timetuple()) + moment.microsecond / 1e6
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        raise DStreamTypeError(f"{op}: times must be datetimes or seconds since the epoch, got {moment!r}")
    return int(round(moment * 1000, 3))
