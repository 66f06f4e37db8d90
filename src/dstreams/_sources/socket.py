"""socketTextStream: lines of text from a TCP server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from dstreams._sources.link import Link, Remote
from dstreams._sources.receiver import ReceiverReader
from dstreams._sources.register import load_stream
from dstreams._sources.source import Source

__all__ = ["LineSplitter", "SocketSource"]

_RECEIVE_BYTES = 1 << 18


class LineSplitter:
    r"""Bytes to lines: ``\n``, ``\r\n`` and ``\r`` end a line, UTF-8, invalid bytes become U+FFFD.

    The same as Java's ``readLine`` on a UTF-8 reader, which the old engine uses.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._skip_newline = False

    def feed(self, data: bytes) -> list[str]:
        """Lines that are complete with these bytes."""
        if self._skip_newline and data:
            self._skip_newline = False
            if data[:1] == b"\n":
                data = data[1:]
        if not data:
            return []
        self._skip_newline = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    def finish(self) -> list[str]:
        """Last line, where the connection ended without a terminator."""
        rest, self._rest = self._rest, b""
        return [rest.decode("utf-8", "replace")] if rest else []


class SocketReader(ReceiverReader):
    """Receiver of lines from ``host:port``; connects again whenever the connection ends."""

    def __init__(self, host: str, port: int, status: Remote, parallelism: int) -> None:
        super().__init__(status, parallelism)
        self._host = host
        self._port = port

    def receive(self) -> Iterator[list[Any]]:
        """Connect and yield lists of lines."""
        try:
            connection = socket.create_connection((self._host, self._port), timeout=10)
        except OSError as error:
            raise ConnectionError(f"nobody answers at {self._host}:{self._port} ({error.strerror or error})") from None
        with connection:
            if connection.getsockname() == connection.getpeername():
                # Trying a free local port again and again, TCP may connect it to itself.
                raise ConnectionError(f"nobody answers at {self._host}:{self._port} (connection to itself)")
            self._connection = connection
            connection.settimeout(None)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self.say("started", f"connected to {self._host}:{self._port}")
            splitter = LineSplitter()
            try:
                while data := connection.recv(_RECEIVE_BYTES):
                    if lines := splitter.feed(data):
                        yield lines
            finally:
                if rest := splitter.finish():
                    yield rest
        if not self._stopped.is_set():
            self.say("stopped", f"{self._host}:{self._port} closed the connection; connecting again every 2 s")

    def interrupt(self) -> None:
        """Break a blocking read."""
        connection = getattr(self, "_connection", None)
        if connection is not None:
            with suppress(OSError):  # it may be closed already
                connection.shutdown(socket.SHUT_RDWR)


class SocketSource(Source):
    """Lines from a TCP server.

    Parameters
    ----------
    host : str
        Name or address of the server.
    port : int
        Its port.
    parallelism : int
        Number of partitions of a large batch.
    name : str
        Unique name of the stream.
    status : object
        Object of the driver with ``receiver(event, text)``.
    """

    def __init__(self, host: str, port: int, parallelism: int, name: str, status: Any) -> None:
        self.host = host
        self.port = port
        self._parallelism = parallelism
        self._name = name
        self._status = status

    def describe(self) -> str:
        """Name of the stream with its address."""
        return f"socketTextStream({self.host}:{self.port})"

    def frame(self, session: SparkSession, link: Link) -> DataFrame:
        """Streaming frame of chunks of lines."""
        status = link.serve(self._name, self._status)
        return load_stream(session, link, self._name, SocketReader(self.host, self.port, status, self._parallelism))
