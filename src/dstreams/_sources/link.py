"""The way from a source's reader back to the driver.

Spark runs the reader of a Python data source in a process of its own, the source's planner, on the driver's
machine. What only the driver can do or know (the clock, the elements of a queue, the log) is an object in the
driver's process that the reader calls through a :class:`Remote`: a connection on the loopback interface that
both ends authenticate with a random key.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

__all__ = ["CLOCK", "Link", "Remote"]

CLOCK = "clock"
"""Name under which the driver serves the clock."""
_THREAD = "dstreams-link"


class Remote:
    """Handle on an object of the driver; picklable, connects when first used.

    Parameters
    ----------
    address : tuple of str and int
        Where the driver listens.
    key : bytes
        Shared secret.
    name : str
        Name under which the driver serves the object.
    """

    def __init__(self, address: tuple[str, int], key: bytes, name: str) -> None:
        self._address = address
        self._key = key
        self._name = name
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"_address": self._address, "_key": self._key, "_name": self._name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_address"], state["_key"], state["_name"])  # type: ignore[misc]

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of the object in the driver and return its result.

        Raises
        ------
        RuntimeError
            If the method raised in the driver.
        EOFError, OSError
            If the driver has closed the link.
        """
        with self._lock:
            if self._connection is None:
                self._connection = Client(self._address, authkey=self._key)
            self._connection.send((self._name, method, args))
            failure, result = self._connection.recv()
        if failure:
            raise RuntimeError(failure)
        return result

    def call_or(self, gone: Any, method: str, *args: Any) -> Any:
        """Call a method of the object in the driver; return `gone` if the driver has ended or closed the link."""
        try:
            return self.call(method, *args)
        except (OSError, EOFError):
            return gone


class Link:
    """Serves objects of the driver to the readers of one query."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._listener = Listener(("127.0.0.1", 0), authkey=self._key)
        self._objects: dict[str, Any] = {}
        self._open = True
        self._lock = threading.Lock()
        self._closed_claims = 0
        self.when_all_open: Callable[[], None] = lambda: None
        threading.Thread(target=self._accept, name=_THREAD, daemon=True).start()

    def serve(self, name: str, target: Any) -> Remote:
        """Make the methods of `target` callable under `name`."""
        self._objects[name] = target
        return self.remote(name)

    def remote(self, name: str) -> Remote:
        """Handle on an object that is served already."""
        return Remote(self._address(), self._key, name)

    def claim(self, name: str) -> Remote:
        """Let only the first of several processes that make a reader open it.

        ``call("take")`` is True once; ``call("opened")`` follows when the reader is open. The call that comes
        last of all claims runs :attr:`when_all_open` before it returns.
        """
        with self._lock:
            self._closed_claims += 1
        return self.serve(f"claim of {name}", _Claim(self))

    def _opened(self) -> None:
        with self._lock:
            self._closed_claims -= 1
            last = self._closed_claims == 0
        if last:
            self.when_all_open()

    def close(self) -> None:
        """Accept no more connections; those that are open end with their readers."""
        with self._lock:
            was_open, self._open = self._open, False
        if was_open:
            with suppress(OSError, EOFError, AuthenticationError):
                # Closing a socket does not wake who waits in accept(): knock.
                Client(self._address(), authkey=self._key).close()
            self._listener.close()

    def _address(self) -> tuple[str, int]:
        address = self._listener.address
        assert isinstance(address, tuple)
        return str(address[0]), int(address[1])

    def _accept(self) -> None:
        while self._open:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError, AuthenticationError):  # a stranger, who does not have the key
                continue
            if not self._open:
                connection.close()
                return
            threading.Thread(target=self._answer, args=(connection,), name=_THREAD, daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection:
            while True:
                try:
                    name, method, args = connection.recv()
                except (EOFError, OSError):
                    return
                try:
                    reply: tuple[str | None, Any] = (None, getattr(self._objects[name], method)(*args))
                except Exception as error:
                    reply = (f"{type(error).__name__}: {error}", None)
                try:
                    connection.send(reply)
                except OSError:
                    return


class _Claim:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._taken = threading.Lock()

    def take(self) -> bool:
        """Return True to the first caller."""
        return self._taken.acquire(blocking=False)

    def opened(self) -> None:
        """Note that the reader is open."""
        self._link._opened()
