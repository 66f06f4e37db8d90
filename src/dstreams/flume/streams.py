"""Streams of Flume, and the receiver that they come from."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from pyspark import StorageLevel

from dstreams._compatibility import TABLE
from dstreams._sources.decoder import utf8_decoder
from dstreams.errors import (
    DStreamStateError,
    DStreamTypeError,
    UnsupportedDStreamOperation,
)
from dstreams.flume._server import FlumeServer
from dstreams.receiver import Receiver
from dstreams.sources import server_address

if TYPE_CHECKING:
    from dstreams.context import StreamingContext
    from dstreams.dstream import DStream

__all__ = ["FlumeReceiver", "FlumeUtils"]


class FlumeUtils:
    """Streams of the events of Flume agents."""

    @staticmethod
    def createStream(
        ssc: StreamingContext,
        hostname: str,
        port: int,
        storageLevel: StorageLevel = StorageLevel.MEMORY_AND_DISK_2,
        enableDecompression: bool = False,
        bodyDecoder: Callable[[bytes | None], Any] = utf8_decoder,
    ) -> DStream[Any]:
        """Let Flume agents send events with their Avro sink.

        Parameters
        ----------
        ssc : StreamingContext
            The context.
        hostname : str
            Address of the driver's machine on which to listen, the ``hostname`` of the sink.
        port : int
            Port on which to listen.
        storageLevel : pyspark.StorageLevel
            Accepted for compatibility.
        enableDecompression : bool
            Whether the sink has ``compression-type = deflate``.
        bodyDecoder : callable
            Body of an event to anything.

        Returns
        -------
        DStream[tuple[dict[str, str], T]]
            Headers and decoded body of each event.

        Raises
        ------
        DStreamStateError
            If the package ``avro`` is not installed.
        DStreamTypeError, DStreamValueError
            If an argument cannot be meant.

        Notes
        -----
        An agent is told that events have arrived when they are in the write-ahead log, if the program has a checkpoint
        directory; it keeps in its channel what it could not send.
        """
        op = "FlumeUtils.createStream"
        server_address(hostname, port, op)
        if not callable(bodyDecoder):
            raise DStreamTypeError(f"{op}: bodyDecoder must be a function, got {bodyDecoder!r}")
        try:
            import avro.ipc  # noqa: F401
        except ImportError:
            raise DStreamStateError(
                f"{op}: Avro is not installed. Install it beside the driver: pip install 'dstreams[flume]'"
            ) from None
        events = ssc.receiverStream(FlumeReceiver(hostname, port, bool(enableDecompression)))
        return events.map(lambda event: (event[0], bodyDecoder(event[1])))._keeping(events)

    @staticmethod
    def createPollingStream(*args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: the sink that this polled was a part of Spark, which is not made any more.

        Raises
        ------
        UnsupportedDStreamOperation
            Always, before anything is started.
        """
        fact = TABLE["FlumeUtils.createPollingStream"]
        raise UnsupportedDStreamOperation(f"{fact.name}: {fact.sentence}. Nothing was started.")


class FlumeReceiver(Receiver[Any]):
    """Listens for agents.

    Parameters
    ----------
    host : str
        Address on which to listen.
    port : int
        Port on which to listen.
    compressed : bool
        Whether agents compress what they send.
    """

    def __init__(self, host: str, port: int, compressed: bool) -> None:
        super().__init__()
        self._address = (host, port)
        self._compressed = compressed

    def __str__(self) -> str:
        host, port = self._address
        return f"Flume on {host}:{port}"

    def onStart(self) -> None:
        """Listen."""
        self._server = FlumeServer(self._address, self._compressed, self.store)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="dstreams-flume", daemon=True).start()

    def onStop(self) -> None:
        """Listen no more."""
        server = self.__dict__.pop("_server", None)
        if server is not None:
            server.shutdown()
            server.server_close()
