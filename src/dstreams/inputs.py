"""Where streams come from: the sources of a StreamingContext, and operations on several streams."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pyspark import RDD

from dstreams._plan.graph import Missing, Node
from dstreams._sources.dataframe import DataFrameSource
from dstreams._sources.files import BinaryRecordsSource, TextFileSource
from dstreams._sources.queue import InitialSource, QueueSource
from dstreams.dstream import DStream
from dstreams.errors import BatchError, DStreamTypeError, DStreamValueError
from dstreams.receiving import Receiving

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

__all__ = ["Inputs"]


class Inputs(Receiving):
    """Part of :class:`~dstreams.StreamingContext`: everything that makes a stream."""

    def textFileStream(self, directory: str) -> DStream[str]:
        """Lines of the text files that appear in a directory.

        Parameters
        ----------
        directory : str
            Directory, or a glob of directories, of any Hadoop file system; it need not exist yet.

        Returns
        -------
        DStream[str]

        Notes
        -----
        Files older than this call are not read, nor those whose name begins with ``.`` or ``_``. Files must be
        moved into the directory, not written there in place.
        """
        source = TextFileSource(_directory(directory, "textFileStream"), *self._file_times())
        return self._source("textFileStream", source)

    def binaryRecordsStream(self, directory: str, recordLength: int) -> DStream[bytes]:
        """Records of a fixed length from the files that appear in a directory.

        Parameters
        ----------
        directory : str
            As in :meth:`textFileStream`.
        recordLength : int
            Length of each record in bytes.

        Returns
        -------
        DStream[bytes]

        Notes
        -----
        A file whose size is no multiple of the length fails its batch with an EOFError that names the file; later
        batches go on.
        """
        if isinstance(recordLength, bool) or not isinstance(recordLength, int) or recordLength < 1:
            raise DStreamValueError(
                f"binaryRecordsStream: recordLength must be a positive number of bytes, got {recordLength!r}"
            )
        path = _directory(directory, "binaryRecordsStream")
        source = BinaryRecordsSource(path, *self._file_times(), recordLength)
        return self._source("binaryRecordsStream", source)

    def dataFrameStream(self, frame: DataFrame | Callable[[SparkSession], DataFrame]) -> DStream[Row]:
        """Rows of a streaming DataFrame: Delta, Iceberg, files with a schema, or any other source that Spark has.

        Parameters
        ----------
        frame : DataFrame or callable
            A streaming DataFrame, or a function that gets a SparkSession and makes one. A program that is restored
            from its checkpoint directory needs a function: a DataFrame cannot be saved.

        Returns
        -------
        DStream[Row]

        Raises
        ------
        DStreamTypeError
            If it is neither, or the DataFrame is not a streaming one.
        DStreamValueError
            If it has an aggregation or another operation with state, which is to be done on the stream.
        """
        return self._source("dataFrameStream", DataFrameSource(frame, self._source_number()))

    def queueStream(
        self, rdds: list[Any], oneAtATime: bool = True, default: RDD[Any] | Iterable[Any] | None = None
    ) -> DStream[Any]:
        """Take the elements of a queue, one per batch.

        Parameters
        ----------
        rdds : list of RDD or list of list
            The queue; later changes to the list are ignored.
        oneAtATime : bool
            One element per batch, or all of them in the first.
        default : RDD or list, optional
            Element of every batch after the queue is used up.

        Returns
        -------
        DStream[T]

        Raises
        ------
        DStreamTypeError
            If the queue is not a list.
        DStreamValueError
            If the queue is empty and there is no default.

        Notes
        -----
        A program whose inputs are all queues runs on a logical clock: batch times are contiguous, one element
        each, whatever the machine's speed. The conf ``spark.streaming.dstreams.paced=false`` lets its batches
        follow each other at once; for tests.
        """
        if not isinstance(rdds, list | tuple):
            raise DStreamTypeError(f"queueStream: rdds must be a list of RDDs or lists, got {type(rdds).__name__}")
        has_default = isinstance(default, RDD) or bool(default)
        if not rdds and not has_default:
            raise DStreamValueError(
                "queueStream: the queue is empty and there is no default, so there is nothing to read"
            )
        for element in rdds:
            if not isinstance(element, RDD | Iterable):
                raise DStreamTypeError(
                    f"queueStream: each element must be an RDD or a list, the records of one batch; got {element!r}"
                )
        elements = [element if isinstance(element, RDD) else list(element) for element in rdds] or [[]]
        fallback = default if isinstance(default, RDD) else list(default) if has_default and default else None
        source = QueueSource(elements, bool(oneAtATime), fallback, self._parallelism)
        return self._source("queueStream", source)

    # ------------------------------------------------------------------ several streams

    def transform(self, dstreams: list[DStream[Any]], transformFunc: Callable[..., RDD[Any]]) -> DStream[Any]:
        """Apply a function to the real RDDs that several streams have in each batch, on the driver.

        Parameters
        ----------
        dstreams : list of DStream
            The streams.
        transformFunc : callable
            Called with one argument, the tuple of RDDs in the order of the list; must return an RDD.

        Returns
        -------
        DStream[T]
        """
        nodes = self._nodes(dstreams, "transform")
        if not callable(transformFunc):
            raise DStreamTypeError(f"transform: transformFunc must be a function, got {transformFunc!r}")

        def evaluate(when: Any, *rdds: RDD[Any] | None) -> RDD[Any]:
            if any(rdd is None for rdd in rdds):
                raise BatchError(f"Couldn't generate RDD from parent at time {_batch_ms(when)} ms")
            result = transformFunc(rdds)
            if not isinstance(result, RDD):
                raise BatchError(
                    "Transform function must not return null. Return SparkContext.emptyRDD() instead to represent "
                    f"no element as the result of transformation. Got {type(result).__name__}."
                )
            return result

        return self._stream(Node("transform", nodes, evaluate, nodes[0].slide_ms, liftable=False, missing=Missing.FAIL))

    def union(self, *dstreams: DStream[Any]) -> DStream[Any]:
        """Put the elements of several streams side by side.

        Raises
        ------
        DStreamValueError
            "should have at least one DStream to union", or if slide intervals or contexts differ.
        """
        if not dstreams:
            raise DStreamValueError("should have at least one DStream to union")
        if len(dstreams) == 1:
            return dstreams[0]
        nodes = self._nodes(list(dstreams), "union", "All DStreams should have same slide duration")

        def evaluate(when: Any, *rdds: RDD[Any] | None) -> RDD[Any]:
            first, *others = rdds
            if first is None or any(rdd is None for rdd in others):
                raise BatchError(f"Could not generate RDD from a parent for unifying at time {_batch_ms(when)} ms")
            for rdd in others:
                assert rdd is not None
                first = first.union(rdd)
            return first

        return self._stream(Node("union", nodes, evaluate, nodes[0].slide_ms, missing=Missing.FAIL))

    # ------------------------------------------------------------------ making nodes

    def _initial_state(self, records: RDD[Any] | list[Any], slide_ms: int) -> Node:
        """Add the source of the records that a state starts from, for an operation with that slide."""
        node = self._source("initial state", InitialSource(records, self._parallelism))._node
        node.slide_ms = slide_ms  # so that it goes with the operation's other parent; it has records but once
        return node

    def _file_times(self) -> tuple[int, int]:
        """When the stream is defined, and the remember window, in ms."""
        assert self._sc._jsc is not None
        conf = self._sc._jsc.sc().conf()
        fallback = conf.get("spark.streaming.minRememberDuration", "60s")
        window = conf.getTimeAsSeconds("spark.streaming.fileStream.minRememberDuration", fallback) * 1000
        return int(time.time() * 1000), -(-window // self._interval_ms) * self._interval_ms

    def _nodes(self, dstreams: Any, op: str, slides: str | None = None) -> tuple[Node, ...]:
        if not isinstance(dstreams, list | tuple) or not dstreams:
            raise DStreamValueError(f"{op}: give a list with at least one DStream, got {dstreams!r}")
        for stream in dstreams:
            if not isinstance(stream, DStream):
                raise DStreamTypeError(f"{op}: expected DStreams, got {type(stream).__name__}")
            if stream._ssc is not self:
                raise DStreamValueError("requirement failed: Some of the DStreams have different contexts")
        if len({stream._node.slide_ms for stream in dstreams}) > 1:
            raise DStreamValueError(slides or "requirement failed: Some of the DStreams have different slide durations")
        return tuple(stream._node for stream in dstreams)


def _directory(directory: Any, op: str) -> str:
    if not isinstance(directory, str | os.PathLike) or not str(directory):
        raise DStreamTypeError(f"{op}: directory must be a str, got {directory!r}")
    return os.fspath(directory)


def _batch_ms(when: Any) -> int:
    return int(when.timestamp() * 1000)
