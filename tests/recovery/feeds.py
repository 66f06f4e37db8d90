"""What the killed programs read: numbered records, through files or through a socket, for as long as the test lasts."""

from __future__ import annotations

import os
import select
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from random import Random

from dstreams._sources.write_ahead import LocalFolder, LogFolder, WriteAheadLog
from tests.recovery.outputs import Outputs, number_of

__all__ = ["CarefulSender", "FileFeed"]


class Feed(ABC):
    """Makes records and gives them to the program, in a thread of its own.

    Parameters
    ----------
    outputs : Outputs
        What the program has processed.
    rng : Random
        Decides what the records are and how many come at once.

    Attributes
    ----------
    records : list of str
        All records that the program has to process; record number n is at n.
    """

    PAUSE = 0.15
    AHEAD = 150
    """So many records may wait for the program: enough for a restart, not too much for a slow machine."""

    def __init__(self, outputs: Outputs, rng: Random) -> None:
        self.records: list[str] = []
        self._outputs = outputs
        self._rng = rng
        self._ending = threading.Event()
        self._given = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Make no more records, and wait until the program has been given all of them."""
        self._ending.set()
        assert self._given.wait(240), "the program does not take the last records"
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._feed()
        except BaseException as failure:
            self._failure = failure
        finally:
            self._given.set()

    @abstractmethod
    def _feed(self) -> None:
        """Give the program records, until the end is near and it has them all."""

    def _enough(self) -> bool:
        """Whether the program has to catch up first."""
        self._outputs.refresh()
        return len(self.records) - len(self._outputs.processed) > self.AHEAD

    def _more(self) -> list[str]:
        """Make the next records: some keys in most batches, some rarely."""
        fresh = [
            f"{len(self.records) + i} key-{int(self._rng.expovariate(0.2))} {self._rng.randint(1, 1000)}"
            for i in range(self._rng.randint(1, 8))
        ]
        self.records.extend(fresh)
        return fresh


class FileFeed(Feed):
    """Moves numbered files into a directory.

    Parameters
    ----------
    directory : Path
        The directory.
    checkpoint : Path
        The program's checkpoint directory. Once the program is saved there, files are new to it.
    outputs : Outputs
        What the program has processed.
    rng : Random
        Source of randomness.
    """

    def __init__(self, directory: Path, checkpoint: Path, outputs: Outputs, rng: Random) -> None:
        self._directory = directory
        self._program = checkpoint / "_dstreams"
        self._beside = directory.parent / f"{directory.name}-unfinished"
        self._beside.mkdir()
        super().__init__(outputs, rng)

    def _feed(self) -> None:
        number = 0
        while not self._ending.wait(self.PAUSE):
            if not self._enough() and any(self._program.glob("program-*")):
                unfinished = self._beside / f"{number:06d}"
                unfinished.write_text("".join(f"{record}\n" for record in self._more()))
                self.move(unfinished)
                number += 1

    def move(self, file: Path) -> None:
        """Let a file appear as a whole."""
        os.rename(file, self._directory / file.name)


class CarefulSender(Feed):
    """Sends records over TCP, and goes on when it sees them in the receiver's write-ahead log.

    What was under way when a receiver was killed is lost, as with any receiver that does not acknowledge. After a new
    connection the sender begins with the first record that is neither in the log nor in a batch: then each record is
    processed exactly once if the receiver keeps its promise.

    Parameters
    ----------
    checkpoint : Path
        The program's checkpoint directory.
    outputs : Outputs
        What the program has processed, which may be gone from the log.
    rng : Random
        Source of randomness.
    """

    PAUSE = 0.1

    def __init__(self, checkpoint: Path, outputs: Outputs, rng: Random) -> None:
        self._log = checkpoint / "_dstreams" / "log"
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._arrived = -1
        super().__init__(outputs, rng)

    def _feed(self) -> None:
        with self._server:
            while not self._given.is_set():
                if _readable(self._server, self.PAUSE):
                    receiver, _ = self._server.accept()
                    with receiver:
                        self._serve(receiver)

    def _serve(self, receiver: socket.socket) -> None:
        """Send to one receiver until it is gone."""
        # It has connected, so it has taken the log over: nobody else writes there any more.
        self._look()
        sent = self._arrived + 1
        while not _readable(receiver, 0.01 if sent > self._arrived + 1 else self.PAUSE):  # else it has gone
            self._look()
            if sent > self._arrived + 1:
                continue
            if sent == len(self.records):
                if self._ending.is_set():
                    self._given.set()
                    continue  # the connection stays until the program ends
                if self._enough():
                    continue
                self._more()
            try:
                receiver.sendall("".join(f"{record}\n" for record in self.records[sent:]).encode())
            except OSError:
                return
            sent = len(self.records)

    def _look(self) -> None:
        """See which records have arrived; first in the log, since what leaves it is in the outputs by then."""
        logged = max(map(number_of, self._logged()), default=-1)
        self._outputs.refresh()
        self._arrived = max(self._arrived, logged, self._outputs.highest)

    def reader(self, folder: Path) -> LogFolder:
        """How to read a folder of the log."""
        return LocalFolder(str(folder))

    def _logged(self) -> Iterable[str]:
        for folder in {str(path.parent): path.parent for path in self._log.rglob("*.wal")}.values():
            for attempts_left in (3, 2, 1, 0):
                try:
                    _, blocks = WriteAheadLog(self.reader(folder)).recover(0)
                    break
                except (FileNotFoundError, RuntimeError):  # a file was deleted or begun while we were reading
                    if not attempts_left:
                        raise
            for block in blocks:  # bytes of whole lines
                yield from block.data.decode().splitlines()


def _readable(connection: socket.socket, timeout: float) -> bool:
    return bool(select.select([connection], [], [], timeout)[0])
