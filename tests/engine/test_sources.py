"""Sockets and files, on the real clock: what is read, what is left alone, and what is said about it."""

from __future__ import annotations

import ctypes
import logging
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.harness import Output
from tests.programs.feed import Feed
from tests.unit.receivers import until

pytestmark = pytest.mark.engine

INTERVAL = 0.5


def drop(directory, name, content, mtime=None) -> None:
    """Put a file into a watched directory at once, as users should: write it elsewhere, then move it."""
    hidden = directory.parent / f"{directory.name}-{name}.part"
    hidden.write_bytes(content)
    if mtime is not None:
        os.utime(hidden, (mtime, mtime))
    hidden.rename(directory / name)


@contextmanager
def listings(directory) -> Iterator[Callable[[], bool]]:
    """Watch a directory; the result tells, at any later time, whether somebody has listed it meanwhile."""
    access, directories, found = 0x1, 0x40000000, []
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert watch >= 0 and libc.inotify_add_watch(watch, os.fsencode(directory), access) >= 0
    try:
        yield lambda: bool(found)
        with suppress(BlockingIOError):
            while data := os.read(watch, 65536):
                while data:
                    _, mask, _, length = struct.unpack_from("iIII", data)
                    found += [mask] if mask & directories and not length else []  # with a name it is an entry's
                    data = data[16 + length :]
    finally:
        os.close(watch)


# ---------------------------------------------------------------------- sockets


def test_lines_of_every_kind(streaming):
    with Feed() as feed:
        ssc = streaming(INTERVAL)
        output = Output(ssc.socketTextStream(feed.host, feed.port))
        ssc.start()
        feed.wait_for_client()
        feed.send("eins\nzwei\r\ndrei\rvier ä 漢\n\nbad \udcff byte\n".encode("utf-8", "surrogateescape"))
        output.wait_for(lambda o: len(o.elements) >= 6)
        assert output.elements == ["eins", "zwei", "drei", "vier ä 漢", "", "bad \ufffd byte"]
        empty = [n for batch, n in zip(output.batches, output.partitions, strict=True) if not batch]
        assert set(empty) <= {0}, "a batch without data has no partitions, as on the old engine"


def test_server_that_comes_later_and_drops_the_connection(streaming, caplog):
    caplog.set_level(logging.INFO, "dstreams")
    with Feed() as reserved:
        port = reserved.port
    ssc = streaming(INTERVAL)
    output = Output(ssc.socketTextStream("127.0.0.1", port))
    ssc.start()
    output.wait_for_more(2)
    with Feed(port) as feed:
        feed.wait_for_client(1)
        feed.send(b"whole\nhalf a li")
        output.wait_for(lambda o: "whole" in o.elements)
        feed.drop()
        feed.wait_for_client(2)
        feed.send(b"after\n")
        output.wait_for(lambda o: "after" in o.elements)
        # The unterminated line is delivered when the connection ends.
        assert output.elements == ["whole", "half a li", "after"]
    text = caplog.text
    assert text.count(f"nobody answers at 127.0.0.1:{port}") == 1, "said once, however often it tries"
    assert f"connected to 127.0.0.1:{port}" in text and "closed the connection" in text


def test_port_nobody_listens_on_stops_quickly(streaming, caplog):
    caplog.set_level(logging.INFO, "dstreams")
    with Feed() as reserved:
        port = reserved.port
    ssc = streaming(INTERVAL)
    output = Output(ssc.socketTextStream("127.0.0.1", port))
    ssc.start()
    output.wait_for_more(3)
    assert f"nobody answers at 127.0.0.1:{port}" in caplog.text
    assert ssc.awaitTerminationOrTimeout(0) is False
    started = time.monotonic()
    ssc.stop(stopSparkContext=False)
    assert time.monotonic() - started < 5
    assert ssc.awaitTerminationOrTimeout(0) is True


def test_many_socket_streams_and_a_large_batch(streaming):
    with Feed() as one, Feed() as two, Feed() as three:
        ssc = streaming(INTERVAL)
        streams = [ssc.socketTextStream(feed.host, feed.port) for feed in (one, two, three)]
        output = Output(ssc.union(*streams).map(len).reduce(lambda a, b: a + b))
        ssc.start()
        lines = b"".join(b"%09d\n" % i for i in range(100_000))
        for feed in (one, two, three):
            feed.wait_for_client()
            feed.send(lines)
        output.wait_for(lambda o: sum(o.elements) == 3 * 9 * 100_000)


def test_receiver_events(streaming):
    from dstreams import StreamingListener

    class Listener(StreamingListener):
        def __init__(self):
            self.events = []
            self.records = 0
            self.done = threading.Event()

        def onReceiverStarted(self, event):
            self.events.append(("started", event.receiverInfo().active()))

        def onReceiverStopped(self, event):
            self.events.append(("stopped", event.receiverInfo().active()))

        def onBatchCompleted(self, event):
            self.records += event.batchInfo().numRecords()
            if self.records == 3 and ("stopped", False) in self.events:
                self.done.set()

    with Feed() as feed:
        ssc = streaming(INTERVAL)
        listener = Listener()
        ssc.addStreamingListener(listener)
        Output(ssc.socketTextStream(feed.host, feed.port))
        ssc.start()
        feed.wait_for_client()
        feed.send(b"a\nb\nc\n")
        feed.drop()
        assert listener.done.wait(200), (listener.events, listener.records)
        assert listener.events[0] == ("started", True)


def test_a_connection_that_ends_is_no_error(streaming):
    from dstreams import StreamingListener

    class Listener(StreamingListener):
        def __init__(self):
            self.events = []
            self.again = threading.Event()

        def onReceiverStarted(self, event):
            self.events.append("started")
            if len(self.events) == 3:
                self.again.set()

        def onReceiverStopped(self, event):
            self.events.append("stopped")

        def onReceiverError(self, event):
            self.events.append("error")

    with Feed() as feed:
        ssc = streaming(INTERVAL)
        listener = Listener()
        ssc.addStreamingListener(listener)
        Output(ssc.socketTextStream(feed.host, feed.port))
        ssc.start()
        feed.wait_for_client()
        feed.drop()
        assert listener.again.wait(200), listener.events
        assert listener.events == ["started", "stopped", "started"]
        assert ssc.awaitTerminationOrTimeout(0) is False


# ---------------------------------------------------------------------- files


def test_which_files_are_read(streaming, tmp_path):
    incoming = tmp_path / "in"
    incoming.mkdir()
    now = time.time()
    drop(incoming, "existed", b"existed\n", now - 10)
    ssc = streaming(INTERVAL)
    output = Output(ssc.textFileStream(str(incoming)))
    drop(incoming, "between", b"between definition and start\n", now + 1)
    ssc.start()
    output.wait_for(lambda o: len(o.elements) >= 1)
    drop(incoming, ".hidden", b"hidden\n")
    drop(incoming, "_temporary", b"hidden too\n")
    drop(incoming, "10:30.log", b"Hadoop cannot read it\n")
    drop(incoming, "moved-in-old", b"older than the stream\n", now - 120)
    (incoming / "sub").mkdir()
    drop(incoming / "sub", "deep", b"one level too deep\n")
    drop(incoming, "new", "l1\r\nl2 ä\n\nl\udcff4".encode("utf-8", "surrogateescape"))
    output.wait_for(lambda o: len(o.elements) >= 5)
    drop(incoming, "new", b"rewritten under the same name\n")
    drop(incoming, "empty", b"")
    drop(incoming, "last", b"last\n")
    output.wait_for(lambda o: "last" in o.elements)
    output.wait_for_more(2)
    assert sorted(output.elements) == sorted(["between definition and start", "l1", "l2 ä", "", "l\ufffd4", "last"])
    assert set(n for batch, n in zip(output.batches, output.partitions, strict=True) if not batch) <= {0, 1}


def test_directory_that_comes_later(streaming, tmp_path, caplog):
    caplog.set_level(logging.INFO, "dstreams")
    incoming = tmp_path / "later"
    ssc = streaming(INTERVAL)
    output = Output(ssc.textFileStream(str(incoming)))
    ssc.start()
    output.wait_for_more(2)
    assert f"textFileStream({incoming}): no such directory yet" in caplog.text
    incoming.mkdir()
    drop(incoming, "a", b"found\n")
    output.wait_for(lambda o: o.elements == ["found"])


def test_what_lies_beside_a_directory_is_not_listed(streaming, tmp_path):
    """There may be very much, or it may be closed to the program's user."""
    incoming = tmp_path / "above" / "incoming"
    incoming.mkdir(parents=True)
    ssc = streaming(INTERVAL)
    output = Output(ssc.textFileStream(str(incoming)))
    ssc.start()
    output.wait_for_more(1)
    with listings(incoming.parent) as above, listings(incoming) as watched:
        drop(incoming, "a", b"found\n")
        output.wait_for(lambda o: o.elements == ["found"])
    assert watched() and not above()


@pytest.mark.parametrize("name", ["café", "b+", "dot.", "c-3 d", "100%", "a(1)", "a,b", "--", "日本"])
def test_a_directory_that_comes_later_has_any_name(streaming, tmp_path, name):
    incoming = tmp_path / name
    ssc = streaming(INTERVAL)
    output = Output(ssc.textFileStream(str(incoming)))
    ssc.start()
    output.wait_for_more(1)
    incoming.mkdir()
    drop(incoming, "a", b"found\n")
    output.wait_for(lambda o: o.elements == ["found"])


def test_names_and_patterns_stand_for_directories_and_not_for_files(streaming, tmp_path):
    """Files that a pattern matches, and a path that is a file, are not read, as on the old engine."""
    for folder in ("in/a", "in/b", "one"):
        (tmp_path / folder).mkdir(parents=True)
    ssc = streaming(INTERVAL)
    outputs = [
        Output(ssc.textFileStream(str(tmp_path / pattern))) for pattern in ("in/*", "in/*/", "one/x.txt", "in/{a,b}")
    ]
    binary = Output(ssc.binaryRecordsStream(str(tmp_path / "in" / "*"), 2))
    ssc.start()
    outputs[0].wait_for_more(1)
    for name in ("in/top.txt", "one/x.txt", "in/a/f", "in/b/g"):
        drop((tmp_path / name).parent, Path(name).name, f"{Path(name).name[0]}\n".encode())
    expected = [["f", "g"], ["f", "g"], [], ["f", "g"]]
    for output, lines in zip([*outputs, binary], [*expected, [b"f\n", b"g\n"]], strict=True):
        output.wait_for(lambda o, lines=lines: len(o.elements) >= len(lines))
    outputs[2].wait_for_more(2)
    ssc.stop(stopSparkContext=False)
    assert [sorted(output.elements) for output in outputs] == expected
    assert sorted(binary.elements) == [b"f\n", b"g\n"]


def test_a_pattern_whose_alternatives_lie_on_different_levels(streaming, tmp_path):
    for folder in ("near", "far/away"):
        (tmp_path / folder).mkdir(parents=True)
    ssc = streaming(INTERVAL)
    output = Output(ssc.textFileStream(str(tmp_path / "{near,far/away}")))
    ssc.start()
    output.wait_for_more(1)
    drop(tmp_path / "near", "x", b"one\n")
    drop(tmp_path / "far" / "away", "x", b"two\n")
    output.wait_for(lambda o: sorted(o.elements) == ["one", "two"])


def test_glob_of_directories(streaming, tmp_path):
    for name in ("day-1", "day-2"):
        (tmp_path / name).mkdir()
    ssc = streaming(INTERVAL)
    output = Output(ssc.textFileStream(str(tmp_path / "day-*")))
    ssc.start()
    drop(tmp_path / "day-1", "a", b"one\n")
    drop(tmp_path / "day-2", "a", b"two\n")
    output.wait_for(lambda o: sorted(o.elements) == ["one", "two"])


def test_path_that_is_no_directory(streaming, tmp_path, caplog):
    caplog.set_level(logging.INFO, "dstreams")
    (tmp_path / "file").write_text("text\n")
    ssc = streaming(INTERVAL)
    output = Output(ssc.textFileStream(str(tmp_path / "file")))
    blocked = Output(ssc.textFileStream(str(tmp_path / "file" / "below")))
    ssc.start()
    output.wait_for_more(2)
    assert "this is a file, not a directory" in caplog.text
    assert output.elements == blocked.elements == []
    assert ssc.awaitTerminationOrTimeout(0) is False


def test_binary_records(streaming, tmp_path):
    incoming = tmp_path / "in"
    incoming.mkdir()
    ssc = streaming(INTERVAL)
    output = Output(ssc.binaryRecordsStream(str(incoming), 4))
    ssc.start()
    output.wait_for_more(1)
    drop(incoming, "a", b"aaaabbbbcccc")
    output.wait_for(lambda o: o.elements == [b"aaaa", b"bbbb", b"cccc"])
    drop(incoming, "wrong", b"aaaab")
    with pytest.raises(EOFError, match="has 5 bytes, which is no multiple of the record length 4"):
        ssc.awaitTermination(200)
    drop(incoming, "b", b"dddd")
    output.wait_for(lambda o: o.elements[-1:] == [b"dddd"])


def test_file_replaced_or_removed_before_it_is_read(streaming, tmp_path):
    """The batch that finds its file gone fails with its name; the next batches go on."""
    incoming = tmp_path / "in"
    incoming.mkdir()
    ssc = streaming(INTERVAL)
    lines = ssc.textFileStream(str(incoming))

    def remove_first(rdd):
        for file in incoming.iterdir():
            if file.name.startswith("gone"):
                file.unlink()

    lines.foreachRDD(remove_first)
    output = Output(lines)
    ssc.start()
    output.wait_for_more(1)
    drop(incoming, "gone", b"never read\n")
    with pytest.raises(Exception, match="gone"):
        ssc.awaitTermination(200)
    drop(incoming, "b", b"fine\n")
    output.wait_for(lambda o: o.elements == ["fine"])


@pytest.mark.parametrize("method", ["textFileStream", "binaryRecordsStream"])
def test_old_files_are_no_input_and_many_are_no_tasks(streaming, spark_context, tmp_path, method):
    """A directory of the field holds thousands of old files; a batch may bring hundreds."""
    from dstreams import StreamingListener

    class Listener(StreamingListener):
        names: tuple = ()

        def onBatchCompleted(self, event):
            for info in event.batchInfo().streamIdToInputInfo().values():
                self.names += tuple(Path(name).name for name in info.metadataDescription().split())

    incoming, waiting = tmp_path / "in", tmp_path / "waiting"
    incoming.mkdir()
    for i in range(40):
        drop(incoming, f"old-{i}", b"old\n", time.time() - 3600)
    ssc = streaming(INTERVAL)
    records = getattr(ssc, method)(str(incoming), *([4] if method == "binaryRecordsStream" else []))
    tasks: list[int] = []

    def look(rdd):
        """Note the tasks of all jobs of the batch up to here, as long as Spark keeps them."""
        tracker = rdd.context.statusTracker()
        jobs = map(tracker.getJobInfo, tracker.getJobIdsForGroup(rdd.context.getLocalProperty("spark.jobGroup.id")))
        stages = (tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds)
        tasks.extend(stage.numTasks for stage in stages if stage)

    records.foreachRDD(look)
    output = Output(records)
    each = Output(ssc.textFileStream(str(tmp_path / "each" / "*")))
    listener = Listener()
    ssc.addStreamingListener(listener)
    ssc.start()
    output.wait_for_more(2)
    waiting.mkdir()
    for i in range(40):
        (tmp_path / "each" / f"{i}").mkdir(parents=True)
        drop(waiting, f"new-{i}", b"new\n")
    for file in waiting.iterdir():
        file.rename(incoming / file.name)
    output.wait_for(lambda o: len(o.elements) >= 40)
    each.wait_for_more(2)
    drop(tmp_path / "each" / "7", "last", b"last\n")
    each.wait_for(lambda o: o.elements == ["last"])
    ssc.stop(stopSparkContext=False)
    assert set(output.elements) <= {"new", b"new\n"} and len(output.elements) == 40
    assert sorted(listener.names) == sorted([*(f"new-{i}" for i in range(40)), "last"])
    assert 0 < max(tasks) <= 2 * spark_context.defaultParallelism


def test_what_was_read_is_not_written_down_anew_all_the_time(streaming, tmp_path):
    """Spark's file source keeps the names of all files that it has ever read."""
    incoming, received = tmp_path / "in", tmp_path / "received"
    incoming.mkdir()
    received.mkdir()
    ssc = streaming(0.2)
    ssc.checkpoint(str(tmp_path / "checkpoint"))
    ssc.textFileStream(str(incoming)).foreachRDD(lambda rdd: [(received / name).touch() for name in rdd.collect()])
    ssc.start()
    for i in range(12):
        drop(incoming, f"{i}", b"%d\n" % i)
        until((received / f"{i}").exists)
    ssc.stop(stopSparkContext=False)
    names = {path.name for path in (tmp_path / "checkpoint" / "sources").glob("*/*")}
    assert "11" in names
    assert not [name for name in names if name.endswith(".compact")]


def test_files_by_their_modification_time_and_content(streaming, tmp_path):
    """Read is what is newer than the stream, as it is when the batch runs; batches without files have no partition."""
    from dstreams import StreamingListener

    class Listener(StreamingListener):
        told: tuple = ()

        def onBatchCompleted(self, event):
            (info,) = event.batchInfo().streamIdToInputInfo().values()
            self.told += ((event.batchInfo().numRecords(), info.numRecords(), info.metadataDescription()),)

    incoming = tmp_path / "in"
    incoming.mkdir()
    ssc = streaming(INTERVAL)
    lines = ssc.textFileStream(str(incoming))
    now = time.time()

    def swap(rdd):
        if (incoming / "swapped").exists():
            drop(incoming, "swapped", b"after_\n", now + 300)

    lines.foreachRDD(swap)
    output = Output(lines)
    counts = Output(lines.count())
    both = Output(lines.union(lines.map(str.upper)))
    listener = Listener()
    ssc.addStreamingListener(listener)
    ssc.start()
    counts.wait_for_batches(2)
    assert counts.batches[:2] == [[], []], "nothing to count where there is no partition"
    day = 24 * 3600
    for name, after in {"of the future": 5 * day, "late": 150, "swapped": 200}.items():
        drop(incoming, name, name.replace("swapped", "before").encode() + b"\n", now + after)
        output.wait_for(lambda o, name=name: name.replace("swapped", "after_") in o.elements)
    drop(incoming, "last", b"last\n", now + 1)
    output.wait_for(lambda o: "last" in o.elements)
    output.wait_for_more(1)
    assert output.elements == ["of the future", "late", "after_", "last"]
    names = [f"file://{incoming}/{name}" for name in ("of the future", "late", "swapped", "last")]
    assert [told for told in listener.told if told[2]] == [(0, 0, name) for name in names]
    assert (0, 0, "") in listener.told
    both.wait_for(lambda o: "LAST" in o.elements)
    assert sorted(both.elements) == sorted([*output.elements, *(line.upper() for line in output.elements)])
