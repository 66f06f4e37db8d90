"""The write-ahead log of a receiver: what it has received is on disk before a batch can take it.

The log is a folder of segments. A segment is a file whose name tells the number of its first record
(``00000000000000001200-0.wal``), and holds frames; a frame is a header and the bytes of one block. What
follows the last whole frame of a segment was being written when the process died, and is nothing: the next segment
begins with the number that this one has got to, in a file of its own, since not every file system can write to a
file that is closed, or cut it. So the numbers tell whether a record is missing.
"""

from __future__ import annotations

import os
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from zlib import crc32

from dstreams._sources.blocks import Block

__all__ = ["LocalFolder", "LogFolder", "WriteAheadLog"]

SEGMENT_BYTES = 1 << 26
"""A segment that has grown to this is closed, batch or not: segments are read, and sometimes kept, as a whole."""

_NAME = re.compile(r"(\d{20})-(\d+)\.wal")
_OLD_NAME = re.compile(r"\d{20}-\d+\.log")
_MORE = 1 << 31
"""In the count of records of a frame: more frames follow that are there all or none."""
_HEADER = struct.Struct(">QIII")  # bytes of the block, count of records, checksum of the block, checksum of these three
_CHECKED = _HEADER.size - 4


class LogFolder(Protocol):
    """Where a log is, and how to read and write files there.

    Attributes
    ----------
    folder : str
        Its name, for messages.
    lasting : bool
        Whether what was appended survives the death of this process before the file is closed.
    """

    folder: str
    lasting: bool

    def names(self) -> list[str]:
        """Names of the files, in any order; none where there is no folder."""

    def read(self, name: str) -> bytes:
        """All bytes of a file."""

    def append(self, name: str, data: bytes) -> None:
        """Write to the end of a file that is made by the first call for it; after a failure the next is the first."""

    def close(self, name: str) -> None:
        """Complete a file."""

    def delete(self, name: str) -> None:
        """Delete a file, if there is one."""


class LocalFolder:
    """A folder on a disk of this machine.

    Parameters
    ----------
    folder : str
        Its path.
    """

    lasting = True

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._open: dict[str, int] = {}

    def names(self) -> list[str]:
        """Names of the files."""
        try:
            return os.listdir(self.folder)
        except FileNotFoundError:
            return []

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    def append(self, name: str, data: bytes) -> None:
        """Hand bytes to the operating system, which writes them even if this process is killed."""
        if name not in self._open:
            self._open[name] = self._create(name)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._open[name], rest) :]
        except OSError:
            with suppress(OSError):
                self.close(name)
            raise

    def close(self, name: str) -> None:
        """Close a file."""
        if name in self._open:
            os.close(self._open.pop(name))

    def delete(self, name: str) -> None:
        """Delete a file, if there is one."""
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.folder, name))

    def _create(self, name: str) -> int:
        folder = Path(self.folder)
        for each in (*reversed(folder.parents), folder):  # makedirs would give the mode to the last one only
            if not each.is_dir():
                each.mkdir(0o700, exist_ok=True)
        return os.open(folder / name, os.O_WRONLY | os.O_TRUNC | os.O_CREAT | os.O_CLOEXEC, 0o600)


@dataclass
class _Segment:
    """A file of the log; `end` is one more than the number of the last record that is known to be there."""

    first: int
    again: int
    end: int

    @property
    def name(self) -> str:
        return f"{self.first:020d}-{self.again}.wal"


class WriteAheadLog:
    """The log. One thread appends, another may call the rest.

    Parameters
    ----------
    folder : LogFolder
        Where it is. Nothing is touched before :meth:`recover`.
    """

    def __init__(self, folder: LogFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._segments: list[_Segment] = []
        self._open: _Segment | None = None
        self._size = 0
        self._closed = False
        self._end = 0
        self._safe = 0
        self._unsafe: list[bytes] = []  # frames of the records between the two

    @property
    def folder(self) -> str:
        """Where it is, for messages."""
        return self._folder.folder

    @property
    def closed(self) -> bool:
        """Whether nothing is written any more."""
        return self._closed

    @property
    def end(self) -> int:
        """Number of the next record."""
        return self._end

    @property
    def safe(self) -> int:
        """Number before which all records survive the death of this process."""
        return self._safe

    def recover(self, n: int) -> tuple[int, list[Block]]:
        """Take the log over from the process before this one, and read it.

        Parameters
        ----------
        n : int
            Records before this number are not needed any more.

        Returns
        -------
        first : int
            Number of the first record that follows: `n`, or a greater one if the log begins later.
        blocks : list of Block
            All that follows. Numbering goes on after the last record.

        Raises
        ------
        RuntimeError
            If the log is damaged.
        OSError
            If it cannot be read.
        """
        names = self._folder.names()
        if old := sorted(name for name in names if _OLD_NAME.fullmatch(name)):
            raise RuntimeError(
                f"the write-ahead log in {self.folder} has files of an older version of dstreams ({', '.join(old)}), "
                "which this one cannot read. Let that version process them (start it and stop it gracefully), or "
                "delete them, which gives up what is in them."
            )
        found = sorted((int(m[1]), int(m[2])) for m in map(_NAME.fullmatch, names) if m)
        starts = [first for first, _ in found]
        first: int | None = None
        at = n  # number of the next record that is wanted
        blocks: list[Block] = []
        for begin, again in found:
            segment = _Segment(begin, again, begin)
            self._segments.append(segment)
            later = [other for other in starts if begin < other <= n]
            if later:
                segment.end = min(later)
                continue
            if first is None:
                first = at = max(n, begin)
            elif begin > at:
                raise RuntimeError(
                    f"the write-ahead log in {self._folder.folder} lacks the records {at} to {begin - 1}: the file "
                    f"before {segment.name} is missing or cut short. {self._advice()}"
                )
            for block in self._frames(segment.name):
                if segment.end < at < segment.end + block.records:
                    raise RuntimeError(
                        f"the write-ahead log in {self.folder} begins within a block, at the record {at} of "
                        f"{segment.name}: it is not of the same run as the query's offset log. {self._advice()}"
                    )
                segment.end += block.records
                if segment.end > at:
                    blocks.append(block)
                    at = segment.end
        self._end = self._safe = at
        return n if first is None else first, blocks

    def append(self, blocks: list[Block]) -> None:
        """Write blocks down, which are all there after a restart, or none.

        Returns when the file system's client or the operating system has them: the records survive the death of this
        process (see :attr:`safe`), but not necessarily that of the machine, since nothing waits for the disk.

        Raises
        ------
        OSError
            If they cannot be written. Nothing is lost: the call may be repeated.
        """
        frames = []
        for number, block in enumerate(blocks, 1):
            more = _MORE if number < len(blocks) else 0
            head = struct.pack(">QII", len(block.data), block.records | more, crc32(block.data))
            frames.append(head + struct.pack(">I", crc32(head)) + block.data)
        with self._lock:
            if self._closed:
                raise OSError("the receiver has been stopped")
            if self._size > SEGMENT_BYTES:
                self._close()
            self._write(frames, sum(block.records for block in blocks))
            if self._folder.lasting:
                self._safe = self._end
            else:
                self._unsafe += frames

    def roll(self) -> None:
        """Close the segment, so that all records before :attr:`end` are safe; the next block begins a new one.

        Raises
        ------
        OSError
            If it cannot be closed. :attr:`safe` tells what is safe; the call may be repeated.
        """
        with self._lock:
            if self._open is None and self._unsafe:
                self._write([], 0)
            self._close()

    def forget(self, n: int) -> None:
        """Delete the segments whose records are all before number `n`.

        Raises
        ------
        OSError
            If one cannot be deleted; a later call tries again.
        """
        with self._lock:
            done = [segment for segment in self._segments if segment.end <= n]
        for segment in done:
            self._folder.delete(segment.name)
            with self._lock:
                self._segments.remove(segment)

    def close(self) -> None:
        """Close the segment, and write no more."""
        with self._lock:
            self._closed = True
            self._close()

    def _write(self, frames: list[bytes], count: int) -> None:
        """Write frames of `count` records; into a new segment also those that a failed one may have lost."""
        if self._open is None:
            again = max((other.again + 1 for other in self._segments if other.first == self._safe), default=0)
            self._open = _Segment(self._safe, again, self._safe)
            frames = [*self._unsafe, *frames]
        data = b"".join(frames)
        try:
            self._folder.append(self._open.name, data)
        except OSError:
            self._leave()
            raise
        self._size += len(data)
        self._end += count
        self._open.end = self._end

    def _close(self) -> None:
        if self._open is not None:
            try:
                self._folder.close(self._open.name)
            except OSError:
                self._leave()
                raise
            self._leave()
            self._unsafe.clear()
            self._safe = self._end

    def _leave(self) -> None:
        """Write no more to the open segment; one that has no records yet leaves its name to the next."""
        if self._open is not None and self._open.end > self._open.first:
            self._segments.append(self._open)
        self._open = None
        self._size = 0

    def _frames(self, name: str) -> Iterator[Block]:
        """Blocks of the whole frames of a segment; of those that belong together all or none."""
        data = memoryview(self._folder.read(name))
        at = 0
        together: list[Block] = []
        while at + _HEADER.size <= len(data):
            size, count, checksum, header_checksum = _HEADER.unpack_from(data, at)
            block = data[at + _HEADER.size :][:size]
            whole_header = crc32(data[at : at + _CHECKED]) == header_checksum
            if whole_header and len(block) < size:
                return  # torn
            if not whole_header or crc32(block) != checksum:
                raise RuntimeError(
                    f"the write-ahead log is damaged: {self._folder.folder}/{name}, at byte {at}. {self._advice()}"
                )
            together.append(Block(bytes(block), count & ~_MORE))
            at += _HEADER.size + size
            if not count & _MORE:
                yield from together
                together.clear()

    def _advice(self) -> str:
        return (
            f"Restore it from a copy. Without one, delete {self._folder.folder}, which gives up what was received and "
            "not processed yet, and start again."
        )
