"""A TCP server for tests: each client gets what the test sends."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Feed:
    """Listens on a port of 127.0.0.1; a context manager.

    Parameters
    ----------
    port : int
        0 takes a free one.
    """

    def __init__(self, port: int = 0) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self.host, self.port = self._server.getsockname()
        self._clients: list[socket.socket] = []
        self._changed = threading.Condition()
        self._accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with self._changed:
                self._clients.append(client)
                self._accepted += 1
                self._changed.notify_all()

    def wait_for_client(self, number: int = 1, timeout: float = 90) -> None:
        """Wait until so many clients have connected altogether."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._accepted >= number, timeout), "nobody connected"

    def send(self, data: bytes) -> None:
        """Send to the client that connected last."""
        with self._changed:
            self._clients[-1].sendall(data)

    def drop(self) -> None:
        """Close the connection of the client that connected last."""
        with self._changed:
            client = self._clients.pop()
        client.shutdown(socket.SHUT_RDWR)
        client.close()

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections, and take no more."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # wakes accept(), which would hold the port open
        self._server.close()
        with self._changed:
            for client in self._clients:
                client.close()
