"""Saying that a program waits for something outside of it, which would else be silence."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dstreams._sources.source import Source

__all__ = ["Waiting"]

log = logging.getLogger("dstreams")

_PATIENCE_SECONDS = 5.0
"""How long a query may wait before it is worth a line."""


class Waiting:
    """Watches the status of a query.

    Parameters
    ----------
    sources : sequence of Source
        What it may wait for.
    now : callable
        Gives the time in seconds.
    """

    def __init__(self, sources: Sequence[Source], now: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._now = now
        self._since: float | None = None
        self._said: str | None = None

    def observe(self, status: str) -> None:
        """Note the status of the query, as Spark words it."""
        found = (source.waits(status) for source in self._sources)
        text = next((text for text in found if text is not None), None)
        if text is None:
            if self._said is not None:
                log.info("%s: goes on", self._said.partition(": ")[0])
            self._since = self._said = None
        elif self._since is None:
            self._since = self._now()
        elif self._said is None and self._now() - self._since >= _PATIENCE_SECONDS:
            self._said = text
            log.warning("%s", text)
