"""The write-ahead log of receivers: nothing that was written down is lost or given twice, whenever the process dies."""

from __future__ import annotations

import json
import os
import pickle
import random
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any, cast

import pytest

from dstreams._sources import write_ahead
from dstreams._sources.driver_files import DriverFolder
from dstreams._sources.link import Link
from dstreams._sources.receiver import ReceiverReader, Settings, Wiring
from dstreams._sources.start import FRESH, Start, count
from dstreams._sources.write_ahead import LocalFolder, LogFolder, WriteAheadLog, local_path, log_folder


class Store:
    """An object store: a file is there when it has been closed; calls of a method in `failing` raise."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.failing: dict[str, float] = {}
        self.random = random.Random(0)


class StoreFolder:
    """What one process sees of a store."""

    folder = "store:/log"

    def __init__(self, store: Store, lasting: bool = False) -> None:
        self.lasting = lasting
        self._store = store
        self._open: dict[str, bytes] = {}

    def hold(self) -> None:
        pass

    def release(self) -> None:
        pass

    def names(self) -> list[str]:
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
        return self._store.random.random() < self._store.failing.get(method, 0)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


def write(folder: Path, *blocks: list[Any]) -> None:
    """One process that writes blocks and dies."""
    log = WriteAheadLog(LocalFolder(str(folder)))
    log.recover(0)
    for block in blocks:
        log.append(block)
    log._folder.release()  # the only thing that the death of a process does for us


def read(folder: Path, n: int = 0) -> tuple[int, list[Any]]:
    """Another one that reads the log."""
    log = WriteAheadLog(LocalFolder(str(folder)))
    try:
        first, records = log.recover(n)
        assert log.end == log.safe == first + len(records)
        return first, records
    finally:
        log.close()


# ---------------------------------------------------------------------- the log


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    assert read(tmp_path) == (0, [])
    assert read(tmp_path, 7) == (7, [])
    write(tmp_path, ["a", "b"], [], [{"any": ("thing", None)}])
    assert read(tmp_path) == (0, ["a", "b", {"any": ("thing", None)}])
    assert read(tmp_path, 1) == (1, ["b", {"any": ("thing", None)}])
    assert read(tmp_path, 3) == (3, [])


def test_the_next_process_goes_on_with_the_numbers(tmp_path: Path) -> None:
    for block in (["a", "b"], ["c"], ["d", "e", "f"]):
        write(tmp_path, block)
    assert [file.name for file in segments(tmp_path)] == [f"{first:020d}-0.log" for first in (0, 2, 3)]
    assert read(tmp_path) == (0, list("abcdef"))
    assert read(tmp_path, 2) == (2, list("cdef"))


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
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_a_batch_closes_the_segment_and_a_commit_forgets_it(tmp_path: Path) -> None:
    log = WriteAheadLog(LocalFolder(str(tmp_path)))
    log.recover(0)
    log.append([0, 1])
    log.append([2])
    log.roll()
    log.roll()
    log.append([3, 4])
    log.roll()
    assert [file.name for file in segments(tmp_path)] == [f"{first:020d}-0.log" for first in (0, 3)]
    log.forget(2)
    assert len(segments(tmp_path)) == 2, "record 2 is still needed"
    log.forget(3)
    assert [file.name for file in segments(tmp_path)] == [f"{3:020d}-0.log"]
    log.append([5])
    log.forget(5)
    assert [file.name for file in segments(tmp_path)] == [f"{5:020d}-0.log"]
    log.close()
    assert read(tmp_path, 5) == (5, [5])
    assert read(tmp_path, 3) == (5, [5]), "what was forgotten is missed"


def test_what_was_forgotten_by_nobody_is_forgotten_by_the_next_process(tmp_path: Path) -> None:
    for block in ([0, 1], [2], [3, 4]):
        write(tmp_path, block)
    log = WriteAheadLog(LocalFolder(str(tmp_path)))
    assert log.recover(4) == (4, [4])
    assert len(segments(tmp_path)) == 3, "nothing goes before Spark says that it has been processed"
    log.forget(4)
    assert [file.name for file in segments(tmp_path)] == [f"{3:020d}-0.log"]
    log.forget(5)
    assert segments(tmp_path) == []
    log.append([5])
    log.close()
    assert read(tmp_path, 5) == (5, [5])


def test_the_log_goes_on_where_the_offset_log_ends_when_that_is_further(tmp_path: Path) -> None:
    # As when the machine failed, and lost the end of a file whose records had been processed.
    write(tmp_path, [0, 1])
    log = WriteAheadLog(LocalFolder(str(tmp_path)))
    assert log.recover(5) == (5, [])
    assert log.end == 5
    log.append(["five"])
    log.close()
    assert read(tmp_path, 5) == (5, ["five"])
    with pytest.raises(RuntimeError, match=r"lacks the records 2 to 4: the file before 0{19}5-0.log"):
        read(tmp_path, 1)


def test_a_large_segment_is_closed_before_a_batch_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_ahead, "SEGMENT_BYTES", 100)
    write(tmp_path, *([n] for n in range(20)))
    assert len(segments(tmp_path)) > 3
    assert read(tmp_path) == (0, list(range(20)))
    assert read(tmp_path, 11) == (11, list(range(11, 20)))


def test_files_that_are_none_of_ours_do_not_matter(tmp_path: Path) -> None:
    write(tmp_path, ["a"])
    for name in (f".{0:020d}-0.log.crc", "notes.txt", f"{1:020d}-0.log.tmp"):
        (tmp_path / name).write_bytes(b"?")
    assert read(tmp_path) == (0, ["a"])


# ---------------------------------------------------------------------- damage


@pytest.mark.parametrize("before", [[], [["a", "b"], ["c"]]])
def test_a_torn_tail_is_ignored_wherever_it_is_torn(tmp_path: Path, before: list[list[str]]) -> None:
    kept = [record for block in before for record in block]
    write(tmp_path / "0", *before, ["torn", "off"])
    (file,) = segments(tmp_path / "0")
    data = file.read_bytes()
    write(tmp_path / "before", *before)
    whole = sum(file.stat().st_size for file in segments(tmp_path / "before"))
    assert read(tmp_path / "0") == (0, [*kept, "torn", "off"])
    for cut in range(whole, len(data)):
        folder = tmp_path / f"cut at {cut}"
        write(folder)
        (folder / file.name).write_bytes(data[:cut])
        assert read(folder) == (0, kept)
        write(folder, ["x"])
        write(folder, ["y", "z"])
        assert read(folder) == (0, [*kept, "x", "y", "z"])


def test_damage_within_the_log_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    write(tmp_path, ["first"], ["second"], ["third"])
    (file,) = segments(tmp_path)
    data = file.read_bytes()
    for at in range(len(data)):
        file.write_bytes(data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :])
        with pytest.raises(RuntimeError, match=f"the write-ahead log is damaged: {file}, at byte \\d+. Restore it"):
            read(tmp_path)
    file.write_bytes(data)
    assert read(tmp_path) == (0, ["first", "second", "third"])


def test_damage_in_what_is_not_needed_any_more_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path, [0, 1])
    write(tmp_path, [2])
    segments(tmp_path)[0].write_bytes(b"\0" * 100)
    assert read(tmp_path, 2) == (2, [2])
    with pytest.raises(RuntimeError, match="damaged"):
        read(tmp_path, 1)


def test_a_missing_segment_is_an_error(tmp_path: Path) -> None:
    for block in ([0, 1], [2], [3, 4], [5]):
        write(tmp_path, block)
    segments(tmp_path)[2].unlink()
    with pytest.raises(RuntimeError, match=r"lacks the records 3 to 4: the file before 0{19}5-0.log is missing"):
        read(tmp_path)
    assert read(tmp_path, 5) == (5, [5]), "not if it is not needed"


def test_a_segment_cut_short_in_the_middle_of_the_log_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, [0, 1], [2])
    write(tmp_path, [3])
    file = segments(tmp_path)[0]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match="lacks the records 2 to 2"):
        read(tmp_path)


# ---------------------------------------------------------------------- writing fails


@pytest.mark.parametrize("lasting", [True, False])
def test_whatever_fails_and_whenever_the_process_dies_nothing_safe_is_lost(lasting: bool) -> None:
    for seed in range(150):
        store = Store()
        store.random = chance = random.Random(seed)
        committed = safe = 0
        number = 0  # of the next record; records are their own numbers
        for _ in range(5):
            store.failing = {}
            log = WriteAheadLog(StoreFolder(store, lasting))
            first, records = log.recover(committed)
            assert first == committed
            assert records == list(range(committed, log.end))
            assert log.end >= safe
            number = log.end
            for _ in range(chance.randint(0, 20)):
                store.failing = {method: chance.choice([0, 0, 0.5, 1]) for method in ("append", "close", "delete")}
                try:
                    what = chance.random()
                    if what < 0.6:
                        block = list(range(number, number + chance.randint(1, 3)))
                        log.append(block)
                        number += len(block)
                    elif what < 0.8:
                        log.roll()
                        assert log.safe == log.end == number
                    else:
                        done = chance.randint(committed, log.safe)
                        committed = done
                        log.forget(done)
                except OSError:
                    pass
                assert log.end == number
                assert committed <= log.safe <= log.end
                assert not lasting or log.safe == log.end
            safe = log.safe


def test_a_full_disk_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = WriteAheadLog(LocalFolder(str(tmp_path)))
    log.recover(0)
    log.append(["a"])

    written = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: written(fd, data[:5]))
    log.append(["in small pieces"])

    def half(fd: int, data: memoryview) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return written(fd, data[:10])

    monkeypatch.setattr(os, "write", half)
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            log.append(["much" * 100])
    assert [file.name for file in segments(tmp_path)] == [f"{first:020d}-0.log" for first in (0, 2)]
    monkeypatch.undo()
    log.append(["b"])
    log.close()
    assert len(segments(tmp_path)) == 2
    assert read(tmp_path) == (0, ["a", "in small pieces", "b"])


def test_where_nothing_lasts_before_a_file_is_closed_a_failed_one_is_written_again() -> None:
    store = Store()
    log = WriteAheadLog(StoreFolder(store))
    log.recover(0)
    log.append([0, 1])
    log.roll()
    log.append([2])
    log.append([3])
    store.failing = {"close": 1}
    with pytest.raises(OSError, match="upload"):
        log.roll()
    assert (log.safe, log.end) == (2, 4)
    store.failing = {}
    log.append([4])
    assert (log.safe, log.end) == (2, 5)
    log.roll()
    assert log.safe == 5
    assert sorted(store.files) == [f"{0:020d}-0.log", f"{2:020d}-1.log"]
    assert WriteAheadLog(StoreFolder(store)).recover(1) == (1, [1, 2, 3, 4])


def test_two_files_with_the_same_records_give_them_once() -> None:
    store = Store()
    log = WriteAheadLog(StoreFolder(store, lasting=False))
    log.recover(0)
    log.append([0, 1])
    log.append([2])
    log.roll()
    whole = store.files[f"{0:020d}-0.log"]
    for cut in range(len(whole)):
        store.files = {f"{0:020d}-0.log": whole[:cut], f"{0:020d}-1.log": whole}
        assert WriteAheadLog(StoreFolder(store)).recover(0) == (0, [0, 1, 2])
        store.files = {f"{0:020d}-0.log": whole, f"{0:020d}-1.log": whole[:cut]}
        assert WriteAheadLog(StoreFolder(store)).recover(0) == (0, [0, 1, 2])


def test_a_log_that_was_closed_is_not_written_to(tmp_path: Path) -> None:
    log = WriteAheadLog(LocalFolder(str(tmp_path)))
    log.recover(0)
    log.close()
    log.close()
    with pytest.raises(OSError, match="stopped"):
        log.append(["late"])
    assert segments(tmp_path) == []


def test_a_record_that_cannot_be_pickled_is_named_and_leaves_no_trace(tmp_path: Path) -> None:
    log = WriteAheadLog(LocalFolder(str(tmp_path)))
    log.recover(0)
    with pytest.raises(pickle.PicklingError, match=r"unlocked _thread.lock"):
        log.append(["fine", threading.Lock()])
    log.append(["fine"])
    log.close()
    assert read(tmp_path) == (0, ["fine"])


# ---------------------------------------------------------------------- processes

APPENDING = """
import sys
from dstreams._sources.write_ahead import LocalFolder, WriteAheadLog
log = WriteAheadLog(LocalFolder(sys.argv[1]))
log.recover(0)
while True:
    log.append(list(range(log.end, log.end + 1 + log.end % 7)))
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


def test_two_processes_cannot_have_the_log_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = WriteAheadLog(LocalFolder(str(tmp_path)))
    log.recover(0)
    monkeypatch.setattr(write_ahead, "HOLD_SECONDS", 0.1)
    with pytest.raises(RuntimeError, match=f"another process uses the write-ahead log in {tmp_path}"):
        read(tmp_path)
    threading.Timer(0.3, log.close).start()
    monkeypatch.setattr(write_ahead, "HOLD_SECONDS", 10)
    assert read(tmp_path) == (0, []), "waits for the other one to end"


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
    assert Start(None, None, None, None) == FRESH
    assert count(None) == 0
    assert count({"n": 12}) == 12


class Files:
    """Stands in for :class:`DriverFiles`, whose file system is a JVM's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.broken = False

    def names(self, folder: str) -> list[str]:
        path = self.root / folder.removeprefix("memory:/")
        return os.listdir(path) if path.exists() else []

    def read(self, path: str) -> bytes:
        return (self.root / path.removeprefix("memory:/")).read_bytes()

    def append(self, path: str, data: bytes) -> None:
        if self.broken:
            raise OSError("java.io.IOException: out of order")
        file = self.root / path.removeprefix("memory:/")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as stream:
            stream.write(data)

    def close(self, path: str) -> None:
        pass

    def delete(self, path: str) -> None:
        (self.root / path.removeprefix("memory:/")).unlink()


@pytest.fixture
def link() -> Iterator[Link]:
    made = Link()
    yield made
    made.close()


def test_which_folder(link: Link, tmp_path: Path) -> None:
    assert log_folder(FRESH, link) is None
    local = log_folder(Start(log=f"file:{tmp_path}/log/"), link)
    assert isinstance(local, LocalFolder)
    assert local.folder == f"{tmp_path}/log"
    files: Any = Files(tmp_path)
    other = log_folder(Start(log="memory:/log", files=files), link)
    assert isinstance(other, DriverFolder)
    assert other.folder == "memory:/log"


def test_a_log_that_the_driver_writes(link: Link, tmp_path: Path) -> None:
    files: Any = Files(tmp_path)
    where = log_folder(Start(log="memory:/log", files=files), link)
    again = pickle.loads(pickle.dumps(where))
    log = WriteAheadLog(again)
    assert log.recover(0) == (0, [])
    log.append(["a"])
    assert (log.safe, log.end) == (0, 1)
    files.broken = True
    with pytest.raises(OSError, match=r"^java.io.IOException: out of order$"):
        log.append(["b"])
    files.broken = False
    log.append(["b"])
    log.roll()
    assert (log.safe, log.end) == (2, 2)
    log.append(["c"])
    log.close()
    assert where is not None
    assert WriteAheadLog(where).recover(0) == (0, ["a", "b", "c"])
    log.forget(2)
    assert os.listdir(tmp_path / "log") == [f"{2:020d}-0.log"]


def test_a_driver_that_is_gone_is_an_error_of_the_folder(link: Link, tmp_path: Path) -> None:
    remote = link.serve("files", Files(tmp_path))
    link.close()
    with pytest.raises(OSError, match=r"."):
        DriverFolder("memory:/log", remote).names()


# ---------------------------------------------------------------------- a receiver


class Status:
    """Stands in for the driver."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def call(self, method: str, *args: Any) -> None:
        self.said.append((method, *args))


class Feed(ReceiverReader):
    """Receives what a test gives it."""

    def __init__(self, log: LogFolder | None = None, resume: int = 0, committed: int = 0) -> None:
        self.status = Status()
        self.given: Queue[list[Any] | None] = Queue()
        settings = Settings(restart_seconds=0.01)
        super().__init__(Wiring(cast(Any, self.status), 2, log, resume, committed, settings))

    def describe(self) -> str:
        return "feed"

    def receive(self) -> Iterator[list[Any]]:
        while (block := self.given.get()) is not None:
            yield block

    def interrupt(self) -> None:
        self.given.put(None)

    def errors(self) -> list[str]:
        return [said[2] for said in self.status.said if said[:2] == ("receiver", "error")]


@pytest.fixture
def feed() -> Iterator[Callable[..., Feed]]:
    """Give a function that opens receivers; they end with the test."""
    opened: list[Feed] = []

    def make(log: LogFolder | None = None, resume: int = 0, committed: int = 0) -> Feed:
        opened.append(Feed(log, resume, committed))
        opened[-1].open()
        return opened[-1]

    yield make
    for made in opened:
        made.stop()
        assert not made._thread.is_alive()


def local(path: Path) -> LocalFolder:
    return LocalFolder(str(path))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.002)


def receive(reader: Feed, *blocks: list[Any]) -> int:
    """Let a receiver have blocks; its new offset."""
    end = reader.available(None) + sum(map(len, blocks))
    for block in blocks:
        reader.given.put(block)
    until(lambda: reader.available(None) == end)
    return end


def taken(reader: ReceiverReader, start: int, end: int) -> list[Any]:
    """Records of a batch."""
    parts = reader.partitions({"n": start}, {"n": end})
    return [record for part in parts for chunk in part.chunks for record in pickle.loads(chunk)]


def test_a_receiver_without_a_log(feed: Callable[..., Feed]) -> None:
    reader = feed()
    assert reader.initialOffset() == {"n": 0}
    assert reader.latestOffset() == {"n": 0}
    assert receive(reader, ["a", "b"], ["c", "d"]) == 4
    assert taken(reader, 0, 2) == ["a", "b"]
    reader.commit({"n": 2})
    assert taken(reader, 2, 4) == ["c", "d"]
    assert taken(reader, 0, 1) == [], "committed and forgotten"
    assert reader.latestOffset({"n": 2}, None) == {"n": 4}


def test_a_receiver_without_a_log_goes_on_with_the_numbers(feed: Callable[..., Feed]) -> None:
    reader = feed(None, 12, 10)
    assert reader.latestOffset() == {"n": 12}
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
    assert second.latestOffset() == {"n": 5}
    assert second.partitions({"n": 2}, {"n": 2}) == []
    assert taken(second, 2, 4) == ["c", "d"]
    receive(second, ["f"])
    second.commit({"n": 4})
    assert taken(second, 4, 6) == ["e", "f"]
    second.commit({"n": 6})
    assert segments(tmp_path) == []
    second.stop()

    third = feed(local(tmp_path), 6, 6)
    assert third.latestOffset() == {"n": 6}
    assert third.partitions({"n": 6}, {"n": 6}) == []
    assert taken(third, 4, 6) == []
    receive(third, ["g"])
    assert taken(third, 6, 7) == ["g"]


def test_a_block_is_in_the_log_before_a_batch_can_take_it(feed: Callable[..., Feed], tmp_path: Path) -> None:
    reader = feed(local(tmp_path))
    for n in range(1, 20):
        receive(reader, [n])
        copy = WriteAheadLog(StoreFolder(store := Store()))
        store.files = {file.name: file.read_bytes() for file in segments(tmp_path)}
        assert copy.recover(0) == (0, list(range(1, n + 1)))


def test_a_log_that_is_in_use(feed: Callable[..., Feed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = feed(local(tmp_path))
    monkeypatch.setattr(write_ahead, "HOLD_SECONDS", 0)
    second = feed(local(tmp_path))
    for ask in (second.latestOffset, lambda: second.partitions({"n": 0}, {"n": 1})):
        with pytest.raises(RuntimeError, match="feed: another process uses the write-ahead log"):
            ask()
    receive(first, ["a"])


def test_what_was_received_before_the_first_batch_is_not_lost(feed: Callable[..., Feed], tmp_path: Path) -> None:
    write(tmp_path, ["a"])
    reader = feed(local(tmp_path))
    assert reader.latestOffset() == {"n": 1}
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
    feed: Callable[..., Feed], tmp_path: Path, resume: int, committed: int, message: str
) -> None:
    write(tmp_path, [0, 1, 2])
    reader = feed(local(tmp_path), resume, committed)
    with pytest.raises(RuntimeError, match=f"feed: its write-ahead log in {tmp_path} {message}"):
        reader.partitions({"n": committed}, {"n": resume})
    assert reader.partitions({"n": committed}, {"n": committed}) == []
    assert not reader._thread.is_alive(), "it receives nothing that could not be processed"


def test_a_log_that_begins_too_late(feed: Callable[..., Feed], tmp_path: Path) -> None:
    write(tmp_path, [0, 1])
    write(tmp_path, [2])
    segments(tmp_path)[0].unlink()
    reader = feed(local(tmp_path), 0, 0)
    with pytest.raises(RuntimeError, match="lacks the records 0 to 1 that come next"):
        reader.partitions({"n": 0}, reader.latestOffset({"n": 0}))
    reader.stop()
    reader = feed(local(tmp_path), 3, 0)
    with pytest.raises(RuntimeError, match="lacks the records 0 to 1 of the batch that has to be run again"):
        reader.partitions({"n": 0}, {"n": 3})


def test_a_damaged_log_fails_the_query_when_it_asks(feed: Callable[..., Feed], tmp_path: Path) -> None:
    write(tmp_path, [0, 1])
    (file,) = segments(tmp_path)
    file.write_bytes(b"x" + file.read_bytes()[1:])
    reader = feed(local(tmp_path))
    with pytest.raises(RuntimeError, match=f"feed: the write-ahead log is damaged: {file}"):
        reader.latestOffset()
    assert not reader._thread.is_alive()


@pytest.mark.parametrize("lasting", [True, False])
def test_a_full_disk_holds_the_receiver_back_until_there_is_room(feed: Callable[..., Feed], lasting: bool) -> None:
    store = Store()
    reader = feed(StoreFolder(store, lasting))
    receive(reader, ["a"])
    store.failing = {"append": 1}
    reader.given.put(["b"])
    reader.given.put(["c"])
    until(lambda: bool(reader.errors()))
    time.sleep(0.05)
    assert reader.errors() == [
        "cannot write to the write-ahead log (no space left); reading no more, trying again every 0.01 s"
    ]
    assert reader.available(1) == 1, "what is not in the log is not for a batch"
    assert reader.given.qsize() == 1, "it has read no more"
    store.failing = {}
    until(lambda: reader.available(1) == 3)
    assert taken(reader, 0, 3) == ["a", "b", "c"]
    assert ("receiver", "resumed", "the write-ahead log can be written again, nothing was lost") in reader.status.said
    assert WriteAheadLog(StoreFolder(store)).recover(0) == (0, ["a", "b", "c"])


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
    until(lambda: len(reader._records) == 2)
    assert reader.available(1) == 1
    assert reader.errors() == ["cannot complete a file of the write-ahead log (the upload failed); trying again"]
    store.failing = {}
    assert reader.available(1) == 2
    assert WriteAheadLog(StoreFolder(store)).recover(0) == (0, ["a", "b"])


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
import json, pickle, sys, time
from dstreams._sources.receiver import Wiring
from dstreams._sources.socket import SocketReader
from dstreams._sources.write_ahead import LocalFolder
class Status:
    def call(self, *args): pass
port, folder, resume, committed, pause = json.loads(sys.argv[1])
reader = SocketReader("lines", "127.0.0.1", port, Wiring(Status(), 2, LocalFolder(folder), resume, committed))
reader.open()
start, end = {"n": committed}, {"n": resume}
again = start != end
while True:
    if not again:
        end = reader.latestOffset()
    again = False
    time.sleep(pause)
    if start == end:
        continue
    records = [r for p in reader.partitions(start, end) for c in p.chunks for r in pickle.loads(c)]
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
    first, rest = ahead.recover(resume)
    ahead.close()
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
