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
        return (self.now_ms - self.zero_ms) // slide_ms > (self.before_ms - self.zero_ms) // slide_ms
