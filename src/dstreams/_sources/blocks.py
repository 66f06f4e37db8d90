"""Records that come one by one, collected to blocks; and how many of them may come in a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Blocks", "RateLimit"]

_BLOCK_RECORDS = 10_000
"""A block is passed on when it has so many records, whatever the time."""


class Blocks:
    """Collects records for a moment, since each block that is passed on costs a write to the log.

    Parameters
    ----------
    put : callable
        Takes a block.
    seconds : float
        How long records are collected.
    """

    def __init__(self, put: Callable[[list[Any]], bool], seconds: float) -> None:
        self._put = put
        self._seconds = seconds
        self._lock = threading.Lock()
        self._records: list[Any] = []
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, record: Any) -> None:
        """Take a record."""
        with self._lock:
            self._records.append(record)
            full = len(self._records) >= _BLOCK_RECORDS
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dstreams-blocks", daemon=True)
                self._thread.start()
        if full:
            self.flush()

    def flush(self) -> None:
        """Pass on what has been collected."""
        with self._lock:
            if self._records:
                block, self._records = self._records, []
                self._put(block)

    def close(self) -> None:
        """Pass on the last records, and end."""
        self._closed.set()
        self.flush()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds):
            self.flush()


class RateLimit:
    """Holds up who takes more records than a rate allows.

    Parameters
    ----------
    rate : float
        Records per second; 0 for no limit.
    now : callable
        Gives the time in seconds.
    """

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._now = now
        self._free = 0.0

    def spend(self, records: int, wait: Callable[[float], Any]) -> None:
        """Account for records, and wait until the next may come.

        Parameters
        ----------
        records : int
            How many were taken.
        wait : callable
            Waits so many seconds.
        """
        if self._rate <= 0:
            return
        now = self._now()
        self._free = max(now, self._free) + records / self._rate
        wait(self._free - now)
