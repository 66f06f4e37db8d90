"""The clock of a test: a batch comes when the test says so, and time does not pass by itself."""

from __future__ import annotations

from dstreams._run.clock import Clock, first_batch_time

__all__ = ["ManualClock"]


class ManualClock(Clock):
    """Hands out a batch time when it is granted.

    Parameters
    ----------
    interval_ms : int
        Batch interval in ms.
    now_ms : int
        Time of day at the start, in ms since the epoch.

    Attributes
    ----------
    pending_ms : int, optional
        Time of a batch that an earlier run has left unfinished, in ms; it runs as soon as the program is started.
    """

    def __init__(self, interval_ms: int, now_ms: int) -> None:
        super().__init__(interval_ms, logical=True, paced=False, now=lambda: now_ms / 1000)
        self.pending_ms: int | None = None
        self._granted_ms: int | None = None
        self._waiting = 0

    def resume(self, zero_ms: int, done_ms: int | None, pending_ms: int | None) -> None:
        """Go on from where an earlier run has got to."""
        super().resume(zero_ms, done_ms, pending_ms)
        self.pending_ms = pending_ms

    def due(self) -> int | None:
        """Time of the batch that is due in ms, waiting until one is granted; None when no batch shall follow."""
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.due_ms is not None or self._granted_ms is not None or self.ended)
            self._waiting -= 1
            if self.due_ms is None and not self.ended and self.may_go_on():
                self.due_ms, self._granted_ms = self._granted_ms, None
            return self.due_ms

    @property
    def next_ms(self) -> int:
        """Time of the batch after the last one, in ms."""
        assert self.zero_ms is not None
        return first_batch_time(self.zero_ms if self.last_ms is None else self.last_ms, self.interval_ms)

    def grant(self, time_ms: int) -> None:
        """Let the batch of that time come."""
        with self._changed:
            self._granted_ms = time_ms
            self._changed.notify_all()

    def wait_until_done(self, time_ms: int, timeout: float) -> bool:
        """Wait until the batch of that time has been committed, or no more follow; False if time ran out.

        Parameters
        ----------
        time_ms : int
            Batch time in ms.
        timeout : float
            Seconds.
        """
        with self._changed:
            # Spark asks for the next time when it has committed the batch.
            return self._changed.wait_for(
                lambda: ((self.last_ms or 0) >= time_ms and self._waiting > 0) or (self.ended and self.due_ms is None),
                timeout,
            )
