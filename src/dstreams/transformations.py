"""Operations on one or two streams that need no state: each is one function on RDDs, for either side."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from itertools import chain
from typing import TYPE_CHECKING

from pyspark.core.rdd import portable_hash

from dstreams._plan.graph import Missing, Node, OnEmpty
from dstreams.errors import DStreamValueError
from dstreams.stream import K, Stream, T, U, V, W, expect_stream

if TYPE_CHECKING:
    from pyspark.resultiterable import ResultIterable

    from dstreams.dstream import DStream

__all__ = ["Transformations"]


class Transformations(Stream[T]):
    """Narrow operations, shuffles and joins."""

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

    def mapValues(self: Transformations[tuple[K, V]], f: Callable[[V], W]) -> DStream[tuple[K, W]]:
        """Apply a function to the value of each pair; the keys and their partitioning stay."""
        return self._derive("mapValues", lambda rdd: rdd.mapValues(f))

    def flatMapValues(self: Transformations[tuple[K, V]], f: Callable[[V], Iterable[W]]) -> DStream[tuple[K, W]]:
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

    def countByValue(self: Transformations[K]) -> DStream[tuple[K, int]]:
        """Count how often each element occurs in each RDD."""
        n = self._sc.defaultParallelism
        return self._derive(
            "countByValue",
            lambda rdd: rdd.map(lambda x: (x, 1)).reduceByKey(operator.add, n),
            OnEmpty.SHUFFLE,
        )

    def reduceByKey(
        self: Transformations[tuple[K, V]], func: Callable[[V, V], V], numPartitions: int | None = None
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
        self: Transformations[tuple[K, V]],
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
        self: Transformations[tuple[K, V]], numPartitions: int | None = None
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
        self: Transformations[tuple[K, V]], numPartitions: int, partitionFunc: Callable[[K], int] = portable_hash
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

    def union(self, other: Stream[U]) -> DStream[T | U]:
        """Put the elements of two streams side by side.

        Raises
        ------
        DStreamValueError
            If the streams have different slide intervals; the old engine's text.
        """
        if isinstance(other, Stream) and self._node.slide_ms != other._node.slide_ms:
            raise DStreamValueError("the two DStream should have same slide duration")
        expect_stream(self, other, "union")
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
        self: Transformations[tuple[K, V]], other: Stream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[ResultIterable[V], ResultIterable[W]]]]:
        """Group the values that both streams have for each key."""
        n = self._partitions(numPartitions, "cogroup")
        return self._derive_with("cogroup", other, lambda a, b: a.cogroup(b, n))

    def join(
        self: Transformations[tuple[K, V]], other: Stream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[V, W]]]:
        """Join on the key, keys that both streams have."""
        n = self._partitions(numPartitions, "join")
        return self._derive_with("join", other, lambda a, b: a.join(b, n))

    def leftOuterJoin(
        self: Transformations[tuple[K, V]], other: Stream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[V, W | None]]]:
        """Join on the key, all keys of this stream; None where the other has none."""
        n = self._partitions(numPartitions, "leftOuterJoin")
        return self._derive_with("leftOuterJoin", other, lambda a, b: a.leftOuterJoin(b, n))

    def rightOuterJoin(
        self: Transformations[tuple[K, V]], other: Stream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[V | None, W]]]:
        """Join on the key, all keys of the other stream; None where this has none."""
        n = self._partitions(numPartitions, "rightOuterJoin")
        return self._derive_with("rightOuterJoin", other, lambda a, b: a.rightOuterJoin(b, n))

    def fullOuterJoin(
        self: Transformations[tuple[K, V]], other: Stream[tuple[K, W]], numPartitions: int | None = None
    ) -> DStream[tuple[K, tuple[V | None, W | None]]]:
        """Join on the key, all keys of both streams; None where one has none."""
        n = self._partitions(numPartitions, "fullOuterJoin")
        return self._derive_with("fullOuterJoin", other, lambda a, b: a.fullOuterJoin(b, n))
