"""The write-ahead log of a receiver: what it has received is on disk before a batch can take it.

The log is a folder of segments. A segment is a file whose name tells the number of its first record
(``00000000000000001200-0.log``), and holds frames; a frame is a header and a chunk, the records of one block. What
follows the last whole frame of a segment was being written when the process died, and is nothing: the next segment
begins with the number that this one has got to, in a file of its own, since not every file system can write to a
file that is closed, or cut it. So the numbers tell whether a record is missing.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import re
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

from dstreams._plan.chunks import write_chunk
from dstreams._sources.driver_files import DriverFolder
from dstreams._sources.link import Link
from dstreams._sources.start import Start

__all__ = ["LocalFolder", "LogFolder", "WriteAheadLog", "local_path", "log_folder"]

SEGMENT_BYTES = 1 << 26
"""A segment that has grown to this is closed, batch or not: segments are read, and sometimes kept, as a whole."""
HOLD_SECONDS = 30.0
"""How long to wait for the receiver of a driver that was killed to notice that and to end."""

_NAME = re.compile(r"(\d{20})-(\d+)\.log")
_HEADER = struct.Struct(">QIII")  # bytes of the chunk, count of records, checksum of the chunk, checksum of these three
_CHECKED = _HEADER.size - 4


class LogFolder(Protocol):
    """Where a log is: a picklable description of a folder, and how to read and write files there.

    Attributes
    ----------
    folder : str
        Its name, for messages.
    lasting : bool
        Whether what was appended survives the death of this process before the file is closed.
    """

    folder: str
    lasting: bool

    def hold(self) -> None:
        """Let no other process write here until :meth:`release`, or until this one has ended."""

    def release(self) -> None:
        """Let others write here."""

    def names(self) -> list[str]:
        """Names of the files, in any order."""

    def read(self, name: str) -> bytes:
        """All bytes of a file."""

    def append(self, name: str, data: bytes) -> None:
        """Write to the end of a file that is made by the first call for it; after a failure the next is the first."""

    def close(self, name: str) -> None:
        """Complete a file."""

    def delete(self, name: str) -> None:
        """Delete a file, if there is one."""


def log_folder(start: Start, link: Link) -> LogFolder | None:
    """Where a receiver writes ahead; None if it does not."""
    if start.log is None:
        return None
    folder = start.log.rstrip("/")
    path = local_path(folder)
    if path is not None:
        return LocalFolder(path)
    return DriverFolder(folder, link.serve("files of write-ahead logs", start.files))


def local_path(uri: str) -> str | None:
    """Path on this machine that a URI stands for; None if it is of another file system."""
    scheme, colon, rest = uri.partition(":")
    if not colon or "/" in scheme:
        return os.path.abspath(uri)
    if scheme != "file":
        return None
    # Hadoop does not decode %20 and the like, and knows no host: both stand for themselves in its paths.
    return re.sub("^//[^/]*", "", rest)


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
        self._held: int | None = None

    def hold(self) -> None:
        """Lock the folder; the receiver of a driver that was killed lets go of it when it ends.

        Raises
        ------
        RuntimeError
            If it does not end, which is then no receiver of a killed driver but a second program.
        """
        folder = Path(self.folder)
        for each in (*reversed(folder.parents), folder):  # makedirs would give the mode to the last one only
            if not each.is_dir():
                each.mkdir(0o700, exist_ok=True)
        held = self._file("lock", os.O_RDWR)
        deadline = time.monotonic() + HOLD_SECONDS
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(held)
                    raise RuntimeError(
                        f"another process uses the write-ahead log in {self.folder}. Two programs cannot share a "
                        "checkpoint directory: stop the other one, or name another directory."
                    ) from None
                time.sleep(0.05)  # waiting for a lock has no time-out
        self._held = held

    def release(self) -> None:
        """Unlock the folder."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def names(self) -> list[str]:
        """Names of the files."""
        return os.listdir(self.folder)

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    def append(self, name: str, data: bytes) -> None:
        """Hand bytes to the operating system, which writes them even if this process is killed."""
        if name not in self._open:
            self._open[name] = self._file(name, os.O_WRONLY | os.O_TRUNC)
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

    def _file(self, name: str, flags: int) -> int:
        return os.open(os.path.join(self.folder, name), flags | os.O_CREAT | os.O_CLOEXEC, 0o600)


@dataclass
class _Segment:
    """A file of the log; `end` is one more than the number of the last record that is known to be there."""

    first: int
    again: int
    end: int

    @property
    def name(self) -> str:
        return f"{self.first:020d}-{self.again}.log"


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
    def end(self) -> int:
        """Number of the next record."""
        return self._end

    @property
    def safe(self) -> int:
        """Number before which all records survive the death of this process."""
        return self._safe

    def recover(self, n: int) -> tuple[int, list[Any]]:
        """Take the log over from the process before this one, and read it.

        Parameters
        ----------
        n : int
            Records before this number are not needed any more.

        Returns
        -------
        first : int
            Number of the first record that follows: `n`, or a greater one if the log begins later.
        records : list
            All records from there on. Numbering goes on after the last one.

        Raises
        ------
        RuntimeError
            If the log is damaged, or in use.
        OSError
            If it cannot be read.
        """
        self._folder.hold()
        found = sorted((int(m[1]), int(m[2])) for m in map(_NAME.fullmatch, self._folder.names()) if m)
        starts = [first for first, _ in found]
        first: int | None = None
        at = n  # number of the next record that is wanted
        records: list[Any] = []
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
            for count, chunk in self._frames(segment.name):
                segment.end += count
                if segment.end > at:
                    records.extend(pickle.loads(chunk)[at - segment.end :])
                    at = segment.end
        self._end = self._safe = at
        return n if first is None else first, records

    def append(self, records: list[Any]) -> None:
        """Write a block down.

        Returns when the operating system has it, or the driver where the folder is not on this machine's disks: the
        records survive the death of this process, but not necessarily that of the machine, since nothing waits for
        the disk.

        Raises
        ------
        OSError
            If it cannot be written. Nothing is lost: the call may be repeated.
        """
        chunk = write_chunk(records)
        head = struct.pack(">QII", len(chunk), len(records), crc32(chunk))
        frame = head + struct.pack(">I", crc32(head)) + chunk
        with self._lock:
            if self._closed:
                raise OSError("the receiver has been stopped")
            if self._size > SEGMENT_BYTES:
                self._close()
            self._write([frame], len(records))
            if self._folder.lasting:
                self._safe = self._end
            else:
                self._unsafe.append(frame)

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
        """Close the segment, write no more, and let another process have the log."""
        with self._lock:
            self._closed = True
            try:
                self._close()
            finally:
                self._folder.release()

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

    def _frames(self, name: str) -> Iterator[tuple[int, memoryview]]:
        """Whole frames of a segment: count of records, and the chunk."""
        data = memoryview(self._folder.read(name))
        at = 0
        while at + _HEADER.size <= len(data):
            size, count, checksum, header_checksum = _HEADER.unpack_from(data, at)
            chunk = data[at + _HEADER.size :][:size]
            whole_header = crc32(data[at : at + _CHECKED]) == header_checksum
            if whole_header and len(chunk) < size:
                return  # torn
            if not whole_header or crc32(chunk) != checksum:
                raise RuntimeError(
                    f"the write-ahead log is damaged: {self._folder.folder}/{name}, at byte {at}. {self._advice()}"
                )
            yield count, chunk
            at += _HEADER.size + size

    def _advice(self) -> str:
        return (
            f"Restore it from a copy. Without one, delete {self._folder.folder}, which gives up what was received and "
            "not processed yet, and start again."
        )
