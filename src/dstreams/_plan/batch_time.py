"""The time of a batch, and which slides are due in it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BatchTime"]


@dataclass(frozen=True)
class BatchTime:
    """When a batch is, in ms since the epoch.

    Attributes
    ----------
    zero_ms : int
        Start of the first batch's interval; slides are counted from here.
    before_ms : int
        Time of the batch before this one, `zero_ms` for the first.
    now_ms : int
        Time of the batch: the end of its interval.
    absent : tuple of int
        Numbers of the steps whose parent has no RDD in this batch.
    """

    zero_ms: int
    before_ms: int
    now_ms: int
    absent: tuple[int, ...] = ()

    def due(self, slide_ms: int) -> bool:
        """Whether a stream with this slide interval has an RDD in this batch.

        That is the case when a multiple of the slide, counted from zero, was crossed since the batch before; a late
        batch thus does not lose a slide (the old engine, which runs every interval, asks for the exact multiple).
        """
        return self._crossed(self.now_ms, slide_ms) > self._crossed(self.before_ms, slide_ms)

    def window(self, window_ms: int, slide_ms: int) -> tuple[int, int]:
        """Times after which, and until which, a batch is in the window that is due in this one.

        The window ends with the last multiple of the slide that was crossed. In a late batch that lies before its own
        time, and what it took is in the next window. Of slides that were jumped over it has what they would have had,
        so that windows which follow each other without a gap have each batch once.

        Parameters
        ----------
        window_ms, slide_ms : int
            Lengths in ms.
        """
        end, last = self._crossed(self.now_ms, slide_ms), self._crossed(self.before_ms, slide_ms)
        return (end - window_ms if window_ms < slide_ms else min(end - window_ms, last)), end

    def expired(self, window_ms: int, slide_ms: int) -> int:
        """Time until which a batch is in no later window, where none is due in this one."""
        return self._crossed(self.before_ms, slide_ms) + slide_ms - window_ms

    def _crossed(self, time_ms: int, slide_ms: int) -> int:
        """The last multiple of a slide, counted from zero, that is not after a time."""
        return time_ms - (time_ms - self.zero_ms) % slide_ms
