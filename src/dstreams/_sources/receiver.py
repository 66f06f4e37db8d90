"""Receivers: readers that listen all the time, in the source's planner process, and hand over what came.

A receiver takes no executor core, so that any number of them runs on ``local[1]``. What it has received and no
batch has processed yet waits in the planner's memory; when too much waits, the receiver reads no more, which
holds the sender back (TCP does that) instead of growing.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from dstreams._plan.chunks import write_chunk
from dstreams._sources.link import Remote
from dstreams._sources.parts import ChunkPartition, ChunkReader

__all__ = ["ReceiverReader"]

RESTART_DELAY = 2.0
"""Seconds between two attempts, the old engine's ``spark.streaming.receiverRestartDelay``."""
MAX_WAITING = 5_000_000
"""Records that may wait for a batch before the receiver stops reading."""
PARTITION_RECORDS = 2_000
"""A batch of no more records than this is one partition; a larger one is cut for all cores."""
BLOCK_RECORDS = 10_000


class ReceiverReader(ChunkReader):
    """Base of the receivers.

    Parameters
    ----------
    status : Remote
        Object of the driver that logs what the receiver says of itself.
    parallelism : int
        Number of partitions of a large batch.
    """

    def __init__(self, status: Remote, parallelism: int) -> None:
        self._status = status
        self._parallelism = parallelism

    @abstractmethod
    def receive(self) -> Iterator[list[Any]]:
        """Connect, and yield lists of records as they come; return or raise when the connection ends."""

    @abstractmethod
    def interrupt(self) -> None:
        """Make a running :meth:`receive` end soon."""

    def open(self) -> None:
        """Start the receiving thread."""
        self._records: list[Any] = []
        self._base = 0
        self._room = threading.Condition()
        self._stopped = threading.Event()
        self._said = ""
        threading.Thread(target=self._run, name="dstreams-receiver", daemon=True).start()

    def available(self, start: int | None) -> int:
        """Count of records received so far."""
        with self._room:
            return self._base + len(self._records)

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[ChunkPartition]:
        """Cut what was received between two offsets into partitions; nothing received, no partition."""
        with self._room:
            records = self._records[max(0, start["n"] - self._base) : end["n"] - self._base]
        if not records:
            return []
        self._tell("took", len(records))
        n = 1 if len(records) <= PARTITION_RECORDS else self._parallelism
        bounds = [i * len(records) // n for i in range(n + 1)]
        return [
            ChunkPartition(
                [write_chunk(records[i : min(i + BLOCK_RECORDS, high)]) for i in range(low, high, BLOCK_RECORDS)]
            )
            for low, high in pairwise(bounds)
        ]

    def commit(self, end: dict[str, Any]) -> None:
        """Forget what has been processed."""
        with self._room:
            done = end["n"] - self._base
            if done > 0:
                del self._records[:done]
                self._base = end["n"]
                self._room.notify_all()

    def stop(self) -> None:
        """End the receiver; called when the query has ended."""
        if stopped := getattr(self, "_stopped", None):
            stopped.set()
            self.interrupt()

    def say(self, event: str, text: str) -> None:
        """Tell the driver what happened, once as long as it stays the same."""
        if text != self._said:
            self._said = text
            self._tell("receiver", event, text)

    def _tell(self, method: str, *args: Any) -> None:
        try:
            self._status.call(method, *args)
        except (OSError, EOFError):  # the driver has closed the link: the query has ended
            self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                for records in self.receive():
                    with self._room:
                        self._records.extend(records)
                        while len(self._records) > MAX_WAITING and not self._stopped.is_set():
                            self.say(
                                "waiting",
                                f"{MAX_WAITING} records wait for a batch, reading no more until then",
                            )
                            self._room.wait(1)
            except Exception as error:
                if not self._stopped.is_set():
                    self.say("error", f"{error}; trying again every {RESTART_DELAY:g} s")
            self._stopped.wait(RESTART_DELAY)
