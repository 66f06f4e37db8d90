"""Where streams come from that something beside the driver receives: sockets, and receivers of the program's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from pyspark import RDD, StorageLevel, cloudpickle

from dstreams._plan.graph import Graph, Node, call_site
from dstreams._sources.custom import CustomSource
from dstreams._sources.receiver import Settings
from dstreams._sources.socket import ConvertedSource, RawSource, SocketSource
from dstreams._sources.source import Reporting, Source
from dstreams.dstream import DStream
from dstreams.errors import DStreamTypeError, DStreamValueError
from dstreams.receiver import Receiver

if TYPE_CHECKING:
    from pyspark import SparkContext

    from dstreams._run.query import Query
    from dstreams.context import StreamingContext

__all__ = ["Receiving"]

Thing = TypeVar("Thing")


class Receiving:
    """Part of :class:`~dstreams.StreamingContext`: how a source becomes a stream, and sources that are receivers."""

    _sc: SparkContext
    _graph: Graph
    _interval_ms: int
    _parallelism: int
    _query: Query | None

    def _check_open(self, op: str) -> None:
        raise AssertionError("the context knows whether it is open")

    # ------------------------------------------------------------------ making nodes

    def _stream(self, node: Node) -> DStream[Any]:
        """Take a node into the graph."""
        self._check_open(node.op)
        node.site = node.site or call_site()
        return DStream(self._graph.add(node), cast("StreamingContext", self))

    def _source(self, op: str, source: Source) -> DStream[Any]:
        def never(*_: Any) -> RDD[Any]:
            raise KeyError("the RDD of a source that is not at the frontier")

        hint = op if source.logical else source.describe()
        return self._stream(Node(op, (), never, self._interval_ms, source=source, hint=hint))

    def _next_source(self, kind: str) -> tuple[int, str]:
        number = sum(node.source is not None for node in self._graph.nodes)
        return number, f"dstreams-{kind}-{number}"

    # ------------------------------------------------------------------ what is received

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

    def _listen_to_receivers(self) -> None:
        """Let the receivers of a restored program talk to this context."""
        nodes = [node for node in self._graph.nodes if node.source is not None]
        for number, node in enumerate(nodes):
            if isinstance(node.source, Reporting):
                node.source.status = _ReceiverStatus(self, number, node.source.describe())


class _ReceiverStatus:
    """What a receiver's reader calls in the driver."""

    def __init__(self, ssc: Receiving, stream: int, name: str) -> None:
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
