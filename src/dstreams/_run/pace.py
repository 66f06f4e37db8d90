"""Whether batches take longer than their interval, told when that changes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dstreams._run.progress import BatchInfo

__all__ = ["Pace"]

_IN_A_ROW = 3
"""So many batches make a change: a slow one alone, such as the first, is nothing to tell."""


class Pace:
    """Says once that batches fall behind, again when they take twice as long, and that they have caught up.

    Parameters
    ----------
    interval_ms : int
        Batch interval in ms.
    """

    def __init__(self, interval_ms: int) -> None:
        self._interval_ms = interval_ms
        self._long = self._short = 0
        self._told_ms = 0

    def observe(self, info: BatchInfo, waiting: int) -> str | None:
        """Look at a batch that is done.

        Parameters
        ----------
        info : BatchInfo
            What is known of it.
        waiting : int
            Records that receivers have taken and no batch has yet.

        Returns
        -------
        str or None
            What there is to say.
        """
        took_ms = info.processingDelay()
        long = took_ms > self._interval_ms
        self._long, self._short = (self._long + 1, 0) if long else (0, self._short + 1)
        if self._told_ms and self._short >= _IN_A_ROW:
            self._told_ms = 0
            return f"batches have caught up: that of {_time(info)} took {took_ms} ms"
        if self._long < _IN_A_ROW or took_ms < 2 * self._told_ms:
            return None
        self._told_ms = took_ms
        return self._behind(info, waiting)

    def _behind(self, info: BatchInfo, waiting: int) -> str:
        records = f" with {info.numRecords():,} records" if info.numRecords() else ""
        text = (
            f"batches fall behind: that of {_time(info)} took {info.processingDelay() / 1000:.1f} s{records}, and one "
            f"is due every {self._interval_ms / 1000:g} s; the next one takes what has come meanwhile"
        )
        if waiting:
            text += f"; {waiting:,} records wait"
        outputs = info.outputOperationInfos().values()
        if outputs:
            slowest = max(outputs, key=lambda output: int(output.endTime() - output.startTime()))
            text += f"; the slowest output is {slowest.description()}, "
            text += f"{(slowest.endTime() - slowest.startTime()) / 1000:.1f} s"
        return text


def _time(info: BatchInfo) -> str:
    return f"{datetime.fromtimestamp(info.batchTime().milliseconds() / 1000):%H:%M:%S}"
