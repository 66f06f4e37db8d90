"""Where streams come from that the driver receives: sockets, and receivers of the program's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pyspark import RDD, StorageLevel

from dstreams._plan.graph import Graph, Node, call_site
from dstreams._sources.custom import CustomSource
from dstreams._sources.receiver import Settings
from dstreams._sources.socket import ConvertedSource, SocketSource
from dstreams._sources.source import Source
from dstreams.dstream import DStream
from dstreams.errors import DStreamTypeError, DStreamValueError
from dstreams.receiver import Receiver

if TYPE_CHECKING:
    from pyspark import SparkContext

    from dstreams._run.query import Query
    from dstreams.context import StreamingContext

__all__ = ["Receiving", "server_address"]


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

    def _source_number(self) -> int:
        """Number that the next source will have."""
        return sum(node.source is not None for node in self._graph.nodes)

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
        address = server_address(hostname, port, "socketTextStream")
        return self._source("socketTextStream", SocketSource(*address, self._receiver_settings()))

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
        address = server_address(hostname, port, "socketStream")
        return self._source("socketStream", ConvertedSource(*address, self._receiver_settings(), converter))

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
            If it is not a receiver.
        """
        if not isinstance(receiver, Receiver):
            raise DStreamTypeError(f"receiverStream: receiver must be a Receiver, got {type(receiver).__name__}")
        return self._source("receiverStream", CustomSource(receiver, self._source_number(), self._receiver_settings()))

    def _receiver_settings(self) -> Settings:
        assert self._sc._jsc is not None
        conf = self._sc._jsc.sc().conf()
        try:
            return Settings(
                conf.getTimeAsMs("spark.streaming.receiverRestartDelay", "2000ms") / 1000,
                conf.getTimeAsMs("spark.streaming.blockInterval", "200ms") / 1000,
                float(conf.get("spark.streaming.receiver.maxRate", "0")),
                self._parallelism,
            )
        except Exception as error:
            reason = str(getattr(error, "java_exception", error)).splitlines()[0]
            raise DStreamValueError(
                "spark.streaming.receiverRestartDelay, blockInterval and receiver.maxRate: a time such as 200ms, or a "
                f"number of records per second ({reason})"
            ) from None


def server_address(hostname: Any, port: Any, op: str) -> tuple[str, int]:
    """Refuse what is no address of a server."""
    if not isinstance(hostname, str) or not hostname:
        raise DStreamTypeError(f"{op}: hostname must be a str, got {hostname!r}")
    if isinstance(port, bool) or not isinstance(port, int):
        raise DStreamTypeError(f"{op}: port must be an int, got {port!r}")
    if not 0 < port < 65536:
        raise DStreamValueError(f"{op}: port must be between 1 and 65535, got {port}")
    return hostname, port
