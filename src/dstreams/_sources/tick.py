"""The tick: the source that makes every batch happen, data or not, and whose offset is the batch time.

Structured Streaming runs no batch without new data; DStreams run one every interval. The tick asks the clock for the
next batch time; since that is its offset, it is in the query's offset log, and a batch that is run again has the same
time.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING

from dstreams._spark.rdd import Cut
from dstreams._spark.source import Offset, Reader

if TYPE_CHECKING:
    from dstreams._run.clock import Clock

__all__ = ["TickReader"]


class TickReader(Reader):
    """Offsets are ``{"time": batch time in ms, "zero": start of the first interval in ms}``.

    Each batch has one row, a chunk with the fields of its :class:`~dstreams._plan.batch_time.BatchTime`.

    Parameters
    ----------
    clock : Clock
        Hands out batch times.
    opened : callable
        Called on the query's thread when all sources are there, before one of them is asked.
    begin : callable
        Called there when a batch begins, before anything of it is computed.
    """

    name = "dstreams-tick"

    def __init__(self, clock: Clock, opened: Callable[[], None], begin: Callable[[], None]) -> None:
        self._clock = clock
        self._opened = opened
        self._begin = begin

    def ready(self) -> None:
        """Wait for the first batch time, so that no source is asked before it has come."""
        self._opened()
        self._clock.wait_for_first()

    def latest(self, previous: Offset | None) -> Offset | None:
        """Time of the batch that is due; the same again when none follows."""
        due = self._clock.due_from()
        if due is None:
            return previous
        zero_ms, time_ms = due
        return {"time": time_ms, "zero": (previous or {}).get("zero") or zero_ms}

    def batch(self, start: Offset | None, end: Offset) -> Cut:
        """Row of a batch; what it says follows from the offsets, also when the batch is run again."""
        self._begin()
        before = (start or {}).get("time") or end["zero"]
        return Cut([pickle.dumps((end["zero"], before, end["time"]))], 1)
