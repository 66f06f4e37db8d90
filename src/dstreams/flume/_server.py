"""The server that Flume's Avro sink sends events to: Avro's remote calls, in the frames of its Netty transport."""

from __future__ import annotations

import json
import socketserver
import struct
import zlib
from collections.abc import Callable
from typing import Any

__all__ = ["FlumeServer"]

Event = tuple[dict[str, str], bytes]
"""Headers and body."""

_PROTOCOL = {
    "protocol": "AvroSourceProtocol",
    "namespace": "org.apache.flume.source.avro",
    "types": [
        {"type": "enum", "name": "Status", "symbols": ["OK", "FAILED", "UNKNOWN"]},
        {
            "type": "record",
            "name": "AvroFlumeEvent",
            "fields": [
                {"name": "headers", "type": {"type": "map", "values": "string"}},
                {"name": "body", "type": "bytes"},
            ],
        },
    ],
    "messages": {
        "append": {"request": [{"name": "event", "type": "AvroFlumeEvent"}], "response": "Status"},
        "appendBatch": {
            "request": [{"name": "events", "type": {"type": "array", "items": "AvroFlumeEvent"}}],
            "response": "Status",
        },
    },
}
_MAX_BUFFERS, _MAX_BYTES = 1 << 16, 1 << 30


class FlumeServer(socketserver.ThreadingTCPServer):
    """Takes events from any number of agents.

    Parameters
    ----------
    address : tuple of str and int
        Where to listen.
    compressed : bool
        Whether the agents compress what they send (``compression-type = deflate``).
    take : callable
        Gets a list of events; an agent is told that they have arrived when it returns, and sends them again if it
        raises.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], compressed: bool, take: Callable[[list[Event]], Any]) -> None:
        self.compressed = compressed
        self.take = take
        super().__init__(address, _Connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that ended: the agent makes another one."""


class _Connection(socketserver.BaseRequestHandler):
    """One agent's connection."""

    server: FlumeServer

    def handle(self) -> None:
        """Answer calls until the agent is gone."""
        respond = _responder(self.server.take)
        self._inflate = zlib.decompressobj() if self.server.compressed else None
        deflate = zlib.compressobj() if self.server.compressed else None
        self._data = b""
        while True:
            serial, buffers = struct.unpack(">ii", self._read(8))
            if not 0 <= buffers <= _MAX_BUFFERS:
                return  # this is no agent
            call = b"".join(self._buffer() for _ in range(buffers))
            answer = respond(call)
            frame = struct.pack(">iii", serial, 1, len(answer)) + answer
            if deflate is not None:
                frame = deflate.compress(frame) + deflate.flush(zlib.Z_SYNC_FLUSH)
            self.request.sendall(frame)

    def _buffer(self) -> bytes:
        (length,) = struct.unpack(">i", self._read(4))
        if not 0 <= length <= _MAX_BYTES:
            raise ConnectionError("this is no agent")
        return self._read(length)

    def _read(self, length: int) -> bytes:
        while len(self._data) < length:
            data = self.request.recv(1 << 18)
            if not data:
                raise ConnectionError("the agent is gone")
            self._data += data if self._inflate is None else self._inflate.decompress(data)
        found, self._data = self._data[:length], self._data[length:]
        return found


def _responder(take: Callable[[list[Event]], Any]) -> Callable[[bytes], bytes]:
    """Make what answers the calls of one connection; the protocols are exchanged in its first call only."""
    import avro.ipc
    import avro.protocol

    class Responder(avro.ipc.Responder):
        _remote = None

        def process_handshake(self, decoder: Any, encoder: Any) -> Any:
            if self._remote is None:
                self._remote = super().process_handshake(decoder, encoder)  # type: ignore[no-untyped-call]
            return self._remote

        def invoke(self, message: Any, request: Any) -> str:
            events = request["events"] if message.name == "appendBatch" else [request["event"]]
            take([(event["headers"], event["body"]) for event in events])
            return "OK"

    responder = Responder(avro.protocol.parse(json.dumps(_PROTOCOL)))  # type: ignore[no-untyped-call]
    return responder.respond
