"""Receivers: threads of the driver that listen all the time; a batch takes what has come.

A receiver takes no executor core, so that any number of them runs on ``local[1]``. What it has received and no batch
has processed yet waits in the driver's memory, as the bytes that go into the plan; when too much waits, the receiver
reads no more, which holds the sender back (TCP does that) instead of growing.

With a checkpoint directory a block of records is in the write-ahead log before it waits in memory. Offsets count
records since the program's very first start, so the log and the query's offset log agree on what a batch has taken:
the next process goes on with exactly the rest.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dstreams._sources.blocks import Block, Collector, RateLimit, pickled
from dstreams._sources.source import DriverSource
from dstreams._sources.start import Start, count
from dstreams._sources.write_ahead import WriteAheadLog
from dstreams._spark.rdd import Cut
from dstreams._spark.source import Offset, Reader
from dstreams.errors import CheckpointError

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["ReceiverReader", "ReceiverSource", "Settings", "cut"]

MAX_WAITING = 5_000_000
"""Records that may wait for a batch before the receiver stops reading; or so many of them as have MAX_WAITING_BYTES."""
MAX_WAITING_BYTES = 256 << 20
PARTITION_RECORDS = 2_000
"""A batch of no more records than this is one partition; a larger one is cut for all cores."""
PARTITION_BYTES = 16 << 20
"""A partition travels inside its task, and Spark sends no task of more than spark.rpc.message.maxSize (128 MiB)."""
_BLOCK_OVERHEAD = 120
"""Bytes that a block takes beside its data, which is much where each has one record."""
STOP_SECONDS = 2.0
"""How long a receiver that is stopped may take to write down what it has just read."""


@dataclass(frozen=True)
class Settings:
    """What Spark's settings say of receivers.

    Attributes
    ----------
    restart_seconds : float
        Time between two attempts, ``spark.streaming.receiverRestartDelay``.
    block_seconds : float
        How long records that come one by one are collected, ``spark.streaming.blockInterval``.
    max_rate : float
        Records per second that a receiver takes, ``spark.streaming.receiver.maxRate``; 0 for as many as come.
    parallelism : int
        Number of partitions of a large batch.
    """

    restart_seconds: float = 2.0
    block_seconds: float = 0.2
    max_rate: float = 0
    parallelism: int = 1


def cut(chunks: list[bytes], records: int, parallelism: int) -> Cut | None:
    """Cut what was received for a batch into partitions; nothing received, no partition."""
    if not chunks:
        return None
    partitions = 1 if records <= PARTITION_RECORDS else min(parallelism, len(chunks))
    largest = max(map(len, chunks))
    most = PARTITION_BYTES
    if largest > most:  # it may have others beside it, as long as a task has room for them
        most = max(largest, min(largest + PARTITION_BYTES, 4 * PARTITION_BYTES))
    while partitions < len(chunks) and any(size > most for size in _sizes(chunks, partitions)):
        partitions = min(2 * partitions, len(chunks))
    return Cut(chunks, partitions)


def _sizes(chunks: list[bytes], partitions: int) -> Iterator[int]:
    """Bytes of each partition, cut as Spark does it."""
    bounds = [i * len(chunks) // partitions for i in range(partitions + 1)]
    for low, high in pairwise(bounds):
        yield sum(map(len, chunks[low:high]))


class ReceiverReader(Reader):
    """Base of the receivers.

    Parameters
    ----------
    name : str
        Name of the stream with what it reads, for messages and plans.
    start : Start
        From where it goes on.
    settings : Settings
        Its settings.
    """

    def __init__(self, name: str, start: Start, settings: Settings) -> None:
        self.name = name
        self.records = 0
        self._log = start.log
        self._resume = count(start.position)
        self._committed = count(start.committed)
        self._report = start.report
        self._settings = settings
        self._said = ""
        self._blocks: deque[Block] = deque()
        self._base = self._resume
        self._cut = self._resume
        self._waiting = 0
        self._waiting_bytes = 0
        self._room = threading.Condition()
        self._putting = threading.Lock()
        self.limit = RateLimit(settings.max_rate, settings.block_seconds)
        self.collector = Collector(self.put, settings.block_seconds)
        self._stopped = threading.Event()
        self._ahead: WriteAheadLog | None = None
        self._thread: threading.Thread | None = None

    @abstractmethod
    def receive(self) -> None:
        """Connect, and put records as they come; return or raise when the connection ends."""

    @abstractmethod
    def interrupt(self) -> None:
        """Make a running :meth:`receive` end soon."""

    def merge(self, blocks: list[bytes], partitions: int) -> list[bytes]:
        """Chunks for a batch, at least so many if there are: where bytes can simply be joined and cut, of one size."""
        return blocks

    # ------------------------------------------------------------------ what Spark asks

    def open(self) -> None:
        """Take over what the log has, and start the receiving thread.

        Raises
        ------
        CheckpointError
            If the log is damaged, or lacks records that the program has not processed.
        """
        if self._log is not None:
            self._ahead = WriteAheadLog(self._log())
            try:
                self._recover(self._ahead)
            except Exception as error:
                raise CheckpointError(f"{self.name}: {error}") from error
        self._thread = threading.Thread(target=self._run, name="dstreams-receiver", daemon=True)
        self._thread.start()

    def _recover(self, ahead: WriteAheadLog) -> None:
        self._base, blocks = ahead.recover(self._committed)
        for block in blocks:
            self._keep(block)
        late = self._base > self._committed
        lacking = range(self._committed, self._base) if late else range(ahead.end, self._resume)
        if lacking:
            which = "of the batch that has to be run again" if lacking.start < self._resume else "that come next"
            raise RuntimeError(
                f"its write-ahead log in {ahead.folder} lacks the records {lacking.start} to {lacking.stop - 1} "
                f"{which}; they were deleted, or lost with the machine. Restore the checkpoint directory from a copy, "
                "or begin with a new one."
            )

    def latest(self, previous: Offset | None) -> Offset:
        """Count of records received so far, which are safe in the log if there is one."""
        with self._room:
            received = self._base + self._waiting
        if self._ahead is not None:
            try:
                self._ahead.roll()
            except OSError as error:
                self.say("error", f"cannot complete a file of the write-ahead log ({error}); trying again")
            received = min(received, self._ahead.safe)
        return {"n": received}

    def batch(self, start: Offset | None, end: Offset) -> Cut | None:
        """What was received between two offsets, in partitions."""
        first, last = count(start), count(end)
        found: list[bytes] = []
        with self._room:
            at = self._base
            for block in self._blocks:
                if at >= last:
                    break
                if at >= first:
                    found.append(block.data)
                at += block.records
        self.records = last - first
        self._cut = last
        parallelism = 1 if self.records <= PARTITION_RECORDS else self._settings.parallelism
        return cut(self.merge(found, parallelism), self.records, parallelism)

    @property
    def left(self) -> int:
        """Records that have been received and are in no batch yet."""
        with self._room:
            return max(self._base + self._waiting - self._cut, 0)

    def commit(self, end: Offset) -> None:
        """Forget what has been processed."""
        with self._room:
            while self._blocks and self._base < end["n"]:
                block = self._blocks.popleft()
                self._base += block.records
                self._waiting -= block.records
                self._waiting_bytes -= len(block.data) + _BLOCK_OVERHEAD
            self._room.notify_all()
        if self._ahead is not None:
            try:
                self._ahead.forget(end["n"])
            except OSError as error:
                self.say("error", f"cannot delete a file of the write-ahead log ({error}); trying again")

    def stop(self) -> None:
        """End the receiver; what it has just read is still written down."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        with self._room:
            self._room.notify_all()
        if self._thread is not None:
            self.interrupt()
            self._thread.join(STOP_SECONDS)
        self.collector.close()
        if self._ahead is not None:
            with suppress(OSError):
                self._ahead.close()

    # ------------------------------------------------------------------ what a receiver does

    def say(self, event: str, text: str) -> None:
        """Report what happened, once as long as it stays the same."""
        if text != self._said:
            self._said = text
            self._report(event, text)

    def put(self, records: list[Any]) -> bool:
        """Take records: they are in the log, if there is one, when this returns. Any thread may call it.

        It waits while too much waits for a batch, and as long as the rate demands.

        Returns
        -------
        bool
            False if the receiver was stopped before they could be taken.

        Raises
        ------
        pickle.PicklingError
            If a record cannot be pickled; it is named, and none has been taken.
        """
        each = self.limit.at_once
        if each is None or len(records) <= each:
            return self.put_blocks([pickled(records)])
        pieces = (records[at : at + each] for at in range(0, len(records), each))
        return self.put_blocks([pickled(piece) for piece in pieces])

    def put_blocks(self, groups: Iterable[list[Block]]) -> bool:
        """Take groups of blocks, as :meth:`put` does; those of one are in the log, and in a batch, all or none."""
        with self._putting:  # so that they are in the same order in the log
            for group in groups:
                if not self._write_ahead(group):
                    return False
                with self._room:
                    for block in group:
                        self._keep(block)
                    while (
                        self._waiting > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES
                    ) and not self._stopped.is_set():
                        self.say("waiting", f"{_too_much()} wait for a batch, reading no more until then")
                        self._room.wait(1)
                self.limit.spend(sum(block.records for block in group), self._stopped.wait)
        return True

    def _keep(self, block: Block) -> None:
        self._blocks.append(block)
        self._waiting += block.records
        self._waiting_bytes += len(block.data) + _BLOCK_OVERHEAD

    def _write_ahead(self, group: list[Block]) -> bool:
        """Write blocks down, however long that takes; False if the receiver was stopped before it was possible."""
        if self._ahead is None:
            return not self._stopped.is_set()
        failed = False
        while True:
            try:
                self._ahead.append(group)
                break
            except OSError as error:
                if self._ahead.closed:  # since the receiver was stopped
                    return False
                failed = True
                self.say(
                    "error",
                    f"cannot write to the write-ahead log ({error}); reading no more, trying again every "
                    f"{self._settings.restart_seconds:g} s",
                )
            if self._stopped.wait(self._settings.restart_seconds):
                lost = sum(block.records for block in group)
                self.say("error", f"{lost} records could not be written to the write-ahead log and are lost")
                return False
        if failed:
            self.say("resumed", "the write-ahead log can be written again, nothing was lost")
        return True

    def _run(self) -> None:
        delay = self._settings.restart_seconds
        while not self._stopped.is_set():
            try:
                self.receive()
            except Exception as error:
                if not self._stopped.is_set():
                    self.say("error", f"{error}; trying again every {delay:g} s")
            self._stopped.wait(delay)


def _too_much() -> str:
    return f"{MAX_WAITING} records, or {MAX_WAITING_BYTES >> 20} MiB,"


class ReceiverSource(DriverSource):
    """A source that is a receiver.

    Parameters
    ----------
    settings : Settings
        Its settings.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def reader(self, start: Start, sc: SparkContext) -> ReceiverReader:
        """Make the receiver."""
