"""What comes from a TCP server: lines of text, what the program makes of the bytes, or blocks of pickled records."""

from __future__ import annotations

import pickle
import socket
import struct
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from dstreams._sources.receiver import ReceiverReader, ReceiverSource, Settings, Wiring

__all__ = ["ConvertedSource", "LineSplitter", "RawSource", "SocketSource"]

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


class _TcpReader(ReceiverReader):
    """Receiver that reads from ``host:port``; connects again whenever the connection ends.

    Parameters
    ----------
    name : str
        Name of the stream with its address, for messages.
    host : str
        Name or address of the server.
    port : int
        Its port.
    wiring : Wiring
        What it is connected to in the program.
    """

    def __init__(self, name: str, host: str, port: int, wiring: Wiring) -> None:
        super().__init__(wiring)
        self._name = name
        self._host = host
        self._port = port

    def describe(self) -> str:
        """Name of the stream with its address."""
        return self._name

    @abstractmethod
    def read_records(self, connection: socket.socket) -> Iterator[list[Any]]:
        """Yield lists of records until the connection ends."""

    def receive(self) -> Iterator[list[Any]]:
        """Connect and yield lists of records."""
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
            yield from self.read_records(connection)
        if not self._stopped.is_set():
            again = f"connecting again every {self._settings.restart_seconds:g} s"
            self.say("stopped", f"{self._host}:{self._port} closed the connection; {again}")

    def interrupt(self) -> None:
        """Break a blocking read."""
        connection = getattr(self, "_connection", None)
        if connection is not None:
            with suppress(OSError):  # it may be closed already
                connection.shutdown(socket.SHUT_RDWR)


class SocketReader(_TcpReader):
    """Receiver of lines."""

    def read_records(self, connection: socket.socket) -> Iterator[list[Any]]:
        """Yield lists of lines; what follows the last end of a line is one too."""
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


class _ConvertingReader(_TcpReader):
    """Receiver of what a function of the program makes of the bytes."""

    converter: Callable[[BinaryIO], Iterable[Any]]

    def read_records(self, connection: socket.socket) -> Iterator[list[Any]]:
        """Put records as they come; they are collected to blocks for a moment."""
        with connection.makefile("rb") as file:
            for record in self.converter(file):
                self.blocks.add(record)
        self.blocks.flush()
        yield from ()


class _RawReader(_TcpReader):
    """Receiver of blocks: four bytes with the length, most significant first, then a pickled list of records."""

    max_block_bytes: int

    def read_records(self, connection: socket.socket) -> Iterator[list[Any]]:
        """Yield the blocks."""
        with connection.makefile("rb") as file:
            while head := file.read(4):
                (length,) = struct.unpack(">i", head.ljust(4, b"\0"))
                if len(head) < 4 or not 0 <= length <= self.max_block_bytes:
                    raise ValueError(
                        f"a block of {length} bytes was announced, and it may have {self.max_block_bytes} "
                        "(spark.streaming.raw.maxBlockSizeBytes): is this a sender of blocks?"
                    )
                data = file.read(length)
                if len(data) < length:
                    raise ConnectionError(f"the connection ended after {len(data)} of {length} bytes of a block")
                yield list(pickle.loads(data))


class SocketSource(ReceiverSource):
    """Lines from a TCP server.

    Parameters
    ----------
    host : str
        Name or address of the server.
    port : int
        Its port.
    parallelism, name, settings, status
        As every receiver has them.
    """

    operation = "socketTextStream"

    def __init__(
        self, host: str, port: int, parallelism: int, name: str, settings: Settings, status: Any = None
    ) -> None:
        super().__init__(parallelism, name, settings, status)
        self.host = host
        self.port = port

    def describe(self) -> str:
        """Name of the stream with its address."""
        return f"{self.operation}({self.host}:{self.port})"

    def reader(self, wiring: Wiring) -> ReceiverReader:
        """Make the receiver."""
        return SocketReader(self.describe(), self.host, self.port, wiring)


class ConvertedSource(SocketSource):
    """What a function makes of the bytes from a TCP server."""

    operation = "socketStream"
    converter: Callable[[BinaryIO], Iterable[Any]]

    def reader(self, wiring: Wiring) -> ReceiverReader:
        """Make the receiver."""
        reader = _ConvertingReader(self.describe(), self.host, self.port, wiring)
        reader.converter = self.converter
        return reader


class RawSource(SocketSource):
    """Blocks of pickled records from a TCP server."""

    operation = "rawSocketStream"
    max_block_bytes: int

    def reader(self, wiring: Wiring) -> ReceiverReader:
        """Make the receiver."""
        reader = _RawReader(self.describe(), self.host, self.port, wiring)
        reader.max_block_bytes = self.max_block_bytes
        return reader
