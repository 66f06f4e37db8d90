"""Where streams come from: the sources of a StreamingContext, and operations on several streams."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from pyspark import RDD, StorageLevel, cloudpickle

from dstreams._plan.graph import Graph, Missing, Node, call_site
from dstreams._sources.custom import CustomSource
from dstreams._sources.dataframe import DataFrameSource
from dstreams._sources.files import BinaryRecordsSource, TextFileSource
from dstreams._sources.queue import InitialSource, QueueSource
from dstreams._sources.receiver import Settings
from dstreams._sources.socket import ConvertedSource, RawSource, SocketSource
from dstreams._sources.source import Reporting
from dstreams.dstream import DStream
from dstreams.errors import BatchError, DStreamTypeError, DStreamValueError
from dstreams.receiver import Receiver

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import DataFrame, Row, SparkSession

    from dstreams._run.query import Query
    from dstreams.context import StreamingContext

__all__ = ["Inputs"]

Thing = TypeVar("Thing")


class Inputs:
    """Part of :class:`~dstreams.StreamingContext`: everything that makes a stream."""

    _sc: SparkContext
    _graph: Graph
    _interval_ms: int
    _parallelism: int
    _query: Query | None

    def _check_open(self, op: str) -> None:
        raise AssertionError("the context knows whether it is open")

    def socketTextStream(
        self, hostname: str, port: int, storageLevel: StorageLevel = StorageLevel.MEMORY_AND_DISK_2
    ) -> DStream[str]:
        r"""Lines of text from a TCP server.

        Parameters
        ----------
        hostname : str
            Host to connect to.
        port : int
            Port to connect to.
        storageLevel : pyspark.StorageLevel
            Accepted for compatibility.

        Returns
        -------
        DStream[str]
            Lines without their end (``\n``, ``\r\n`` or ``\r``), decoded as UTF-8; invalid bytes become U+FFFD.

        Notes
        -----
        Needs no server at start and no core of its own: it connects when the server appears, and again 2 s after
        a connection ended, and says so in the log.
        """
        return self._tcp_stream(SocketSource, hostname, port)

    def socketStream(
        self,
        hostname: str,
        port: int,
        converter: Callable[[BinaryIO], Iterable[Any]],
        storageLevel: StorageLevel = StorageLevel.MEMORY_AND_DISK_2,
    ) -> DStream[Any]:
        """Records that a function makes of the bytes from a TCP server.

        Parameters
        ----------
        hostname : str
            Host to connect to.
        port : int
            Port to connect to.
        converter : callable
            Gets the connection as a binary file that can be read, and gives records as long as there are any.
        storageLevel : pyspark.StorageLevel
            Accepted for compatibility.

        Returns
        -------
        DStream[T]

        Notes
        -----
        Connects as :meth:`socketTextStream` does. Records are collected for ``spark.streaming.blockInterval`` (200 ms)
        before they are taken.
        """
        if not callable(converter):
            raise DStreamTypeError(f"socketStream: converter must be a function, got {converter!r}")
        return self._tcp_stream(ConvertedSource, hostname, port, converter=_picklable(converter, "socketStream"))

    def rawSocketStream(
        self, hostname: str, port: int, storageLevel: StorageLevel = StorageLevel.MEMORY_AND_DISK_2
    ) -> DStream[Any]:
        """Blocks of pickled records from a TCP server; the most efficient way to receive.

        Parameters
        ----------
        hostname : str
            Host to connect to.
        port : int
            Port to connect to.
        storageLevel : pyspark.StorageLevel
            Accepted for compatibility.

        Returns
        -------
        DStream[T]

        Notes
        -----
        A block is four bytes with its length, most significant first, and a pickled list of records: what
        ``pyspark.serializers.BatchedSerializer(CPickleSerializer()).dump_stream(records, file)`` writes. Unpickling
        runs what the sender wants: connect to nobody whom you do not trust.
        """
        assert self._sc._jsc is not None
        largest = self._sc._jsc.sc().conf().getSizeAsBytes("spark.streaming.raw.maxBlockSizeBytes", "1g")
        return self._tcp_stream(RawSource, hostname, port, max_block_bytes=int(largest))

    def receiverStream(self, receiver: Receiver[Any]) -> DStream[Any]:
        """Records that a receiver of the program's own stores.

        Parameters
        ----------
        receiver : Receiver
            The receiver; see :class:`dstreams.receiver.Receiver`.

        Returns
        -------
        DStream[T]

        Raises
        ------
        DStreamTypeError
            If it is not a receiver, or cannot be pickled and sent to the process where it runs.
        """
        if not isinstance(receiver, Receiver):
            raise DStreamTypeError(f"receiverStream: receiver must be a Receiver, got {type(receiver).__name__}")
        number, name = self._next_source("receiver")
        source = CustomSource(
            _picklable(receiver, "receiverStream"), number, self._parallelism, name, self._receiver_settings()
        )
        return self._receiver(source, number)

    def _tcp_stream(self, kind: type[SocketSource], hostname: str, port: int, **more: Any) -> DStream[Any]:
        op = kind.operation
        if not isinstance(hostname, str) or not hostname:
            raise DStreamTypeError(f"{op}: hostname must be a str, got {hostname!r}")
        if isinstance(port, bool) or not isinstance(port, int):
            raise DStreamTypeError(f"{op}: port must be an int, got {port!r}")
        if not 0 < port < 65536:
            raise DStreamValueError(f"{op}: port must be between 1 and 65535, got {port}")
        number, name = self._next_source("socket")
        source = kind(hostname, port, self._parallelism, name, self._receiver_settings())
        for attribute, value in more.items():
            setattr(source, attribute, value)
        return self._receiver(source, number)

    def _receiver(self, source: Reporting, number: int) -> DStream[Any]:
        source.status = _ReceiverStatus(self, number, source.describe())
        return self._source(source.describe().partition("(")[0], source)

    def _receiver_settings(self) -> Settings:
        assert self._sc._jsc is not None
        conf = self._sc._jsc.sc().conf()
        try:
            return Settings(
                conf.getTimeAsMs("spark.streaming.receiverRestartDelay", "2000ms") / 1000,
                conf.getTimeAsMs("spark.streaming.blockInterval", "200ms") / 1000,
                float(conf.get("spark.streaming.receiver.maxRate", "0")),
            )
        except Exception as error:
            reason = str(getattr(error, "java_exception", error)).splitlines()[0]
            raise DStreamValueError(
                "spark.streaming.receiverRestartDelay, blockInterval and receiver.maxRate: a time such as 200ms, or a "
                f"number of records per second ({reason})"
            ) from None

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
        number, _ = self._next_source("dataframe")
        return self._source("dataFrameStream", DataFrameSource(frame, number))

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
        _, name = self._next_source("queue")
        source = QueueSource(elements, bool(oneAtATime), fallback, self._parallelism, name)
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

    def _stream(self, node: Node) -> DStream[Any]:
        """Take a node into the graph."""
        self._check_open(node.op)
        node.site = node.site or call_site()
        return DStream(self._graph.add(node), cast("StreamingContext", self))

    def _initial_state(self, records: RDD[Any] | list[Any], slide_ms: int) -> Node:
        """Add the source of the records that a state starts from, for an operation with that slide."""
        _, name = self._next_source("initial")
        node = self._source("initial state", InitialSource(records, self._parallelism, name))._node
        node.slide_ms = slide_ms  # so that it goes with the operation's other parent; it has records but once
        return node

    def _source(self, op: str, source: Any) -> DStream[Any]:
        def never(*_: Any) -> RDD[Any]:
            raise KeyError("the RDD of a source that is not at the frontier")

        hint = op if source.logical else source.describe()
        return self._stream(Node(op, (), never, self._interval_ms, source=source, hint=hint))

    def _listen_to_receivers(self) -> None:
        """Let the receivers of a restored program talk to this context."""
        nodes = [node for node in self._graph.nodes if node.source is not None]
        for number, node in enumerate(nodes):
            if isinstance(node.source, Reporting):
                node.source.status = _ReceiverStatus(self, number, node.source.describe())

    def _next_source(self, kind: str) -> tuple[int, str]:
        number = sum(node.source is not None for node in self._graph.nodes)
        return number, f"dstreams-{kind}-{number}"

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


class _ReceiverStatus:
    """What a receiver's reader calls in the driver."""

    def __init__(self, ssc: Inputs, stream: int, name: str) -> None:
        self._ssc = ssc
        self._stream = stream
        self._name = name

    def receiver(self, event: str, text: str) -> None:
        """Something happened to the receiver."""
        if self._ssc._query is not None:
            self._ssc._query.receiver_event(self._stream, self._name, event, text)

    def took(self, records: int) -> None:
        """A batch takes so many records."""
        if self._ssc._query is not None:
            self._ssc._query.took(self._stream, records, self._name)


def _picklable(thing: Thing, op: str) -> Thing:
    """See that a receiver, or a function of one, can be sent to the process where it runs."""
    try:
        cloudpickle.dumps(thing)
    except Exception as error:
        raise DStreamTypeError(
            f"{op}: {type(thing).__name__} cannot be pickled and sent to the process where it runs: {error}. It has "
            "something of this process only, such as a SparkContext, a lock, a thread or a connection: make it when "
            "the receiver starts."
        ) from error
    return thing


def _directory(directory: Any, op: str) -> str:
    if not isinstance(directory, str | os.PathLike) or not str(directory):
        raise DStreamTypeError(f"{op}: directory must be a str, got {directory!r}")
    return os.fspath(directory)


def _batch_ms(when: Any) -> int:
    return int(when.timestamp() * 1000)
