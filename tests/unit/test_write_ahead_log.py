"""The write-ahead log of receivers: nothing that was written down is lost or given twice, whenever the process dies."""

from __future__ import annotations

import json
import os
import random
import socket
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from dstreams._run.log_folder import HadoopFolder, log_folder
from dstreams._sources import write_ahead
from dstreams._sources.blocks import Block, RateLimit, pickled
from dstreams._sources.receiver import ReceiverReader, Settings
from dstreams._sources.socket import SocketSource, read_line_blocks
from dstreams._sources.start import FRESH, Start, count
from dstreams._sources.write_ahead import LocalFolder, LogFolder, WriteAheadLog
from dstreams._spark.files import local_path
from dstreams.errors import CheckpointError
from tests.unit.receivers import QUICK, Status, decoded, received, taken, until


class Store:
    """An object store: a file is there when it has been closed; calls of a method in `failing` raise."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.failing: dict[str, float] = {}
        self.calls: Counter[str] = Counter()
        self.random = random.Random(0)


class StoreFolder:
    """What one process sees of a store."""

    folder = "store:/log"

    def __init__(self, store: Store, lasting: bool = False) -> None:
        self.lasting = lasting
        self._store = store
        self._open: dict[str, bytes] = {}

    def names(self) -> list[str]:
        if self._fails("names"):
            raise OSError("nobody answers")
        return list(self._store.files)

    def read(self, name: str) -> bytes:
        return self._store.files[name]

    def append(self, name: str, data: bytes) -> None:
        if name not in self._open:
            self._open[name] = b""
            if self.lasting:
                self._store.files[name] = b""
        whole = not self._fails("append")
        # A write that fails may have written nothing, some or all of it.
        self._open[name] += data if whole else data[: self._store.random.randint(0, len(data))]
        if self.lasting:
            self._store.files[name] = self._open[name]
        if not whole:
            del self._open[name]
            raise OSError("no space left")

    def close(self, name: str) -> None:
        written = self._open.pop(name)
        if self._fails("close"):
            raise OSError("the upload failed")
        self._store.files[name] = written

    def delete(self, name: str) -> None:
        if self._fails("delete"):
            raise OSError("not now")
        self._store.files.pop(name, None)

    def _fails(self, method: str) -> bool:
        self._store.calls[method] += 1
        return self._store.random.random() < self._store.failing.get(method, 0)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.wal"))


def block(*records: Any) -> Block:
    """Make a block of records."""
    (made,) = pickled(list(records))
    return made


def records_of(blocks: list[Block]) -> list[Any]:
    return decoded([each.data for each in blocks])


def group(*records: Any) -> list[Block]:
    """Make blocks that belong together, one for each record."""
    return [block(record) for record in records]


def write(folder: Path, *blocks: list[Any]) -> None:
    """One process that writes blocks, each by itself, and dies."""
    write_groups(folder, *([block(*records)] for records in blocks))


def write_groups(folder: Path, *groups: list[Block]) -> None:
    """One process that writes groups of blocks and dies."""
    local = LocalFolder(str(folder))
    log = WriteAheadLog(local)
    log.recover(0)
    for blocks in groups:
        log.append(blocks)
    for name in list(local._open):  # the only thing that the death of a process does for us
        local.close(name)


def recovered(log: WriteAheadLog, n: int) -> tuple[int, list[Any]]:
    """Number of the first record that a log has from a number on, and the records."""
    first, blocks = log.recover(n)
    records = records_of(blocks)
    assert log.end == log.safe == first + len(records) == first + sum(each.records for each in blocks)
    return first, records


def read(folder: Path, n: int = 0) -> tuple[int, list[Any]]:
    """Another one that reads the log."""
    return recovered(WriteAheadLog(LocalFolder(str(folder))), n)


# ---------------------------------------------------------------------- the log


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    assert read(tmp_path) == (0, [])
    assert read(tmp_path, 7) == (7, [])
    write(tmp_path, ["a", "b"], [], [{"any": ("thing", None)}])
    assert read(tmp_path) == (0, ["a", "b", {"any": ("thing", None)}])
    assert read(tmp_path, 2) == (2, [{"any": ("thing", None)}])
    assert read(tmp_path, 3) == (3, [])


def test_a_folder_that_is_not_there_is_made_by_the_first_record_only(tmp_path: Path) -> None:
    assert read(tmp_path / "c" / "log") == (0, [])
    assert not (tmp_path / "c").exists()
    write(tmp_path / "c" / "log", ["a"])
    assert read(tmp_path / "c" / "log") == (0, ["a"])


def test_the_next_process_goes_on_with_the_numbers(tmp_path: Path) -> None:
    for records in (["a", "b"], ["c"], ["d", "e", "f"]):
        write(tmp_path, records)
    assert [file.name for file in segments(tmp_path)] == [f"{first:020d}-0.wal" for first in (0, 2, 3)]
    assert read(tmp_path) == (0, list("abcdef"))
    assert read(tmp_path, 2) == (2, list("cdef"))


def test_a_batch_ends_where_a_block_does(tmp_path: Path) -> None:
    """Else the log is not the one that the query's offset log was written with."""
    write(tmp_path, ["a", "b"], ["c", "d"])
    for n, at in ((1, 1), (3, 3)):
        with pytest.raises(
            RuntimeError, match=f"{tmp_path} begins within a block, at the record {at} of 0{{20}}-0.wal"
        ):
            read(tmp_path, n)
    assert read(tmp_path, 4) == (4, [])


def test_a_process_that_receives_nothing_makes_no_segment(tmp_path: Path) -> None:
    log = WriteAheadLog(LocalFolder(str(tmp_path / "log")))
    log.recover(0)
    log.roll()
    log.close()
    assert segments(tmp_path / "log") == []


def test_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "c" / "log"
    before = os.umask(0)
    try:
        write(folder, ["secret"])
    finally:
        os.umask(before)
    assert {stat.S_IMODE(made.stat().st_mode) for made in (folder, folder.parent)} == {0o700}
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_a_batch_closes_the_segment_and_a_commit_forgets_it(tmp_path: Path) -> None:
    log = WriteAheadLog(LocalFolder(str(tmp_path)))
    log.recover(0)
    log.append([block(0, 1)])
    log.append([block(2)])
    log.roll()
    log.roll()
    log.append([block(3, 4)])
    log.roll()
    assert [file.name for file in segments(tmp_path)] == [f"{first:020d}-0.wal" for first in (0, 3)]
    log.forget(2)
    assert len(segments(tmp_path)) == 2, "record 2 is still needed"
    log.forget(3)
    assert [file.name for file in segments(tmp_path)] == [f"{3:020d}-0.wal"]
    log.append([block(5)])
    log.forget(5)
    assert [file.name for file in segments(tmp_path)] == [f"{5:020d}-0.wal"]
    log.close()
    assert read(tmp_path, 5) == (5, [5])
    assert read(tmp_path, 3) == (5, [5]), "what was forgotten is missed"


def test_what_was_forgotten_by_nobody_is_forgotten_by_the_next_process(tmp_path: Path) -> None:
    for records in ([0, 1], [2], [3, 4]):
        write(tmp_path, records)
    log = WriteAheadLog(LocalFolder(str(tmp_path)))
    assert recovered(log, 3) == (3, [3, 4])
    assert len(segments(tmp_path)) == 3, "nothing goes before Spark says that it has been processed"
    log.forget(4)
    assert [file.name for file in segments(tmp_path)] == [f"{3:020d}-0.wal"]
    log.forget(5)
    assert segments(tmp_path) == []
    log.append([block(5)])
    log.close()
    assert read(tmp_path, 5) == (5, [5])


def test_the_log_goes_on_where_the_offset_log_ends_when_that_is_further(tmp_path: Path) -> None:
    # As when the machine failed, and lost the end of a file whose records had been processed.
    write(tmp_path, [0, 1])
    log = WriteAheadLog(LocalFolder(str(tmp_path)))
    assert recovered(log, 5) == (5, [])
    log.append([block("five")])
    log.close()
    assert read(tmp_path, 5) == (5, ["five"])
    with pytest.raises(RuntimeError, match=r"lacks the records 2 to 4: the file before 0{19}5-0.wal"):
        read(tmp_path)


def test_a_large_segment_is_closed_before_a_batch_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_ahead, "SEGMENT_BYTES", 100)
    write(tmp_path, *([n] for n in range(20)))
    assert len(segments(tmp_path)) > 3
    assert read(tmp_path) == (0, list(range(20)))
    assert read(tmp_path, 11) == (11, list(range(11, 20)))


def test_blocks_that_were_written_together_are_read_as_they_were(tmp_path: Path) -> None:
    written = [*group("a", "b"), block("c", "d"), block("e")]
    write_groups(tmp_path, written, [], [block("f")])
    assert WriteAheadLog(LocalFolder(str(tmp_path))).recover(0) == (0, [*written, block("f")])
    assert read(tmp_path) == (0, list("abcdef"))
    assert read(tmp_path, 4) == (4, ["e", "f"])
    assert read(tmp_path, 5) == (5, ["f"])


def test_blocks_that_belong_together_are_in_one_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_ahead, "SEGMENT_BYTES", 100)
    write_groups(tmp_path, group(*range(20)), group(20, 21), group(22))
    assert [file.name for file in segments(tmp_path)] == [f"{first:020d}-0.wal" for first in (0, 20)]
    assert read(tmp_path) == (0, list(range(23)))


def test_files_of_an_older_version_are_refused(tmp_path: Path) -> None:
    """It had another format, which nobody may take for an empty log."""
    write(tmp_path, ["a"])
    old = [f"{0:020d}-0.log", f"{12:020d}-3.log"]
    for name in old:
        (tmp_path / name).write_bytes(b"?")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RuntimeError) as raised:
        read(tmp_path)
    assert str(raised.value) == (
        f"the write-ahead log in {tmp_path} has files of an older version of dstreams ({old[0]}, {old[1]}), which this "
        "one cannot read. Let that version process them (start it and stop it gracefully), or delete them, which gives "
        "up what is in them."
    )
    assert sorted(tmp_path.iterdir()) == before, "nothing was changed"
    for name in old:
        (tmp_path / name).unlink()
    assert read(tmp_path) == (0, ["a"])


def test_files_that_are_none_of_ours_do_not_matter(tmp_path: Path) -> None:
    write(tmp_path, ["a"])
    for name in (f".{0:020d}-0.wal.crc", "notes.txt", f"{1:020d}-0.wal.tmp", "0-0.log", f".{0:020d}-0.log.crc"):
        (tmp_path / name).write_bytes(b"?")
    assert read(tmp_path) == (0, ["a"])


# ---------------------------------------------------------------------- damage


@pytest.mark.parametrize("before", [[], [["a", "b"], ["c"]]])
def test_a_torn_tail_is_ignored_wherever_it_is_torn(tmp_path: Path, before: list[list[str]]) -> None:
    kept = [record for records in before for record in records]
    write(tmp_path / "0", *before, ["torn", "off"])
    (file,) = segments(tmp_path / "0")
    data = file.read_bytes()
    write(tmp_path / "before", *before)
    whole = sum(file.stat().st_size for file in segments(tmp_path / "before"))
    assert read(tmp_path / "0") == (0, [*kept, "torn", "off"])
    for cut in range(whole, len(data)):
        folder = tmp_path / f"cut at {cut}"
        folder.mkdir()
        (folder / file.name).write_bytes(data[:cut])
        assert read(folder) == (0, kept)
        write(folder, ["x"])
        write(folder, ["y", "z"])
        assert read(folder) == (0, [*kept, "x", "y", "z"])


@pytest.mark.parametrize("before", [[], [["a"], ["b", "c"]]])
def test_of_blocks_that_belong_together_all_are_there_or_none(tmp_path: Path, before: list[list[str]]) -> None:
    """Wherever the process that wrote them was killed; the next one writes what it is given anew."""
    kept = [record for records in before for record in records]
    groups = [group(*records) for records in before]
    write_groups(tmp_path / "0", *groups, group("one", "of", "a", "group"))
    (file,) = segments(tmp_path / "0")
    data = file.read_bytes()
    write_groups(tmp_path / "before", *groups)
    whole = sum(file.stat().st_size for file in segments(tmp_path / "before"))
    assert read(tmp_path / "0") == (0, [*kept, "one", "of", "a", "group"])
    for cut in range(whole, len(data)):
        folder = tmp_path / f"cut at {cut}"
        folder.mkdir()
        (folder / file.name).write_bytes(data[:cut])
        assert read(folder) == (0, kept)
        write_groups(folder, group("x", "y"))
        assert read(folder) == (0, [*kept, "x", "y"])
        write_groups(folder, group("z"))
        assert read(folder) == (0, [*kept, "x", "y", "z"])


@pytest.mark.parametrize("groups", [[group("first"), group("second"), group("third")], [group("a", "b", "c")]])
def test_damage_within_the_log_is_an_error_that_names_the_file(tmp_path: Path, groups: list[list[Block]]) -> None:
    write_groups(tmp_path, *groups)
    written = [record for blocks in groups for record in records_of(blocks)]
    (file,) = segments(tmp_path)
    data = file.read_bytes()
    for at, bit in product(range(len(data)), (0x20, 0x80)):
        file.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        with pytest.raises(RuntimeError, match=f"the write-ahead log is damaged: {file}, at byte \\d+. Restore it"):
            read(tmp_path)
    file.write_bytes(data)
    assert read(tmp_path) == (0, written)


def test_damage_in_what_is_not_needed_any_more_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path, [0, 1])
    write(tmp_path, [2])
    segments(tmp_path)[0].write_bytes(b"\0" * 100)
    assert read(tmp_path, 2) == (2, [2])
    with pytest.raises(RuntimeError, match="damaged"):
        read(tmp_path)


def test_a_missing_segment_is_an_error(tmp_path: Path) -> None:
    for records in ([0, 1], [2], [3, 4], [5]):
        write(tmp_path, records)
    segments(tmp_path)[2].unlink()
    with pytest.raises(RuntimeError, match=r"lacks the records 3 to 4: the file before 0{19}5-0.wal is missing"):
        read(tmp_path)
    assert read(tmp_path, 5) == (5, [5]), "not if it is not needed"


@pytest.mark.parametrize(
    ("last", "lacking"), [([block(2)], "2 to 2"), ([block(2), block(3)], "2 to 3"), ([block(2, 3), block()], "2 to 3")]
)
def test_a_segment_cut_short_in_the_middle_of_the_log_is_an_error(
    tmp_path: Path, last: list[Block], lacking: str
) -> None:
    write_groups(tmp_path, [block(0, 1)], last)
    write(tmp_path, ["next"])
    file = segments(tmp_path)[0]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match=f"lacks the records {lacking}: "):
        read(tmp_path)


# ---------------------------------------------------------------------- writing fails


@pytest.mark.parametrize("lasting", [True, False])
def test_whatever_fails_and_whenever_the_process_dies_nothing_safe_is_lost(lasting: bool) -> None:
    """Blocks that could not be written are tried again, as they are: so does a receiver."""
    for seed in range(150):
        store = Store()
        store.random = chance = random.Random(seed)
        committed = safe = 0
        ends = [0]  # of groups of blocks, where a batch may end
        for _ in range(5):
            store.failing = {}
            log = WriteAheadLog(StoreFolder(store, lasting))
            first, blocks = log.recover(committed)
            assert first == committed
            assert records_of(blocks) == list(range(committed, log.end))
            assert log.end >= safe
            assert log.end in ends, "a group of blocks is there or not"
            ends = [end for end in ends if end <= log.end]
            number = log.end  # of the next record; records are their own numbers
            waiting: list[Block] = []
            for _ in range(chance.randint(0, 20)):
                store.failing = {method: chance.choice([0, 0, 0.5, 1]) for method in ("append", "close", "delete")}
                try:
                    what = chance.random()
                    if what < 0.6:
                        if not waiting:
                            waiting = random_blocks(number, chance)
                            ends.append(number + sum(each.records for each in waiting))
                        log.append(waiting)
                        number = ends[-1]
                        waiting = []
                    elif what < 0.8:
                        log.roll()
                        assert log.safe == log.end == number
                    else:
                        committed = chance.choice([end for end in ends if committed <= end <= log.safe])
                        log.forget(committed)
                except OSError:
                    pass
                assert log.end == number
                assert committed <= log.safe <= log.end
                assert not lasting or log.safe == log.end
            safe = log.safe


def random_blocks(number: int, chance: random.Random) -> list[Block]:
    """Make some blocks of numbers from one on."""
    made = []
    for _ in range(chance.randint(1, 3)):
        records = range(number, number + chance.randint(1, 3))
        made.append(block(*records))
        number = records.stop
    return made


def test_a_full_disk_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = WriteAheadLog(LocalFolder(str(tmp_path)))
    log.recover(0)
    log.append([block("a")])

    written = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: written(fd, data[:5]))
    log.append([block("in small pieces")])

    def half(fd: int, data: memoryview) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return written(fd, data[:10])

    monkeypatch.setattr(os, "write", half)
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            log.append([block("much" * 100)])
    assert [file.name for file in segments(tmp_path)] == [f"{first:020d}-0.wal" for first in (0, 2)]
    monkeypatch.undo()
    log.append([block("b")])
    log.close()
    assert len(segments(tmp_path)) == 2
    assert read(tmp_path) == (0, ["a", "in small pieces", "b"])


def test_where_nothing_lasts_before_a_file_is_closed_a_failed_one_is_written_again() -> None:
    store = Store()
    log = WriteAheadLog(StoreFolder(store))
    log.recover(0)
    log.append([block(0, 1)])
    log.roll()
    log.append(group(2, 3))
    store.failing = {"close": 1}
    with pytest.raises(OSError, match="upload"):
        log.roll()
    assert (log.safe, log.end) == (2, 4)
    store.failing = {}
    log.append([block(4)])
    assert (log.safe, log.end) == (2, 5)
    log.roll()
    assert log.safe == 5
    assert sorted(store.files) == [f"{0:020d}-0.wal", f"{2:020d}-1.wal"]
    assert recovered(WriteAheadLog(StoreFolder(store)), 0) == (0, [0, 1, 2, 3, 4])


def test_two_files_with_the_same_records_give_them_once() -> None:
    store = Store()
    log = WriteAheadLog(StoreFolder(store, lasting=False))
    log.recover(0)
    log.append(group(0, 1))
    log.append([block(2)])
    log.roll()
    whole = store.files[f"{0:020d}-0.wal"]
    for cut in range(len(whole)):
        store.files = {f"{0:020d}-0.wal": whole[:cut], f"{0:020d}-1.wal": whole}
        assert recovered(WriteAheadLog(StoreFolder(store)), 0) == (0, [0, 1, 2])
        store.files = {f"{0:020d}-0.wal": whole, f"{0:020d}-1.wal": whole[:cut]}
        assert recovered(WriteAheadLog(StoreFolder(store)), 0) == (0, [0, 1, 2])


def test_a_log_that_was_closed_is_not_written_to(tmp_path: Path) -> None:
    log = WriteAheadLog(LocalFolder(str(tmp_path)))
    log.recover(0)
    log.close()
    log.close()
    with pytest.raises(OSError, match="stopped"):
        log.append([block("late")])
    assert segments(tmp_path) == []


# ---------------------------------------------------------------------- processes

APPENDING = """
import sys
from dstreams._sources.blocks import pickled
from dstreams._sources.write_ahead import LocalFolder, WriteAheadLog
log = WriteAheadLog(LocalFolder(sys.argv[1]))
log.recover(0)
while True:
    log.append([block for n in range(log.end, log.end + 1 + log.end % 7) for block in pickled([n])])
    if log.end % 5 == 0:
        log.roll()
    print(log.end, flush=True)
"""


def test_a_process_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    acknowledged = 0
    for lines in (1, 40, 300):
        before = acknowledged
        with running(APPENDING, str(tmp_path)) as process:
            assert process.stdout is not None
            for _ in range(lines):
                acknowledged = int(process.stdout.readline())
            process.kill()
            for line in process.stdout.read().split("\n")[:-1]:
                acknowledged = int(line)
        assert acknowledged > before
        first, records = read(tmp_path)
        assert first == 0
        assert records == list(range(len(records)))
        assert len(records) >= acknowledged
        end = 0
        while end < len(records):
            end += 1 + end % 7
        assert end == len(records), "what was written together is there as a whole"


# ---------------------------------------------------------------------- where it is


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:/tmp/c", "/tmp/c"),
        ("file:///tmp/c", "/tmp/c"),
        ("file://localhost/tmp/c", "/tmp/c"),
        ("file:/tmp/a%20b c#d?e", "/tmp/a%20b c#d?e"),
        ("/tmp/c", "/tmp/c"),
        ("/tmp/12:30/c", "/tmp/12:30/c"),
        ("hdfs://name:8020/c", None),
        ("s3a://bucket/c", None),
    ],
)
def test_local_paths(uri: str, path: str | None) -> None:
    assert local_path(uri) == path


def test_a_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert local_path("some/log") == f"{tmp_path}/some/log"
    assert local_path("12/30:log") == f"{tmp_path}/12/30:log"


def test_start() -> None:
    assert Start() == Start(None, None, None) == FRESH
    FRESH.report("started", "nobody listens")
    assert count(None) == 0
    assert count({"n": 12}) == 12


class Stream:
    """An output stream of the JVM; what was not passed on is nowhere."""

    def __init__(self, files: MemoryFiles, name: str) -> None:
        self._files = files
        self._name = name
        self._written = b""

    def write(self, data: bytearray) -> None:
        if self._files.broken:
            raise OSError("java.io.IOException: out of order\n\tat org.apache.hadoop.hdfs.DataStreamer")
        self._written += data

    def hasCapability(self, what: str) -> bool:
        return self._files.capability == what

    def hflush(self) -> None:
        assert self._files.capability == "hflush"
        self._files.files[self._name] = self._written

    def flush(self) -> None:
        assert self._files.capability is None

    def close(self) -> None:
        self._files.files[self._name] = self._written


class MemoryFiles:
    """Stands in for :class:`Files`, whose file system is a JVM's."""

    def __init__(self, root: str, capability: str | None = None) -> None:
        self.root = root
        self.capability = capability
        self.files: dict[str, bytes] = {}
        self.broken = False

    def names(self, folder: str) -> list[str]:
        return [name.rpartition("/")[2] for name in self.files if name.startswith(f"{folder}/")]

    def read(self, name: str) -> bytes:
        return self.files[name]

    def stream(self, name: str) -> Stream:
        return Stream(self, name)

    def delete(self, name: str) -> None:
        if self.broken:
            raise OSError("java.io.IOException: out of order")
        del self.files[name]


def hadoop(capability: str | None = None) -> Any:
    return MemoryFiles("hdfs://name:8020/c", capability)


def test_which_folder(tmp_path: Path) -> None:
    files: Any = MemoryFiles(f"file:{tmp_path}")
    folder = log_folder(files, "_dstreams/log/lines")
    assert isinstance(folder, LocalFolder)
    assert (folder.folder, folder.lasting) == (f"{tmp_path}/_dstreams/log/lines", True)
    other = log_folder(hadoop(), "_dstreams/log/lines")
    assert isinstance(other, HadoopFolder)
    assert (other.folder, other.lasting) == ("hdfs://name:8020/c/_dstreams/log/lines", False)


@pytest.mark.parametrize("capability", ["hflush", None])
def test_a_log_on_another_file_system(capability: str | None) -> None:
    files = hadoop(capability)
    log = WriteAheadLog(HadoopFolder(files, "log"))
    assert recovered(log, 0) == (0, [])
    log.append([block("a")])
    assert (log.safe, log.end) == (0, 1), "nobody promises that it survives before its file is complete"
    assert list(files.files) == ([f"log/{0:020d}-0.wal"] if capability else []), "but it is passed on where that works"
    files.broken = True
    with pytest.raises(OSError, match=r"^java.io.IOException: out of order$"):
        log.append([block("b")])
    files.broken = False
    log.append([block("b")])
    log.roll()
    assert (log.safe, log.end) == (2, 2)
    log.append([block("c")])
    log.close()
    assert recovered(WriteAheadLog(HadoopFolder(files, "log")), 0) == (0, ["a", "b", "c"])
    files.broken = True
    with pytest.raises(OSError, match=r"^java.io.IOException: out of order$"):
        log.forget(2)
    files.broken = False
    log.forget(2)
    assert list(files.files) == [f"log/{2:020d}-0.wal"]


# ---------------------------------------------------------------------- a receiver


class Feed(ReceiverReader):
    """Receives what a test gives it."""

    def __init__(self, log: LogFolder | None, resume: int, committed: int) -> None:
        self.status = Status()
        self.given: Queue[list[Any] | None] = Queue()
        start = Start({"n": resume}, {"n": committed}, log and (lambda: log), self.status.report)
        super().__init__("feed", start, Settings(restart_seconds=0.01, block_seconds=3600))

    def receive(self) -> None:
        while (records := self.given.get()) is not None:
            if not self.put(records):
                return

    def interrupt(self) -> None:
        self.given.put(None)

    def errors(self) -> list[str]:
        return self.status.texts("error")


@pytest.fixture
def closed() -> Iterator[Callable[..., Feed]]:
    """Give a function that makes receivers; they end with the test."""
    made: list[Feed] = []

    def make(log: LogFolder | None = None, resume: int = 0, committed: int = 0) -> Feed:
        made.append(Feed(log, resume, committed))
        return made[-1]

    yield make
    for reader in made:
        reader.stop()
        assert reader._thread is None or not reader._thread.is_alive()


@pytest.fixture
def feed(closed: Callable[..., Feed]) -> Callable[..., Feed]:
    """Give a function that opens receivers; they end with the test."""

    def make(log: LogFolder | None = None, resume: int = 0, committed: int = 0) -> Feed:
        reader = closed(log, resume, committed)
        reader.open()
        return reader

    return make


def local(path: Path) -> LocalFolder:
    return LocalFolder(str(path))


def receive(reader: Feed, *blocks: list[Any]) -> int:
    """Let a receiver have blocks; its new offset."""
    end = received(reader) + sum(map(len, blocks))
    for records in blocks:
        reader.given.put(records)
    until(lambda: received(reader) == end)
    return end


def test_a_receiver_without_a_log(feed: Callable[..., Feed]) -> None:
    reader = feed()
    assert reader.latest(None) == {"n": 0}
    assert reader.batch(None, {"n": 0}) is None
    assert receive(reader, ["a", "b"], ["c", "d"]) == 4
    assert (taken(reader, 0, 2), reader.records) == (["a", "b"], 2)
    reader.commit({"n": 2})
    assert taken(reader, 2, 4) == ["c", "d"]
    assert taken(reader, 0, 2) == [], "committed and forgotten"
    assert reader.latest({"n": 2}) == {"n": 4}


def test_a_receiver_without_a_log_goes_on_with_the_numbers(feed: Callable[..., Feed]) -> None:
    reader = feed(None, 12, 10)
    assert reader.latest({"n": 10}) == {"n": 12}
    assert taken(reader, 10, 12) == [], "what the earlier process had received is lost, as on the old engine"
    assert receive(reader, ["a"]) == 13
    assert taken(reader, 12, 13) == ["a"]


def test_a_second_receiver_goes_on_with_exactly_the_rest(feed: Callable[..., Feed], tmp_path: Path) -> None:
    first = feed(local(tmp_path))
    receive(first, ["a", "b"])
    assert taken(first, 0, 2) == ["a", "b"]
    receive(first, ["c"], ["d"])
    first.commit({"n": 2})
    assert taken(first, 2, 4) == ["c", "d"]
    receive(first, ["e"])
    first.stop()

    # The batch of c and d was not committed.
    second = feed(local(tmp_path), 4, 2)
    assert second.latest({"n": 2}) == {"n": 5}
    assert second.batch({"n": 2}, {"n": 2}) is None
    assert taken(second, 2, 4) == ["c", "d"]
    receive(second, ["f"])
    second.commit({"n": 4})
    assert taken(second, 4, 6) == ["e", "f"]
    second.commit({"n": 6})
    assert segments(tmp_path) == []
    second.stop()

    third = feed(local(tmp_path), 6, 6)
    assert third.latest({"n": 6}) == {"n": 6}
    assert third.batch({"n": 6}, {"n": 6}) is None
    assert taken(third, 4, 6) == []
    receive(third, ["g"])
    assert taken(third, 6, 7) == ["g"]


def test_a_block_is_in_the_log_before_a_batch_can_take_it(feed: Callable[..., Feed], tmp_path: Path) -> None:
    reader = feed(local(tmp_path))
    for n in range(1, 20):
        receive(reader, [n])
        copy = WriteAheadLog(StoreFolder(store := Store()))
        store.files = {file.name: file.read_bytes() for file in segments(tmp_path)}
        assert recovered(copy, 0) == (0, list(range(1, n + 1)))


@pytest.mark.parametrize("lines", [True, False])
def test_a_block_has_the_same_bytes_everywhere(
    run: Callable[..., Any], feed: Callable[..., Feed], tmp_path: Path, lines: bool
) -> None:
    """In memory, in the log, in a batch, and when they are recovered; nobody looks at the records meanwhile."""
    blocks = pickled(["a", {"b": None}]) + pickled(list(range(3_000)))
    if lines:
        blocks = [Block(b"a\n\xff\n", 2), Block(("ü" * 200_000 + "\n").encode(), 1), Block(b"\n", 1)]

    def make() -> ReceiverReader:
        reader: ReceiverReader
        reader = run(SocketSource("127.0.0.1", 1, QUICK), tmp_path)[0] if lines else feed(local(tmp_path))
        return reader

    reader = make()
    assert reader.put_blocks([blocks[:2], blocks[2:]])
    assert list(reader._blocks) == blocks
    end = {"n": sum(each.records for each in blocks)}
    assert reader.latest(None) == end
    cut = reader.batch(None, end)
    assert cut is not None
    assert b"".join(cut.chunks) == b"".join(each.data for each in blocks)
    assert lines or cut.chunks == [each.data for each in blocks]
    assert reader.records == end["n"]
    (file,) = segments(tmp_path)
    at = 0
    for each in blocks:
        at = file.read_bytes().index(each.data, at) + len(each.data)
    reader.stop()

    again = make()
    assert list(again._blocks) == blocks
    assert again.latest(None) == end
    assert again.batch(None, end) == cut
    assert taken(again) == decoded(cut.chunks, *([read_line_blocks] if lines else []))


def test_small_blocks_of_lines_are_joined_in_a_batch(run: Callable[..., Any]) -> None:
    """Each chunk costs a task something, and bytes of lines can simply be put together."""
    reader, _ = run(SocketSource("127.0.0.1", 1, QUICK))
    large = b"x" * 200_000 + b"\n"
    several = [Block(b"a\n", 1), Block(b"b\nc\n", 2), Block(large, 1), Block(large, 1), Block(b"d\n", 1)]
    reader.put_blocks([[each] for each in several])
    cut = reader.batch(None, {"n": 6})
    assert cut.chunks == [b"a\nb\nc\n" + large + large, b"d\n"]
    assert taken(reader, 1, 3) == ["b", "c"]


@pytest.mark.parametrize("logged", [True, False])
def test_a_batch_never_ends_inside_a_list(
    feed: Callable[..., Feed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: bool
) -> None:
    """A list that is stored makes several blocks; whoever asks meanwhile sees all of them or none."""
    reader = feed(local(tmp_path) if logged else None)
    keep = reader._keep
    seen: list[int] = []
    asking: list[threading.Thread] = []

    def ask() -> None:
        seen.append(received(reader))

    def keep_and_ask(each: Block) -> None:
        keep(each)
        asking.append(threading.Thread(target=ask))
        asking[-1].start()
        asking[-1].join(0.02)  # it has to wait for the rest; if it had not, it would be done by then

    monkeypatch.setattr(reader, "_keep", keep_and_ask)
    lists = [[f"{n} {number}" for number in range(4_500)] for n in range(4)]
    for n, records in enumerate(lists, 1):
        assert reader.put(records)
        for thread in asking:
            thread.join()
        assert len(reader._blocks) == len(asking) == 3 * n, "these are the moments at which it could go wrong"
    assert {end % 4_500 for end in seen} == {0}
    assert taken(reader) == [record for records in lists for record in records]


def test_a_batch_never_ends_inside_a_list_that_is_not_safe(feed: Callable[..., Feed]) -> None:
    store = Store()
    reader = feed(StoreFolder(store))
    store.failing = {"close": 1}
    assert reader.put(list(range(4_500)))
    assert received(reader) == 0
    assert reader.put(list(range(4_500, 9_000)))
    store.failing = {}
    assert received(reader) == 9_000
    assert taken(reader) == list(range(9_000))


def test_a_list_is_in_the_log_as_a_whole_or_not_at_all(feed: Callable[..., Feed], tmp_path: Path) -> None:
    """Where a process was killed while it wrote, or the machine lost the end of the file."""
    reader = feed(local(tmp_path / "whole"))
    assert reader.put(["before"])
    first = segments(tmp_path / "whole")[0].stat().st_size
    assert reader.put(list(range(5_000)))
    reader.stop()
    (file,) = segments(tmp_path / "whole")
    data = file.read_bytes()
    folder = tmp_path / "cut"
    folder.mkdir()
    inside = [data.index(each.data) for each in pickled(list(range(5_000)))]
    assert len(inside) == 3
    for cut in [first, *range(first, len(data), 997), *inside, *(at - 20 for at in inside), len(data) - 1]:
        (folder / file.name).write_bytes(data[:cut])
        assert read(folder) == (0, ["before"])
    (folder / file.name).write_bytes(data)
    assert read(folder) == (0, ["before", *range(5_000)])


def test_a_list_above_the_rate_is_cut(
    feed: Callable[..., Feed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else no rate could be kept; each piece is in the log by itself."""
    reader = feed(local(tmp_path))
    reader.limit = RateLimit(10_000, 0.3)
    monkeypatch.setattr(reader._stopped, "wait", lambda seconds: False)
    written: list[int] = []
    append = WriteAheadLog.append

    def note(log: WriteAheadLog, blocks: list[Block]) -> None:
        written.append(sum(each.records for each in blocks))
        append(log, blocks)

    monkeypatch.setattr(WriteAheadLog, "append", note)
    assert reader.put(list(range(7_000)))
    assert written == [3_000, 3_000, 1_000]
    assert taken(reader) == list(range(7_000))


def test_what_is_collected_when_the_receiver_is_stopped_is_still_written_down(
    feed: Callable[..., Feed], tmp_path: Path
) -> None:
    reader = feed(local(tmp_path))
    reader.collector.add("single")
    assert received(reader) == 0
    reader.stop()
    assert read(tmp_path) == (0, ["single"])
    assert not reader.put(["late"]), "it is taken no more"
    assert reader.status.said == [], "who stores it is told, so there is nothing to tell"
    assert read(tmp_path) == (0, ["single"])


def test_a_list_that_comes_while_the_log_is_closed_is_not_taken_without_a_word(
    feed: Callable[..., Feed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stored by a thread of the program's, for which a stop does not wait."""
    reader = feed(local(tmp_path))
    append = WriteAheadLog.append

    def append_too_late(log: WriteAheadLog, blocks: list[Block]) -> None:
        reader.stop()
        append(log, blocks)

    monkeypatch.setattr(WriteAheadLog, "append", append_too_late)
    assert not reader.put(["late"])
    assert reader.status.said == []
    assert read(tmp_path) == (0, [])


def test_what_was_received_before_the_first_batch_is_not_lost(feed: Callable[..., Feed], tmp_path: Path) -> None:
    write(tmp_path, ["a"])
    reader = feed(local(tmp_path))
    assert reader.latest(None) == {"n": 1}
    assert taken(reader, 0, 1) == ["a"]


@pytest.mark.parametrize(
    ("resume", "committed", "message"),
    [
        (4, 2, r"lacks the records 3 to 3 of the batch that has to be run again"),
        (9, 2, r"lacks the records 3 to 8 of the batch that has to be run again"),
        (9, 5, r"lacks the records 5 to 8 of the batch that has to be run again"),
    ],
)
def test_records_that_are_missing_are_not_passed_over(
    closed: Callable[..., Feed], tmp_path: Path, resume: int, committed: int, message: str
) -> None:
    write(tmp_path, [0, 1], [2])
    reader = closed(local(tmp_path), resume, committed)
    with pytest.raises(CheckpointError, match=f"^feed: its write-ahead log in {tmp_path} {message}"):
        reader.open()
    assert reader._thread is None, "it receives nothing that could not be processed"


def test_a_log_that_begins_too_late(closed: Callable[..., Feed], tmp_path: Path) -> None:
    write(tmp_path, [0, 1])
    write(tmp_path, [2])
    segments(tmp_path)[0].unlink()
    with pytest.raises(CheckpointError, match="lacks the records 0 to 1 that come next"):
        closed(local(tmp_path), 0, 0).open()
    with pytest.raises(CheckpointError, match="lacks the records 0 to 1 of the batch that has to be run again"):
        closed(local(tmp_path), 3, 0).open()


def test_a_damaged_log_is_told_before_anything_is_received(closed: Callable[..., Feed], tmp_path: Path) -> None:
    write(tmp_path, [0, 1])
    (file,) = segments(tmp_path)
    file.write_bytes(b"x" + file.read_bytes()[1:])
    reader = closed(local(tmp_path))
    with pytest.raises(CheckpointError, match=f"^feed: the write-ahead log is damaged: {file}"):
        reader.open()
    assert reader._thread is None
    reader.stop()
    assert segments(tmp_path) == [file], "nothing was changed"


def test_a_log_of_an_older_version_is_told_before_anything_is_received(
    closed: Callable[..., Feed], tmp_path: Path
) -> None:
    (tmp_path / f"{0:020d}-0.log").write_bytes(b"?")
    reader = closed(local(tmp_path))
    with pytest.raises(
        CheckpointError, match=f"^feed: the write-ahead log in {tmp_path} has files of an older version"
    ):
        reader.open()
    assert reader._thread is None


def test_a_log_that_cannot_be_read(closed: Callable[..., Feed]) -> None:
    store = Store()
    store.failing = {"names": 1}
    with pytest.raises(CheckpointError, match=r"^feed: nobody answers$"):
        closed(StoreFolder(store)).open()


@pytest.mark.parametrize("lasting", [True, False])
def test_a_full_disk_holds_the_receiver_back_until_there_is_room(feed: Callable[..., Feed], lasting: bool) -> None:
    store = Store()
    reader = feed(StoreFolder(store, lasting))
    receive(reader, ["a"])
    store.failing = {"append": 1}
    reader.given.put(["b"])
    reader.given.put(["c"])
    tries = store.calls["append"]
    until(lambda: store.calls["append"] > tries + 5)
    assert reader.errors() == [
        "cannot write to the write-ahead log (no space left); reading no more, trying again every 0.01 s"
    ]
    assert received(reader) == 1, "what is not in the log is not for a batch"
    assert reader.given.qsize() == 1, "it has read no more"
    store.failing = {}
    until(lambda: received(reader) == 3)
    assert taken(reader, 0, 3) == ["a", "b", "c"]
    assert reader.status.texts("resumed") == ["the write-ahead log can be written again, nothing was lost"]
    assert recovered(WriteAheadLog(StoreFolder(store)), 0) == (0, ["a", "b", "c"])


def test_a_receiver_that_is_stopped_while_the_disk_is_full_says_what_is_lost(feed: Callable[..., Feed]) -> None:
    store = Store()
    reader = feed(StoreFolder(store))
    store.failing = {"append": 1}
    reader.given.put(["a", "b"])
    until(lambda: bool(reader.errors()))
    reader.stop()
    assert reader.errors()[1:] == ["2 records could not be written to the write-ahead log and are lost"]


def test_a_batch_takes_only_what_is_safe(feed: Callable[..., Feed]) -> None:
    store = Store()
    reader = feed(StoreFolder(store))
    receive(reader, ["a"])
    store.failing = {"close": 1}
    reader.given.put(["b"])
    until(lambda: len(reader._blocks) == 2)
    assert received(reader) == 1
    assert reader.errors() == ["cannot complete a file of the write-ahead log (the upload failed); trying again"]
    store.failing = {}
    assert received(reader) == 2
    assert recovered(WriteAheadLog(StoreFolder(store)), 0) == (0, ["a", "b"])


def test_a_file_that_cannot_be_deleted_does_no_harm(feed: Callable[..., Feed]) -> None:
    store = Store()
    reader = feed(StoreFolder(store))
    receive(reader, ["a"])
    store.failing = {"delete": 1}
    reader.commit({"n": 1})
    assert reader.errors() == ["cannot delete a file of the write-ahead log (not now); trying again"]
    assert len(store.files) == 1
    receive(reader, ["b"])
    store.failing = {}
    reader.commit({"n": 2})
    assert store.files == {}


# ---------------------------------------------------------------------- a socket, and a process that is killed

RECEIVING = """
import json, sys, time
from dstreams._sources.receiver import Settings
from dstreams._sources.socket import SocketSource
from dstreams._sources.start import Start
from dstreams._sources.write_ahead import LocalFolder
port, folder, resume, committed, pause = json.loads(sys.argv[1])
start, end = {"n": committed}, {"n": resume}
reader = SocketSource("127.0.0.1", port, Settings()).reader(Start(end, start, lambda: LocalFolder(folder)), None)
reader.open()
again = start != end
while True:
    if not again:
        end = reader.latest(start)
    again = False
    time.sleep(pause)
    if start == end:
        continue
    records = b"".join(reader.batch(start, end).chunks).decode().split("\\n")[:-1]
    print(json.dumps([start["n"], end["n"], records]), flush=True)  # now the batch before this one is committed
    reader.commit(start)
    start = end
"""


@pytest.mark.parametrize("pause", [0, 0.02])
def test_a_receiver_that_is_killed_while_lines_come(tmp_path: Path, pause: float) -> None:
    """Every line that was read is in one batch, however often the process is killed."""
    batches: dict[int, tuple[int, list[str]]] = {}
    sent = resume = committed = 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        for lines in (2000, 50, 1000):
            arguments = [server.getsockname()[1], str(tmp_path), resume, committed, pause]
            with running(RECEIVING, json.dumps(arguments)) as process:
                connection, _ = server.accept()
                with connection:
                    for _ in range(lines // 10):
                        connection.sendall("".join(f"{sent + i}\n" for i in range(10)).encode())
                        sent += 10
                        time.sleep(0.001)
                    # What the kernel still has of a connection is lost with it, whoever reads it.
                    until(lambda sent=sent: logged(tmp_path) == sent)  # type: ignore[misc]
                    process.kill()
                assert process.stdout is not None
                for line in process.stdout.read().split("\n")[:-1]:
                    committed, resume, records = json.loads(line)
                    assert batches.setdefault(committed, (resume, records)) == (resume, records)
    ahead = WriteAheadLog(local(tmp_path))
    first, blocks = ahead.recover(resume)
    rest = decoded([each.data for each in blocks], read_line_blocks)
    assert first == resume
    everything = [line for _, (_, records) in sorted(batches.items()) for line in records] + rest
    assert everything == [str(n) for n in range(sent)]


@contextmanager
def running(program: str, argument: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program that does not outlive the test."""
    with subprocess.Popen([sys.executable, "-c", program, argument], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def logged(folder: Path) -> int:
    """Count of the records that a running receiver has written down."""
    store = Store()
    try:
        store.files = {file.name: file.read_bytes() for file in segments(folder)}
    except FileNotFoundError:  # forgotten meanwhile
        return -1
    log = WriteAheadLog(StoreFolder(store))
    log.recover(0)
    return log.end
