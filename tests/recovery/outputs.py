"""What the killed programs have written: their outputs, and how far their logs say that they have got."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dstreams._run.query_log import Offsets

__all__ = ["Line", "Logs", "Outputs", "last", "number_of"]


def number_of(record: str) -> int:
    """Number of a record."""
    return int(record.split(" ", 1)[0])


@dataclass(frozen=True)
class Line:
    """What one output has written in one batch.

    Attributes
    ----------
    name : str
        Name of the output.
    time_ms : int
        Batch time in ms.
    records : list
        The records, sorted.
    """

    name: str
    time_ms: int
    records: list[Any]


class Outputs:
    """The file that the outputs append to, read as far as it has got.

    Attributes
    ----------
    lines : list of Line
        What is there, in order.
    processed : set of int
        Numbers of all records that batches have had.
    highest : int
        The last of them, or -1.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[Line] = []
        self.processed: set[int] = set()
        self.highest = -1
        self._rest = b""
        self._size = 0
        self._lock = threading.Lock()

    def refresh(self) -> list[Line]:
        """Read what has come, and return all lines."""
        with self._lock:
            if self.path.exists() and self.path.stat().st_size > self._size:
                with self.path.open("rb") as file:
                    file.seek(self._size)
                    data = file.read()
                self._size += len(data)
                *complete, self._rest = (self._rest + data).split(b"\n")
                for text in complete:
                    self._take(text)
            return self.lines

    def _take(self, text: bytes) -> None:
        try:
            found = json.loads(text)
        except ValueError:  # empty, or half a line of an output that was killed
            return
        line = Line(found["name"], found["time"], found["records"])
        self.lines.append(line)
        if line.name == "input":
            self.processed.update(number_of(record) for record in line.records)
            self.highest = max(self.processed, default=-1)


class Logs:
    """Offset logs and commit logs below a checkpoint directory.

    Parameters
    ----------
    checkpoint : Path
        The directory.

    Attributes
    ----------
    times : dict of int to int
        Time in ms of each batch by its number, of all that were ever logged as far as :meth:`look` has seen them.
    zero_ms : set of int
        What slides are counted from; one time if all is well.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.offsets, self.commits = checkpoint / "offsets", checkpoint / "commits"
        exchange = checkpoint / "_dstreams" / "exchange-1"
        self.exchange_offsets, self.exchange_commits = exchange / "offsets", exchange / "commits"
        self.times: dict[int, int] = {}
        self.zero_ms: set[int] = set()

    def look(self) -> tuple[int, int, int, int]:
        """Note the batch times that are logged; a batch must keep its time when it is run again.

        Returns
        -------
        tuple of int
            Last number in the offset log, the commit log, and in those of the exchange; -1 for none.
        """
        begun, before_ms = -1, 0
        for number in numbers(self.offsets):
            try:
                tick = self._tick(self.offsets / str(number))
            except FileNotFoundError:  # an old one; a JVM whose driver was killed is still clearing up
                continue
            time_ms = tick["time"]
            if time_ms == before_ms:
                # Spark logs a batch without a time where there is data, but no driver, or one that is stopping. It
                # cannot run, and the next start has to forget it.
                continue
            begun, before_ms = number, time_ms
            self.zero_ms.add(tick["zero"])
            known = self.times.setdefault(number, time_ms)
            assert known == time_ms, f"batch {number} had the time {known} and has {time_ms} now"
        return begun, last(self.commits), last(self.exchange_offsets), last(self.exchange_commits)

    @staticmethod
    def _tick(path: Path) -> dict[str, int]:
        for source in Offsets.parse(path.read_text()).sources:
            offset = json.loads(source or "null")
            if isinstance(offset, dict) and "zero" in offset:
                return offset
        return {"time": 0}


def numbers(folder: Path) -> list[int]:
    """Numbers of the batches in a log."""
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.exists() else []


def last(folder: Path) -> int:
    """Number of the last batch in a log, or -1."""
    return max(numbers(folder), default=-1)
