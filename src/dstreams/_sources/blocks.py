"""Records on their way from a receiver to a batch: blocks of them, how they are collected, and how many may come."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from dstreams._plan.chunks import dump_in_driver, write_chunk

__all__ = ["Block", "Collector", "RateLimit", "pickled"]

_BLOCK_RECORDS = 2_000
_BLOCK_BYTES = 1 << 20
_SLICE_SECONDS = 1.0
"""A wait for a rate is at most so long before the rate is looked at again."""
_PLAIN = (str, bytes, int, float, bool, type(None))
"""Kinds of records that can always be pickled."""


class Block(NamedTuple):
    """Records as the bytes that are kept, written ahead, and read by a worker; and how many they are."""

    data: bytes
    records: int


def pickled(records: list[Any]) -> list[Block]:
    """Cut a list of records into blocks, each a chunk of a bounded size.

    Raises
    ------
    pickle.PicklingError
        If a record cannot be pickled; it is named, and nothing has been taken.
    """
    if len(records) > _BLOCK_RECORDS:
        pieces = (records[at : at + _BLOCK_RECORDS] for at in range(0, len(records), _BLOCK_RECORDS))
        return [block for piece in pieces for block in pickled(piece)]
    data = write_chunk(records, dump_in_driver)
    if len(data) <= _BLOCK_BYTES or len(records) == 1:
        return [Block(data, len(records))]
    half = len(records) // 2
    return pickled(records[:half]) + pickled(records[half:])


def _copy(record: Any) -> Any:
    """Make what a worker would have of a record, whatever becomes of the record itself."""
    data = write_chunk([record], dump_in_driver)
    try:
        return pickle.loads(data)[0]
    except Exception as error:
        raise pickle.PicklingError(
            f"a record of the stream cannot be made anew from its pickle: {record!r:.200} ({error})"
        ) from error


class Collector:
    """Collects single records for a moment, since each list that is passed on costs a write to the log.

    Parameters
    ----------
    put : callable
        Takes a list of records.
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
        """Take a record.

        Raises
        ------
        pickle.PicklingError
            If it cannot be pickled and read again: told to who stores it, and not when others that came with it are
            passed on.
        """
        if type(record) not in _PLAIN:
            record = _copy(record)
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
                records, self._records = self._records, []
                self._put(records)

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
    seconds : float
        Records of so much time may come at once.

    Attributes
    ----------
    pressed : float, optional
        Rate that the program can follow, where that is measured; the smaller of the two counts.
    """

    def __init__(self, rate: float, seconds: float) -> None:
        self.pressed: float | None = None
        self._rate = rate
        self._seconds = seconds

    @property
    def at_once(self) -> int | None:
        """How many records may be taken before the next wait; None for any number."""
        rate = self._current()
        return None if rate is None else max(1, int(rate * self._seconds))

    def spend(self, records: int, wait: Callable[[float], Any]) -> None:
        """Account for records, and wait until the next may come.

        Parameters
        ----------
        records : int
            How many were taken.
        wait : callable
            Waits so many seconds; true if there is nothing more to wait for.
        """
        left = float(records)
        while left > 0 and (rate := self._current()) is not None:  # which may have changed meanwhile
            if wait(min(left / rate, _SLICE_SECONDS)):
                return
            left -= _SLICE_SECONDS * rate

    def _current(self) -> float | None:
        rates = [rate for rate in (self._rate, self.pressed) if rate]
        return min(rates, default=None)
