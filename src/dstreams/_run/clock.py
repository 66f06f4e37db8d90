"""Batch times.

Two clocks. On the *real* clock a batch comes at every multiple of the interval since the epoch; one that comes
late takes the data of the intervals it missed. On the *logical* clock, for programs whose inputs are all queues,
batch times are contiguous whatever the machine's speed, one queue element each; it may drop the pacing and then
runs as fast as the machine can.

The clock lives in the driver. It knows nothing of Spark: the tick source asks it for the time of the next batch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dstreams._plan.batch_time import BatchTime

__all__ = ["Clock", "first_batch_time", "next_batch_time"]


def first_batch_time(now_ms: int, interval_ms: int) -> int:
    """Return the first batch time: the smallest multiple of the interval strictly after now (as the old engine)."""
    return (now_ms // interval_ms + 1) * interval_ms


def next_batch_time(last_ms: int, now_ms: int, interval_ms: int) -> int:
    """Return the next batch time on the real clock: the boundary last crossed, and always after `last_ms`."""
    return max(now_ms // interval_ms * interval_ms, first_batch_time(last_ms, interval_ms))


class Clock:
    """Hands out batch times, and ends a run.

    Parameters
    ----------
    interval_ms : int
        Batch interval in ms.
    logical : bool
        Contiguous batch times.
    paced : bool
        Wait until a batch time has come before handing it out; only the logical clock can do without.
    now : callable
        Seconds since the epoch.

    Attributes
    ----------
    may_go_on : callable
        Asked before a time is handed out; False ends the run.
    """

    def __init__(
        self, interval_ms: int, logical: bool, paced: bool = True, now: Callable[[], float] = time.time
    ) -> None:
        self.interval_ms = interval_ms
        self.logical = logical
        self.paced = paced or not logical
        self.last_ms: int | None = None
        self.due_ms: int | None = None
        self.zero_ms: int | None = None
        self.may_go_on: Callable[[], bool] = lambda: True
        self._now = now
        self._behind_ms = 0
        self._begun_ms: int | None = None
        self._end_ms: int | None = None
        self._closed = False
        self._changed = threading.Condition()

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int(self._now() * 1000)

    def resume(self, zero_ms: int, done_ms: int | None, pending_ms: int | None) -> None:
        """Go on from where an earlier run has got to.

        On the real clock the time of the downtime has passed: the next batch takes all that has come meanwhile. On
        the logical clock it has not: batch times go on contiguously, an interval apart, behind the time of day.

        Parameters
        ----------
        zero_ms : int
            Start of the first batch's interval, in ms.
        done_ms : int, optional
            Time of the last batch that is done, in ms.
        pending_ms : int, optional
            Time of the batch that has to be run again, in ms.
        """
        with self._changed:
            self.zero_ms, self.last_ms, self.due_ms = zero_ms, done_ms, pending_ms
            if self.logical:
                self._behind_ms = max(0, self.now_ms() - (pending_ms or done_ms or zero_ms))

    def start(self) -> None:
        """Settle the first batch time; as on the old engine, it counts from the call of ``start()``."""
        with self._changed:
            if self.zero_ms is None:
                self.zero_ms = first_batch_time(self.now_ms(), self.interval_ms) - self.interval_ms

    def wait_for_first(self) -> None:
        """Return when the first batch time has come, if the clock runs; the first trigger follows at once."""
        with self._changed:
            if self.zero_ms is not None and self.last_ms is None and self.due_ms is None:
                self._wait_until(self.zero_ms + self.interval_ms)

    def due(self) -> int | None:
        """Time of the batch that is due in ms, waiting for it if need be; None when no batch shall follow.

        All sources of a trigger get the same answer: once handed out, a time stays due until its batch is
        completed, so that no source goes ahead without the others when the run is ended in between.
        """
        with self._changed:
            assert self.zero_ms is not None
            if self.due_ms is None:
                last = self.zero_ms if self.last_ms is None else self.last_ms
                if self.logical:
                    time_ms = first_batch_time(last, self.interval_ms)
                else:
                    time_ms = next_batch_time(last, self.now_ms(), self.interval_ms)
                self._wait_until(time_ms)
                # Another source's call may have been answered while this one waited.
                if self.due_ms is None and not self.ended and self.may_go_on():
                    self.due_ms, self._begun_ms = time_ms, self.now_ms()
            return self.due_ms

    def due_from(self) -> tuple[int, int] | None:
        """Zero time and the time of the batch that is due, as :meth:`due` tells it."""
        time_ms = self.due()
        return None if time_ms is None or self.zero_ms is None else (self.zero_ms, time_ms)

    def batch_time(self) -> BatchTime | None:
        """Return the batch that is due, without waiting for one."""
        with self._changed:
            if self.due_ms is None or self.zero_ms is None:
                return None
            before = self.zero_ms if self.last_ms is None else self.last_ms
            return BatchTime(self.zero_ms, before, self.due_ms)

    def begun(self) -> tuple[int, int] | None:
        """Time of day in ms at which the batch that is due could have begun, and at which it has.

        The first is its batch time, or later where there is no pace to keep; between the two it has waited for the
        batch before it. None for a batch that was begun by an earlier run.
        """
        with self._changed:
            if self.due_ms is None or self._begun_ms is None:
                return None
            due_ms = self.due_ms + self._behind_ms if self.paced else self._begun_ms
            return min(due_ms, self._begun_ms), self._begun_ms

    def complete(self) -> None:
        """Note that the batch that was due has run."""
        with self._changed:
            self.last_ms, self.due_ms, self._begun_ms = self.due_ms, None, None
            self._changed.notify_all()

    def finish(self) -> None:
        """Let the batch of the interval that runs now be the last one (graceful stop); asked again, nothing changes."""
        with self._changed:
            if self._end_ms is not None:
                return
            latest = max(self.last_ms or 0, self.due_ms or 0)
            now_ms = self.now_ms() - self._behind_ms
            self._end_ms = first_batch_time(now_ms, self.interval_ms) if self.paced else latest
            self._changed.notify_all()

    def close(self) -> None:
        """Hand out no more times (immediate stop); wakes whoever waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Close the clock when the query has ended, whether or not a batch was due."""
        with self._changed:
            self._closed = True
            self.due_ms = None
            self._changed.notify_all()

    def wait_for_end(self, timeout: float | None) -> bool:
        """Wait until the last batch is completed, at most `timeout` seconds; False if time ran out."""
        with self._changed:
            return self._changed.wait_for(lambda: self.due_ms is None and self.ended, timeout)

    @property
    def ended(self) -> bool:
        """True when no further time is handed out."""
        return self._closed or (self._end_ms is not None and (self.last_ms or 0) >= self._end_ms)

    def _wait_until(self, time_ms: int) -> None:
        while self.paced and not self._closed and (missing := time_ms + self._behind_ms - self.now_ms()) > 0:
            self._changed.wait(missing / 1000)
