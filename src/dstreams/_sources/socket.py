"""What comes from a TCP server: lines of text, or what the program makes of the bytes."""

from __future__ import annotations

import socket
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from dstreams._sources.blocks import Block
from dstreams._sources.receiver import ReceiverReader, ReceiverSource, Settings
from dstreams._sources.start import Start

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import SparkContext

__all__ = ["ConvertedSource", "LineCutter", "SocketSource", "read_line_blocks"]

_RECEIVE_BYTES = 1 << 18


class LineCutter:
    r"""Bytes as they come to bytes that are whole lines, each ended by ``\n``.

    ``\n``, ``\r\n`` and ``\r`` end a line, as for Java's ``readLine``, which the old engine uses.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._skip_newline = False

    def feed(self, data: bytes) -> bytes:
        """Lines that are complete with these bytes."""
        if self._skip_newline and data:
            self._skip_newline = False
            if data[:1] == b"\n":
                data = data[1:]
        if not data:
            return b""
        self._skip_newline = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = data.rfind(b"\n") + 1
        whole = b"".join([*self._rest, data[:end]]) if end else b""
        self._rest = [*([] if end else self._rest), data[end:]]
        return whole

    def finish(self) -> bytes:
        """Last line, where the connection ended without a terminator."""
        rest, self._rest = b"".join(self._rest), []
        return rest + b"\n" if rest else b""


def line_blocks(data: bytes, each: int | None) -> Iterator[list[Block]]:
    """Whole lines as a block; as several of so many lines each, where no more may come at once."""
    count = data.count(b"\n")
    if each is None or count <= each:
        if count:
            yield [Block(data, count)]
        return
    lines = data.split(b"\n")[:-1]
    for at in range(0, count, each):
        some = lines[at : at + each]
        yield [Block(b"\n".join(some) + b"\n", len(some))]


def read_line_blocks(batches: Iterator[pa.RecordBatch]) -> Iterator[str]:
    """Lines of Arrow batches of blocks, in a worker: UTF-8, invalid bytes become U+FFFD."""
    for batch in batches:
        for block in batch.column(batch.num_columns - 1).to_pylist():
            yield from block[:-1].decode("utf-8", "replace").split("\n")


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
    start : Start
        From where it goes on.
    settings : Settings
        Its settings.
    """

    def __init__(self, name: str, host: str, port: int, start: Start, settings: Settings) -> None:
        super().__init__(name, start, settings)
        self._host = host
        self._port = port
        self._connection: socket.socket | None = None

    @abstractmethod
    def read_records(self, connection: socket.socket) -> None:
        """Put records until the connection ends."""

    def receive(self) -> None:
        """Connect and put records."""
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
            self.read_records(connection)
        if not self._stopped.is_set():
            again = f"connecting again every {self._settings.restart_seconds:g} s"
            self.say("stopped", f"{self._host}:{self._port} closed the connection; {again}")

    def interrupt(self) -> None:
        """Break a blocking read."""
        if self._connection is not None:
            with suppress(OSError):  # it may be closed already
                self._connection.shutdown(socket.SHUT_RDWR)


class SocketReader(_TcpReader):
    """Receiver of lines, which stay bytes until a worker has them."""

    def read_records(self, connection: socket.socket) -> None:
        """Put blocks of lines; what follows the last end of a line is one too."""
        cutter = LineCutter()
        broken: OSError | None = None
        try:
            while data := connection.recv(_RECEIVE_BYTES):
                if not self.put_blocks(line_blocks(cutter.feed(data), self.limit.at_once)):
                    return
        except OSError as error:
            broken = error
        self.put_blocks(line_blocks(cutter.finish(), None))
        if broken is not None:
            raise broken

    def merge(self, blocks: list[bytes], partitions: int) -> list[bytes]:
        """Join what came, and cut it at ends of lines."""
        whole = b"".join(blocks)
        size = max(1, min(_RECEIVE_BYTES, len(whole) // partitions))
        chunks, at = [], 0
        while at < len(whole):
            end = whole.find(b"\n", at + size - 1) + 1 or len(whole)
            chunks.append(whole[at:end])
            at = end
        return chunks


class _ConvertingReader(_TcpReader):
    """Receiver of what a function of the program makes of the bytes."""

    converter: Callable[[BinaryIO], Iterable[Any]]

    def read_records(self, connection: socket.socket) -> None:
        """Put records as they come; they are collected for a moment."""
        try:
            with connection.makefile("rb") as file:
                for record in self.converter(file):
                    self.collector.add(record)
        finally:
            self.collector.flush()


class _TcpSource(ReceiverSource):
    """What comes from a TCP server.

    Parameters
    ----------
    host : str
        Name or address of the server.
    port : int
        Its port.
    settings : Settings
        As every receiver has them.
    """

    operation: str

    def __init__(self, host: str, port: int, settings: Settings) -> None:
        super().__init__(settings)
        self.host = host
        self.port = port

    def describe(self) -> str:
        """Name of the stream with its address."""
        return f"{self.operation}({self.host}:{self.port})"


class SocketSource(_TcpSource):
    """Lines from a TCP server."""

    operation = "socketTextStream"
    decode = staticmethod(read_line_blocks)

    def reader(self, start: Start, sc: SparkContext) -> ReceiverReader:
        """Make the receiver."""
        return SocketReader(self.describe(), self.host, self.port, start, self.settings)


class ConvertedSource(_TcpSource):
    """What a function makes of the bytes from a TCP server.

    Parameters
    ----------
    host, port, settings
        As of the lines.
    converter : callable
        The function.
    """

    operation = "socketStream"

    def __init__(
        self, host: str, port: int, settings: Settings, converter: Callable[[BinaryIO], Iterable[Any]]
    ) -> None:
        super().__init__(host, port, settings)
        self._converter = converter

    def reader(self, start: Start, sc: SparkContext) -> ReceiverReader:
        """Make the receiver."""
        reader = _ConvertingReader(self.describe(), self.host, self.port, start, self.settings)
        reader.converter = self._converter
        return reader
