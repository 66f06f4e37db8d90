"""DStream: a stream of RDDs, and every operation on it."""

from __future__ import annotations

import operator
import os
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from pyspark import RDD, StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from dstreams._compatibility import TABLE
from dstreams._insides import lacking
from dstreams._plan.callbacks import with_time
from dstreams._plan.graph import Missing, Node, OnEmpty, call_site, function_code, function_name
from dstreams._plan.steps.map_state import MapState
from dstreams._plan.steps.reduced_window import ReducedWindow
from dstreams._plan.steps.step import Step
from dstreams._plan.steps.update import Update
from dstreams._plan.steps.window import Window
from dstreams._run.native import native_frame
from dstreams._run.query import plan_context
from dstreams._run.save import save_batch
from dstreams._sources.queue import InitialSource
from dstreams._spark.rdd import ResultIterable, portable_hash
from dstreams.duration import to_milliseconds
from dstreams.errors import DStreamError, DStreamStateError, DStreamTypeError, DStreamValueError
from dstreams.state import StateSpec, initial_state
from dstreams.util import rddToFileName

if TYPE_CHECKING:
    from typing_extensions import Self

    from dstreams.context import StreamingContext

__all__ = ["DStream", "MapWithStateDStream", "TransformedDStream"]

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
W = TypeVar("W")
S = TypeVar("S")
R = TypeVar("R")


# Invariant, unlike RDD: of a covariant one Pyright takes `map(lambda w: (w, 1))` for DStream[tuple[str, Literal[1]]],
# whatever type the program declares, and then refuses to add in reduceByKey.
class DStream(Generic[T]):
    """A continuous sequence of RDDs, one per batch.

    Made by the source methods of :class:`~dstreams.StreamingContext` and by the operations below.

    Parameters
    ----------
    node : Node
        The node of the graph that it is a handle on.
    ssc : StreamingContext
        Its context.

    Notes
    -----
    A node that several operations or outputs read is computed once per batch (the old engine computes it once
    for each of them, unless it is cached). ``numPartitions`` defaults to ``sc.defaultParallelism``, read when the
    operation is defined.
    """

    def __init__(self, node: Node, ssc: StreamingContext, *old: Any) -> None:
        if old:
            raise DStreamTypeError(f"DStream: {TABLE['DStream(jstream)'].sentence}")
        self._node = node
        self._ssc = ssc
        self._sc = ssc._sc
        self._builder = ssc._builder
        self._keeper: Node | None = node if node.step is not None or node.source is not None else None
        self.is_cached = False
        self.is_checkpointed = False

    if not TYPE_CHECKING:  # where they would stand for any class, and any name

        @property
        def __class__(self):
            """The old engine's class too, for ``isinstance`` in programs and libraries that have imported that one."""
            old = sys.modules.get("pyspark.streaming.dstream")
            return getattr(old, "DStream", type(self))

        def __getattr__(self, name):
            raise AttributeError(lacking("DStream", name))

    def context(self) -> StreamingContext:
        """Return the StreamingContext of this stream."""
        return self._ssc

    def __repr__(self) -> str:
        return f"DStream({self._node})"

    def named(self, name: str) -> Self:
        """Give the source or the operation with state behind this stream a name of its own.

        Its offsets and its state are kept under that name in the checkpoint directory, so that a later version of the
        program can go on with them (``StreamingContext.getOrCreate(..., upgrade=True)``) whatever else has changed.
        Without a name an operation is known by what it is and what it reads.

        Parameters
        ----------
        name : str
            Any text, which no other stream of the program has.

        Returns
        -------
        DStream
            This stream.

        Raises
        ------
        DStreamTypeError, DStreamValueError
            If it is not a text, or is the name of another stream.
        DStreamStateError
            If the stream keeps nothing, or after the context was started.
        """
        if not isinstance(name, str) or not name.strip():
            raise DStreamTypeError(f"named: name must be a str, got {name!r}")
        if self._builder.started:
            raise DStreamStateError.frozen_setting("name")
        target = self._keeper
        if target is None:
            raise DStreamStateError(
                f"named: {self._node} keeps nothing in a checkpoint directory. Call it on the stream of a source, of "
                "an operation with state or of a window itself: pairs.updateStateByKey(f).named(...)."
            )
        other = next((node for node in self._builder.graph.nodes if node.name == name and node is not target), None)
        if other is not None:
            raise DStreamValueError(f"named: {name!r} is the name of another stream, {other}")
        target.name = name
        return self

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

    def mapPartitions(self, f: Callable[[Iterator[T]], Iterable[U]], preservesPartitioning: bool = False) -> DStream[U]:
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
            "mapPartitions",
            lambda rdd: rdd.mapPartitions(f, preservesPartitioning),  # type: ignore[arg-type]  # it says Iterable
            OnEmpty.PER_PARTITION,
        )

    def mapPartitionsWithIndex(
        self, f: Callable[[int, Iterator[T]], Iterable[U]], preservesPartitioning: bool = False
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
        return self._stream(
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
        n = self._builder.partitions(numPartitions, "reduceByKey")
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
        n = self._builder.partitions(numPartitions, "combineByKey")
        return self._derive(
            "combineByKey",
            lambda rdd: rdd.combineByKey(createCombiner, mergeValue, mergeCombiners, n),
            OnEmpty.SHUFFLE,
        )

    def groupByKey(
        self: DStream[tuple[K, V]], numPartitions: int | None = None
    ) -> DStream[tuple[K, ResultIterable[V]]]:
        """Group the values of each key into an iterable."""
        n = self._builder.partitions(numPartitions, "groupByKey")
        return self._derive("groupByKey", lambda rdd: rdd.groupByKey(n), OnEmpty.SHUFFLE)

    # ------------------------------------------------------------------ partitions

    def repartition(self, numPartitions: int) -> DStream[T]:
        """Spread the elements evenly over `numPartitions` partitions."""
        n = self._builder.partitions(numPartitions, "repartition")
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
        n = self._builder.partitions(numPartitions, "partitionBy")
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
        return self._stream(
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
        n = self._builder.partitions(numPartitions, "cogroup")
        return self._derive_with("cogroup", other, lambda a, b: a.cogroup(b, n))

    def join(
        self: DStream[tuple[K, V]], other: DStream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[V, W]]]:
        """Join on the key, keys that both streams have."""
        n = self._builder.partitions(numPartitions, "join")
        return self._derive_with("join", other, lambda a, b: a.join(b, n))

    def leftOuterJoin(
        self: DStream[tuple[K, V]], other: DStream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[V, W | None]]]:
        """Join on the key, all keys of this stream; None where the other has none."""
        n = self._builder.partitions(numPartitions, "leftOuterJoin")
        return self._derive_with("leftOuterJoin", other, lambda a, b: a.leftOuterJoin(b, n))

    def rightOuterJoin(
        self: DStream[tuple[K, V]], other: DStream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[V | None, W]]]:
        """Join on the key, all keys of the other stream; None where this has none."""
        n = self._builder.partitions(numPartitions, "rightOuterJoin")
        return self._derive_with("rightOuterJoin", other, lambda a, b: a.rightOuterJoin(b, n))

    def fullOuterJoin(
        self: DStream[tuple[K, V]], other: DStream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[V | None, W | None]]]:
        """Join on the key, all keys of both streams; None where one has none."""
        n = self._builder.partitions(numPartitions, "fullOuterJoin")
        return self._derive_with("fullOuterJoin", other, lambda a, b: a.fullOuterJoin(b, n))

    # ------------------------------------------------------------------ the RDDs of batches

    @overload
    def transform(self, func: Callable[[RDD[T]], RDD[U] | None]) -> DStream[U]: ...
    @overload
    def transform(self, func: Callable[[datetime, RDD[T]], RDD[U] | None]) -> DStream[U]: ...
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
        return self._stream(
            Node(
                "transform",
                (self._node,),
                lambda time, rdd: _rdd_or_none(call(time, rdd), "transform"),
                self._node.slide_ms,
                liftable=False,
            )
        )

    @overload
    def transformWith(
        self, func: Callable[[RDD[T], RDD[U]], RDD[V] | None], other: DStream[U], keepSerializer: bool = False
    ) -> DStream[V]: ...
    @overload
    def transformWith(
        self, func: Callable[[datetime, RDD[T], RDD[U]], RDD[V] | None], other: DStream[U], keepSerializer: bool = False
    ) -> DStream[V]: ...
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
        return self._stream(
            Node(
                "transformWith",
                (self._node, other._node),
                lambda time, a, b: _rdd_or_none(call(time, a, b), "transformWith"),
                self._node.slide_ms,
                liftable=False,
                missing=Missing.EMPTY,
            )
        )

    def toDF(self, schema: StructType | str, sparkSession: SparkSession | None = None) -> DataFrame:
        """Return a streaming DataFrame of this stream's records, on which a program can go on natively.

        Parameters
        ----------
        schema : StructType or str
            Schema of the records, which are tuples, dicts or Rows of its fields; a text such as
            ``"word STRING, n BIGINT"``.
        sparkSession : SparkSession, optional
            The session that the DataFrame belongs to; by default the active one.

        Returns
        -------
        pyspark.sql.DataFrame

        Raises
        ------
        DStreamTypeError
            If the schema is none.
        UnsupportedDStreamOperation
            If the stream cannot be part of a query of Spark's own: because of its source (sockets, queues and other
            receivers), of state or windows, or of a function that needs the RDD of a batch. The operation is named.

        Notes
        -----
        The DataFrame reads the sources by itself, in the query that it becomes part of, with the offsets of that
        query's checkpoint; this context neither starts nor stops it. It is the way to migrate a program step by step.
        """
        session = sparkSession or SparkSession.builder.getOrCreate()
        try:
            parsed = StructType.fromDDL(schema) if isinstance(schema, str) else schema
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise DStreamTypeError(f"toDF: {schema!r} is no schema such as 'word STRING, n BIGINT': {reason}") from None
        if not isinstance(parsed, StructType) or not parsed.fields:
            raise DStreamTypeError(f"toDF: schema must be a StructType with fields, or a text, got {schema!r}")
        context = plan_context(self._sc, self._builder.parallelism)
        return native_frame(self._node, context, session, parsed)

    # ------------------------------------------------------------------ windows
    # windowDuration is the length of a window and slideDuration the interval between two results, both in seconds and
    # multiples of the stream's own slide interval. Slides are counted from the first batch. Windows at the start are
    # partly filled.

    def window(self, windowDuration: float, slideDuration: float | None = None) -> DStream[T]:
        """Return all elements of the window, those of the oldest batch first in each partition.

        Parameters
        ----------
        windowDuration : float
            Length in seconds.
        slideDuration : float, optional
            Interval between results in seconds; default this stream's own.

        Returns
        -------
        DStream[T]
        """
        window_ms, slide_ms = self._window(windowDuration, slideDuration)
        step = Window(window_ms, slide_ms, self._node.slide_ms)
        hint = f"{window_ms}/{slide_ms} ms"
        return self._add_stateful("window", step, lambda _, rdd: rdd.in_place(step), slide_ms, hint, checkpointed=False)

    def reduceByWindow(
        self,
        reduceFunc: Callable[[T, T], T],
        invReduceFunc: Callable[[T, T], T] | None,
        windowDuration: float,
        slideDuration: float,
    ) -> DStream[T]:
        """Reduce the elements of the window to one; an empty window gives none.

        Parameters
        ----------
        reduceFunc, invReduceFunc, windowDuration, slideDuration
            As in :meth:`reduceByKeyAndWindow`.

        Returns
        -------
        DStream[T]
        """
        keyed: DStream[Any] = self.map(lambda x: (1, x))
        reduced: DStream[Any] = keyed.reduceByKeyAndWindow(reduceFunc, invReduceFunc, windowDuration, slideDuration, 1)
        return reduced.map(operator.itemgetter(1))._keeping(reduced)

    def countByWindow(self, windowDuration: float, slideDuration: float) -> DStream[int]:
        """Count the elements of the window. Needs a checkpoint directory.

        Parameters
        ----------
        windowDuration, slideDuration : float
            Seconds.

        Returns
        -------
        DStream[int]
            Nothing for an empty window; with a window of at least five slides, 0 once there has been an element
            (as on the old engine).
        """
        return self.map(lambda _: 1).reduceByWindow(operator.add, operator.sub, windowDuration, slideDuration)

    def countByValueAndWindow(
        self: DStream[K], windowDuration: float, slideDuration: float, numPartitions: int | None = None
    ) -> DStream[tuple[K, int]]:
        """Count how often each element occurs in the window. Needs a checkpoint directory.

        Parameters
        ----------
        windowDuration, slideDuration : float
            Seconds.
        numPartitions : int, optional
            Partitions of the result.

        Returns
        -------
        DStream[tuple[K, int]]
            Only counts above 0.
        """
        keyed = self.map(lambda x: (x, 1))
        counted = keyed.reduceByKeyAndWindow(operator.add, operator.sub, windowDuration, slideDuration, numPartitions)
        return counted.filter(lambda pair: pair[1] > 0)._keeping(counted)

    def groupByKeyAndWindow(
        self: DStream[tuple[K, V]],
        windowDuration: float,
        slideDuration: float,
        numPartitions: int | None = None,
    ) -> DStream[tuple[K, ResultIterable[V]]]:
        """Group the values that each key has in the window. Needs a checkpoint directory.

        Parameters
        ----------
        windowDuration, slideDuration : float
            Seconds.
        numPartitions : int, optional
            Partitions of the result.

        Returns
        -------
        DStream[tuple[K, Iterable[V]]]
            With a window of at least five slides, keys stay with an empty iterable (as on the old engine).
        """
        lists = self.mapValues(lambda x: [x])
        grouped = lists.reduceByKeyAndWindow(
            _extended, lambda values, old: values[len(old) :], windowDuration, slideDuration, numPartitions
        )
        return grouped.mapValues(ResultIterable)._keeping(grouped)

    def reduceByKeyAndWindow(
        self: DStream[tuple[K, V]],
        func: Callable[[V, V], V],
        invFunc: Callable[[V, V], V] | None,
        windowDuration: float,
        slideDuration: float | None = None,
        numPartitions: int | None = None,
        filterFunc: Callable[[tuple[K, V]], bool] | None = None,
    ) -> DStream[tuple[K, V]]:
        """Reduce the values that each key has in the window.

        Parameters
        ----------
        func : callable
            Associative and commutative.
        invFunc : callable, optional
            Takes the value so far and one that leaves the window, and gives the value without it: what a batch costs
            then follows from what enters and leaves, not from the window's length. Needs a checkpoint directory. A
            function that does not invert `func` gives wrong values, which nothing can notice.
        windowDuration : float
            Length in seconds.
        slideDuration : float, optional
            Interval between results in seconds; default this stream's own.
        numPartitions : int, optional
            Partitions of the result.
        filterFunc : callable, optional
            Pairs for which it is false are forgotten; without `invFunc` it is ignored (as on the old engine).

        Returns
        -------
        DStream[tuple[K, V]]
            Keys of the window; with `invFunc` and a window of at least five slides, all keys that there ever were,
            unless `filterFunc` removes them (the old engine's Python rule, which is kept since results show it).
        """
        window_ms, slide_ms = self._window(windowDuration, slideDuration)
        n = self._builder.partitions(numPartitions, "reduceByKeyAndWindow")
        for name, function in (("func", func), ("invFunc", invFunc), ("filterFunc", filterFunc)):
            if not callable(function) and (function or name == "func"):
                raise DStreamTypeError(f"reduceByKeyAndWindow: {name} must be a function, got {function!r}")
        hint = f"{function_name(func)}, {window_ms}/{slide_ms} ms"
        if not invFunc:
            plain = Window(window_ms, slide_ms, self._node.slide_ms)
            return self._add_stateful(
                "reduceByKeyAndWindow",
                plain,
                lambda _, rdd: rdd.reduceByKey(func, n).in_place(plain).reduceByKey(func, n),
                slide_ms,
                hint,
                func,
                checkpointed=False,
            )
        step = ReducedWindow(func, invFunc, filterFunc or None, window_ms, slide_ms, self._node.slide_ms)
        return self._add_stateful(
            "reduceByKeyAndWindow", step, lambda _, rdd: rdd.reduceByKey(func, n).by_key(step, n), slide_ms, hint, func
        )

    def _window(self, window: float, slide: float | None) -> tuple[int, int]:
        slide_ms = self._node.slide_ms if slide is None else self._duration(slide, "slideDuration")
        return self._duration(window, "windowDuration"), slide_ms

    # ------------------------------------------------------------------ state by key

    def updateStateByKey(
        self: DStream[tuple[K, V]],
        updateFunc: Callable[[list[V], S | None], S | None],
        numPartitions: int | None = None,
        initialRDD: RDD[tuple[K, S]] | Iterable[tuple[K, S]] | None = None,
    ) -> DStream[tuple[K, S]]:
        """Update the state of each key with the key's new values.

        Parameters
        ----------
        updateFunc : callable
            ``(list of new values, state or None) -> state``; None forgets the key. Called in every batch for every
            key that has a state or new values. A state may be anything that can be pickled, and may be changed in
            place.
        numPartitions : int, optional
            Partitions of state and result.
        initialRDD : RDD or list, optional
            States before the first batch, as ``(key, state)`` pairs.

        Returns
        -------
        DStream[tuple[K, S]]
            All keys with their states.
        """
        if not callable(updateFunc):
            raise DStreamTypeError(f"updateStateByKey: updateFunc must be a function, got {updateFunc!r}")
        initial = initial_state(initialRDD, "updateStateByKey") if initialRDD is not None else None
        step = Update(updateFunc, self._node.slide_ms)
        return self._stateful("updateStateByKey", step, numPartitions, initial, updateFunc)

    def mapWithState(self: DStream[tuple[K, V]], spec: StateSpec[R]) -> MapWithStateDStream[R]:
        """Call a function for each pair, with the state of its key; only keys with data cost anything.

        Parameters
        ----------
        spec : StateSpec
            ``StateSpec.function(f)`` and what is to be known beside.

        Returns
        -------
        MapWithStateDStream[R]
            What the function returned, and with ``stateSnapshots()`` the states.
        """
        if not isinstance(spec, StateSpec):
            raise DStreamTypeError(f"mapWithState: expected StateSpec.function(...), got {spec!r}")
        step = MapState(*spec._with_time(), spec._timeout_ms, self._node.slide_ms)
        stateful = self._stateful("mapWithState", step, spec._partitions, spec._initial, spec._function)
        return MapWithStateDStream(stateful._node, self._ssc, step)

    def _stateful(
        self,
        op: str,
        step: Step,
        partitions: int | None,
        initial: RDD[Any] | list[Any] | None,
        function: Callable[..., Any],
    ) -> DStream[Any]:
        n = self._builder.partitions(partitions, op)
        slide_ms = self._node.slide_ms
        start = []
        if initial is not None:
            source = self._builder.source("initial state", InitialSource(initial, self._builder.parallelism))
            source.slide_ms = slide_ms  # so that it goes with the operation's other parent; it has records but once
            start.append(source)
        return self._add_stateful(
            op, step, lambda _, rdd, *first: rdd.by_key(step, n, *first), slide_ms, function_name(function), function,
            *start,
        )  # fmt: skip

    # ------------------------------------------------------------------ outputs

    @overload
    def foreachRDD(self, func: Callable[[RDD[T]], object]) -> None: ...
    @overload
    def foreachRDD(self, func: Callable[[datetime, RDD[T]], object]) -> None: ...
    def foreachRDD(self, func: Callable[..., object]) -> None:
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
        self._builder.output("foreachRDD", self._node, with_time(func, 1, "foreachRDD"), hint=function_name(func))

    def pprint(self, num: int = 10) -> None:
        """Print the first elements of each RDD; an output operation.

        Parameters
        ----------
        num : int
            At most so many elements, then ``...`` if there are more.
        """

        def show(time: datetime, taken: list[object]) -> None:
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
        self._builder.output("pprint", self._node, show, preview=max(0, num) + 1)

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
        for name, value, empty in (("prefix", prefix, False), ("suffix", suffix, True)):
            if not (isinstance(value, str | os.PathLike) and str(value)) and not (empty and value in (None, "")):
                raise DStreamTypeError(f"{op}: {name} must be a str, got {value!r}")

        def save(time: datetime, rdd: RDD[Any]) -> None:
            save_batch(rdd.context, rddToFileName(prefix, suffix, time), lambda path: write(rdd, path))

        self._builder.output(op, self._node, save)

    # ------------------------------------------------------------------ keeping

    def cache(self) -> Self:
        """Persist the RDDs of this stream in memory.

        Returns
        -------
        DStream[T]
            This stream.
        """
        return self.persist(StorageLevel.MEMORY_ONLY)

    def persist(self, storageLevel: StorageLevel) -> Self:
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
        if self._builder.started:
            raise DStreamStateError.frozen_setting("storage level")
        self.is_cached = True
        self._node.storage_level = storageLevel
        return self

    def checkpoint(self, interval: float) -> Self:
        """Accepted for compatibility: the state of every batch is checkpointed, whatever the interval.

        Parameters
        ----------
        interval : float
            Seconds; a multiple of this stream's slide interval.

        Returns
        -------
        DStream[T]
            This stream.

        Raises
        ------
        DStreamStateError
            After the context was started.

        Notes
        -----
        As on the old engine, ``start()`` asks for a checkpoint directory then, and refuses an interval that does not
        fit, with the old texts.
        """
        interval_ms = to_milliseconds(interval, "interval")
        if self._builder.started:
            raise DStreamStateError.frozen_setting("checkpoint interval")
        self.is_checkpointed = True
        self._node.checkpoint_ms = interval_ms
        return self

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

    # ------------------------------------------------------------------ making nodes

    def _keeping(self, keeper: DStream[Any]) -> Self:
        """Let :meth:`named` name what another stream keeps: the public operation is made of several."""
        self._keeper = keeper._keeper
        return self

    def _stream(self, node: Node) -> DStream[Any]:
        return DStream(self._builder.add(node), self._ssc)

    def _add_stateful(
        self,
        op: str,
        step: Step,
        evaluate: Callable[..., Any],
        slide_ms: int,
        hint: str,
        function: Callable[..., Any] | None = None,
        *more: Node,
        checkpointed: bool = True,
    ) -> DStream[Any]:
        """Add an operation with state; `evaluate` gets the time and RDDs of the streaming side."""
        site = call_site()
        step.where = f"{op} at {site}"
        return self._stream(
            Node(
                op,
                (self._node, *more),
                evaluate,
                slide_ms,
                step=step,
                checkpointed=checkpointed,
                on_empty=OnEmpty.SHUFFLE,
                site=site,
                hint=hint,
                code=function_code(function),
            )
        )

    def _derive(
        self,
        op: str,
        func: Callable[[RDD[Any]], RDD[Any]],
        on_empty: OnEmpty = OnEmpty.EMPTY,
    ) -> DStream[Any]:
        """Add an operation that is one function from an RDD to an RDD, on either side."""
        return self._stream(Node(op, (self._node,), lambda _, rdd: func(rdd), self._node.slide_ms, on_empty=on_empty))

    def _derive_with(
        self, op: str, other: DStream[Any], func: Callable[[RDD[Any], RDD[Any]], RDD[Any]]
    ) -> DStream[Any]:
        """Add an operation on two streams; where one has no RDD at a time, an empty one stands in."""
        _expect_stream(self, other, op)
        return self._stream(
            Node(
                op,
                (self._node, other._node),
                lambda _, a, b: func(a, b),
                self._node.slide_ms,
                on_empty=OnEmpty.SHUFFLE,
                missing=Missing.EMPTY,
            )
        )

    def _duration(self, duration: float, name: str) -> int:
        """Milliseconds of a window or slide, which must be a multiple of this stream's own slide; the old text."""
        ms = to_milliseconds(duration, name)
        if ms % self._node.slide_ms:
            raise DStreamValueError(
                f"{name} must be multiple of the parent dstream's slide (batch) duration ({self._node.slide_ms} ms)"
            )
        return ms


class MapWithStateDStream(DStream[T]):
    """What the function of ``mapWithState`` returned; with :meth:`stateSnapshots`, the states.

    Parameters
    ----------
    node : Node
        The stateful operation.
    ssc : StreamingContext
        Its context.
    step : MapState
        What the operation does to a bucket.
    """

    def __init__(self, node: Node, ssc: StreamingContext, step: MapState) -> None:
        self._both = node
        self._step = step

        def results(_: datetime | None, rdd: RDD[Any]) -> RDD[Any]:
            if not step.snapshots:
                return rdd.mapPartitions(lambda records: records)
            return rdd.mapPartitions(lambda records: (what for result, what in records if result))

        super().__init__(ssc._builder.add(Node("mapWithState", (node,), results, node.slide_ms, site=node.site)), ssc)
        self._keeper = node

    def stateSnapshots(self) -> DStream[tuple[Any, Any]]:
        """Return all keys with their states, in every batch.

        Returns
        -------
        DStream[tuple[K, S]]

        Notes
        -----
        Costs as much as there are keys, which ``mapWithState`` on its own does not.
        """
        self._builder.check_open("stateSnapshots")
        self._step.snapshots = True

        def states(_: datetime | None, rdd: RDD[Any]) -> RDD[Any]:
            return rdd.mapPartitions(lambda records: (what for result, what in records if not result), True)

        node = self._both
        return self._stream(Node("stateSnapshots", (node,), states, node.slide_ms, site=call_site()))


class TransformedDStream(DStream[T]):
    """Name that programs import for annotations; every derived stream is a :class:`DStream`."""


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


def _expect_stream(stream: DStream[Any], other: Any, op: str) -> None:
    """Refuse what is no stream, or one of another context."""
    if not isinstance(other, DStream):
        raise DStreamTypeError(f"{op}: the other side must be a DStream, got {type(other).__name__}")
    if other._ssc is not stream._ssc:
        raise DStreamValueError(f"{op}: the two DStreams belong to different StreamingContexts")


def _extended(values: list[Any], more: list[Any]) -> list[Any]:
    values.extend(more)
    return values
