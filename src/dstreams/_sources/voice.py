"""What a reader says of itself, for the log and the listeners of the driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dstreams._sources.link import Remote

__all__ = ["Voice"]


class Voice:
    """Tells the driver what happened.

    Parameters
    ----------
    status : Remote
        Object of the driver that takes it.
    gone : callable
        Called when the driver does not listen any more: the query has ended.
    """

    def __init__(self, status: Remote, gone: Callable[[], None]) -> None:
        self._status = status
        self._gone = gone
        self._said = ""

    def say(self, event: str, text: str) -> None:
        """Tell what happened, once as long as it stays the same."""
        if text != self._said:
            self._said = text
            self.tell("receiver", event, text)

    def tell(self, method: str, *args: Any) -> None:
        """Call a method of the object in the driver."""
        try:
            self._status.call(method, *args)
        except (OSError, EOFError):
            self._gone()
