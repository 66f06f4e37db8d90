"""DStream: a stream of RDDs; here what is done with the real RDDs of each batch. The other operations are inherited."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyspark import RDD, StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from dstreams._plan.callbacks import with_time
from dstreams._plan.graph import Missing, Node, Output, call_site, function_name
from dstreams._run.native import native_frame
from dstreams._run.query import plan_context
from dstreams._run.save import save_batch
from dstreams.duration import to_milliseconds
from dstreams.errors import (
    DStreamError,
    DStreamStateError,
    DStreamTypeError,
)
from dstreams.state import StateOperations
from dstreams.stream import T, U, V, expect_stream
from dstreams.util import rddToFileName
from dstreams.windows import WindowOperations

if TYPE_CHECKING:
    from dstreams._plan.steps.map_state import MapState
    from dstreams.context import StreamingContext

__all__ = ["DStream", "MapWithStateDStream", "TransformedDStream"]


class DStream(WindowOperations[T], StateOperations[T]):
    """A continuous sequence of RDDs, one per batch.

    Made by the source methods of :class:`~dstreams.StreamingContext` and by the operations below.

    Notes
    -----
    A node that several operations or outputs read is computed once per batch (the old engine computes it once
    for each of them, unless it is cached). ``numPartitions`` defaults to ``sc.defaultParallelism``, read when the
    operation is defined.
    """

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
        expect_stream(self, other, "transformWith")
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
        context = plan_context(self._sc, self._ssc._parallelism)
        return native_frame(self._node, context, session, parsed)

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
        self._output("foreachRDD", with_time(func, 1, "foreachRDD"), hint=function_name(func))

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
        for name, value, empty in (("prefix", prefix, False), ("suffix", suffix, True)):
            if not (isinstance(value, str | os.PathLike) and str(value)) and not (empty and value in (None, "")):
                raise DStreamTypeError(f"{op}: {name} must be a str, got {value!r}")

        def save(time: datetime, rdd: RDD[Any]) -> None:
            save_batch(rdd.context, rddToFileName(prefix, suffix, time), lambda path: write(rdd, path))

        self._output(op, save)

    def _output(self, op: str, run: Callable[[datetime, Any], Any], look: int | None = None, hint: str = "") -> None:
        self._ssc._check_open(op)
        self._ssc._graph.add_output(Output(op, self._node, run, look, call_site(), hint=hint))

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

    def checkpoint(self, interval: float) -> DStream[T]:
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
        if self._ssc._started:
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

        super().__init__(ssc._graph.add(Node("mapWithState", (node,), results, node.slide_ms, site=node.site)), ssc)
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
        self._ssc._check_open("stateSnapshots")
        self._step.snapshots = True

        def states(_: datetime | None, rdd: RDD[Any]) -> RDD[Any]:
            return rdd.mapPartitions(lambda records: (what for result, what in records if not result), True)

        node = self._both
        return self._ssc._stream(Node("stateSnapshots", (node,), states, node.slide_ms, site=call_site()))


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
