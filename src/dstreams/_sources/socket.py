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
from dstreams._sources.start import Start, count
from dstreams._sources.write_ahead import LogFolder, log_folder

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

    def __init__(
        self,
        host: str,
        port: int,
        status: Remote,
        parallelism: int,
        log: LogFolder | None = None,
        resume: int = 0,
        committed: int = 0,
    ) -> None:
        super().__init__(status, parallelism, log, resume, committed)
        self._host = host
        self._port = port

    def describe(self) -> str:
        """Name of the stream with its address."""
        return f"socketTextStream({self._host}:{self._port})"

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
            if self._stopped.is_set():  # since before there was a connection to interrupt
                return
            connection.settimeout(None)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self.say("started", f"connected to {self._host}:{self._port}")
            splitter = LineSplitter()
            broken: OSError | None = None
            try:
                while data := connection.recv(_RECEIVE_BYTES):
                    if lines := splitter.feed(data):
                        yield lines
            except OSError as error:
                broken = error
            if rest := splitter.finish():
                yield rest
            if broken is not None:
                raise broken
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

    Attributes
    ----------
    status : object
        As given. It is no part of what is pickled; who reads the source from a checkpoint directory sets it anew.
    """

    def __init__(self, host: str, port: int, parallelism: int, name: str, status: Any) -> None:
        self.host = host
        self.port = port
        self._parallelism = parallelism
        self._name = name
        self.status = status

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "status": None}

    def describe(self) -> str:
        """Name of the stream with its address."""
        return f"socketTextStream({self.host}:{self.port})"

    def frame(self, session: SparkSession, link: Link, start: Start) -> DataFrame:
        """Streaming frame of chunks of lines."""
        reader = SocketReader(
            self.host,
            self.port,
            link.serve(self._name, self.status),
            self._parallelism,
            log_folder(start, link),
            count(start.position),
            count(start.committed),
        )
        return load_stream(session, link, self._name, reader)
