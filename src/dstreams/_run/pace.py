"""Whether batches keep up with their interval, told when that changes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dstreams._run.progress import BatchInfo

__all__ = ["Pace"]

_LATER_EACH_TIME = 3
"""So many batches one after the other are each later than the one before: a slow first one catches up by itself."""


class Pace:
    """Says once that batches fall behind, again when they are twice as late, and that they have caught up.

    Parameters
    ----------
    interval_ms : int
        Batch interval in ms.
    """

    def __init__(self, interval_ms: int) -> None:
        self._interval_ms = interval_ms
        self._late_ms = 0
        self._growing = 0
        self._told_ms = 0

    def look(self, info: BatchInfo, waiting: int) -> str | None:
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
        late_ms = info.schedulingDelay()
        self._growing = self._growing + 1 if late_ms > self._late_ms else 0
        self._late_ms = late_ms
        if self._told_ms and late_ms < self._interval_ms:
            self._told_ms = 0
            return f"batches have caught up: that of {_time(info)} began {late_ms} ms after its time"
        falls = self._growing >= _LATER_EACH_TIME and late_ms >= self._interval_ms
        if not falls or late_ms < 2 * self._told_ms:
            return None
        self._told_ms = late_ms
        return self._behind(info, waiting)

    def _behind(self, info: BatchInfo, waiting: int) -> str:
        records = f" with {info.numRecords():,} records" if info.numRecords() else ""
        text = (
            f"batches fall behind: that of {_time(info)} began {self._late_ms / 1000:.1f} s late and took "
            f"{info.processingDelay() / 1000:.1f} s{records}, and one is due every {self._interval_ms / 1000:g} s"
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
