"""Receivers: readers that listen all the time, in the source's planner process, and hand over what came.

A receiver takes no executor core, so that any number of them runs on ``local[1]``. What it has received and no
batch has processed yet waits in the planner's memory; when too much waits, the receiver reads no more, which
holds the sender back (TCP does that) instead of growing.

With a checkpoint directory a block of records is in the write-ahead log before it waits in memory. Offsets count
records since the program's very first start, so the log and the query's offset log agree on what a batch has taken:
the next process goes on with exactly the rest.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from dstreams._plan.chunks import write_chunk
from dstreams._sources.blocks import Blocks, RateLimit
from dstreams._sources.link import Link, Remote
from dstreams._sources.parts import MAX_WAITING_BYTES, ChunkPartition, CountingReader, packed
from dstreams._sources.register import load_stream
from dstreams._sources.source import Reporting
from dstreams._sources.start import Start, count
from dstreams._sources.voice import Voice
from dstreams._sources.write_ahead import LogFolder, WriteAheadLog, log_folder

__all__ = ["ReceiverReader", "ReceiverSource", "Settings", "Wiring"]

MAX_WAITING = 5_000_000
"""Records that may wait for a batch before the receiver stops reading; or so many of them as have MAX_WAITING_BYTES."""
_TOO_MUCH = f"{MAX_WAITING} records, or {MAX_WAITING_BYTES >> 20} MiB,"
SAMPLE_RECORDS = 16
PARTITION_RECORDS = 2_000
"""A batch of no more records than this is one partition; a larger one is cut for all cores."""
STOP_SECONDS = 2.0
"""How long a receiver that is stopped may take to write down what it has just read."""


def size_of(records: list[Any]) -> int:
    """About how many bytes records have when pickled: by a few of them, since it is asked for every block."""
    sample = records[:: max(1, len(records) // SAMPLE_RECORDS)]
    return len(write_chunk(sample)) * len(records) // len(sample) if sample else 0


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
    """

    restart_seconds: float = 2.0
    block_seconds: float = 0.2
    max_rate: float = 0


@dataclass(frozen=True)
class Wiring:
    """What a receiver is connected to.

    Attributes
    ----------
    status : Remote
        Object of the driver that logs what the receiver says of itself.
    parallelism : int
        Number of partitions of a large batch.
    log : LogFolder, optional
        Where to write ahead.
    resume : int
        Count of records up to which the query's offset log has batches.
    committed : int
        The same of batches that were committed. If it is less, the batch in between is run again.
    settings : Settings
        Its settings.
    """

    status: Remote
    parallelism: int
    log: LogFolder | None = None
    resume: int = 0
    committed: int = 0
    settings: Settings = Settings()


class ReceiverReader(CountingReader):
    """Base of the receivers.

    Parameters
    ----------
    wiring : Wiring
        What it is connected to.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._status = wiring.status
        self._parallelism = wiring.parallelism
        self._log = wiring.log
        self._resume = wiring.resume
        self._committed = wiring.committed
        self._settings = wiring.settings

    def describe(self) -> str:
        """Name of the stream, for messages."""
        return type(self).__name__

    @abstractmethod
    def receive(self) -> Iterator[list[Any]]:
        """Connect, and yield lists of records as they come; return or raise when the connection ends."""

    @abstractmethod
    def interrupt(self) -> None:
        """Make a running :meth:`receive` end soon."""

    def open(self) -> None:
        """Take over what the log has, and start the receiving thread."""
        self._records: list[Any] = []
        self._bytes = 0
        self._base = self._resume
        self._room = threading.Condition()
        self._putting = threading.Lock()
        self._limit = RateLimit(self._settings.max_rate)
        self.blocks = Blocks(self.put, self._settings.block_seconds)
        self._stopped = threading.Event()
        self._voice = Voice(self._status, self._stopped.set)
        self._ahead = None if self._log is None else WriteAheadLog(self._log)
        self._broken: str | None = None
        self._lacking = range(0)
        if self._ahead is not None:
            self._recover(self._ahead)
        self._thread = threading.Thread(target=self._run, name="dstreams-receiver", daemon=True)
        if self._broken is None and not self._lacking:  # else nothing that it receives would be processed
            self._thread.start()

    def _recover(self, ahead: WriteAheadLog) -> None:
        try:
            self._base, self._records = ahead.recover(self._committed)
            self._bytes = size_of(self._records)
        except Exception as error:
            # Told when Spark asks for data: an error now would be hidden by one of Spark's own.
            self._broken = f"{self.describe()}: {error}"
            ahead.close()
            return
        if self._base > self._committed:
            self._lacking = range(self._committed, self._base)
        elif ahead.end < self._resume:
            self._lacking = range(ahead.end, self._resume)

    def available(self, start: int | None) -> int:
        """Count of records received so far, which are safe in the log if there is one."""
        self._check(range(0))
        with self._room:
            received = self._base + len(self._records)
        if self._ahead is None:
            return received
        try:
            self._ahead.roll()
        except OSError as error:
            self.say("error", f"cannot complete a file of the write-ahead log ({error}); trying again")
        return min(received, self._ahead.safe)

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[ChunkPartition]:
        """Cut what was received between two offsets into partitions; nothing received, no partition."""
        self._check(range(start["n"], end["n"]))
        with self._room:
            records = self._records[max(0, start["n"] - self._base) : max(0, end["n"] - self._base)]
            each = self._bytes // (len(self._records) or 1)
        if not records:
            return []
        self._voice.tell("took", len(records))
        n = 1 if len(records) <= PARTITION_RECORDS else self._parallelism
        bounds = [i * len(records) // n for i in range(n + 1)]
        return [partition for low, high in pairwise(bounds) for partition in packed(records[low:high], each)]

    def commit(self, end: dict[str, Any]) -> None:
        """Forget what has been processed."""
        with self._room:
            done = end["n"] - self._base
            if done > 0:
                self._bytes -= self._bytes * done // len(self._records)  # each has as many as the others
                del self._records[:done]
                self._base = end["n"]
                self._room.notify_all()
        if self._ahead is not None:
            try:
                self._ahead.forget(end["n"])
            except OSError as error:
                self.say("error", f"cannot delete a file of the write-ahead log ({error}); trying again")

    def stop(self) -> None:
        """End the receiver; called when the query has ended."""
        if stopped := getattr(self, "_stopped", None):
            stopped.set()
            self.interrupt()
            if self._thread.is_alive():
                self._thread.join(STOP_SECONDS)
            self.blocks.close()
            if self._ahead is not None:
                with suppress(OSError):
                    self._ahead.close()

    def say(self, event: str, text: str) -> None:
        """Tell the driver what happened, once as long as it stays the same."""
        self._voice.say(event, text)

    def _check(self, wanted: range) -> None:
        """Raise if there is no log to go on from, or if it has not all of the records that are wanted."""
        if self._broken is not None:
            raise RuntimeError(self._broken)
        lacking = range(max(wanted.start, self._lacking.start), min(wanted.stop, self._lacking.stop))
        if lacking and self._log is not None:
            which = "of the batch that has to be run again" if lacking.start < self._resume else "that come next"
            raise RuntimeError(
                f"{self.describe()}: its write-ahead log in {self._log.folder} lacks the records {lacking.start} to "
                f"{lacking.stop - 1} {which}; they were deleted, or lost with the machine. Restore the checkpoint "
                "directory from a copy, or begin with a new one."
            )

    def _write_ahead(self, records: list[Any]) -> bool:
        """Write a block down, however long that takes; False if the receiver was stopped before it was possible."""
        failed = False
        while self._ahead is not None:
            try:
                self._ahead.append(records)
                break
            except OSError as error:
                failed = True
                self.say(
                    "error",
                    f"cannot write to the write-ahead log ({error}); reading no more, trying again every "
                    f"{self._settings.restart_seconds:g} s",
                )
            if self._stopped.wait(self._settings.restart_seconds):
                self.say("error", f"{len(records)} records could not be written to the write-ahead log and are lost")
                return False
        if failed:
            self.say("resumed", "the write-ahead log can be written again, nothing was lost")
        return True

    def put(self, records: list[Any]) -> bool:
        """Take records: they are in the log, if there is one, when this returns. Any thread may call it.

        It waits while too much waits for a batch, and as long as the rate demands.

        Returns
        -------
        bool
            False if the receiver was stopped before they could be taken.
        """
        with self._putting:  # so that they are in the same order in the log
            if not self._write_ahead(records):
                return False
            size = size_of(records)  # first: it raises for what cannot be pickled
            with self._room:
                self._records.extend(records)
                self._bytes += size
                while (
                    len(self._records) > MAX_WAITING or self._bytes > MAX_WAITING_BYTES
                ) and not self._stopped.is_set():
                    self.say("waiting", f"{_TOO_MUCH} wait for a batch, reading no more until then")
                    self._room.wait(1)
            self._limit.spend(len(records), self._stopped.wait)
        return True

    def _run(self) -> None:
        delay = self._settings.restart_seconds
        while not self._stopped.is_set():
            try:
                for records in self.receive():
                    if not self.put(records):
                        return
            except Exception as error:
                if not self._stopped.is_set():
                    self.say("error", f"{error}; trying again every {delay:g} s")
            self._stopped.wait(delay)


class ReceiverSource(Reporting):
    """A source that is a receiver.

    Parameters
    ----------
    parallelism : int
        Number of partitions of a large batch.
    name : str
        Unique name of the stream.
    settings : Settings
        Its settings.
    status : object
        Object of the driver with ``receiver(event, text)``.
    """

    def __init__(self, parallelism: int, name: str, settings: Settings, status: Any) -> None:
        super().__init__(status)
        self._parallelism = parallelism
        self._name = name
        self._settings = settings

    @abstractmethod
    def reader(self, wiring: Wiring) -> ReceiverReader:
        """Make the receiver."""

    def frame(self, session: SparkSession, link: Link, start: Start) -> DataFrame:
        """Streaming frame of chunks of what is received."""
        wiring = Wiring(
            link.serve(self._name, self.status),
            self._parallelism,
            log_folder(start, link),
            count(start.position),
            count(start.committed),
            self._settings,
        )
        return load_stream(session, link, self._name, self.reader(wiring))
