from __future__ import annotations

import pickle
import random
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pyspark import RDD, cloudpickle

from dstreams._plan.batch_time import BatchTime
from dstreams._run.clock import Clock
from dstreams._sources import queue
from dstreams._sources.files import BinaryRecordsSource, TextFileSource, _as_glob
from dstreams._sources.queue import InitialSource, QueueReader, QueueSource
from dstreams._sources.receiver import Settings
from dstreams._sources.socket import LineCutter, SocketSource, line_blocks, read_line_blocks
from dstreams._sources.start import FRESH, Start
from dstreams._sources.tick import TickReader
from dstreams._spark.rdd import Cut
from dstreams.testing.feed import FedSource, Feed
from tests.unit.receivers import QUICK, decoded, partitions, received, taken, until

# ---------------------------------------------------------------------- queues


class FakeRDD(RDD[Any]):
    """What a queue uses of an RDD."""

    def __init__(self, compute: Callable[[], list[list[Any]]]) -> None:
        self._compute = compute
        self.computed = 0

    def __repr__(self) -> str:
        return "FakeRDD"

    def getNumPartitions(self) -> int:
        return 1

    def glom(self) -> Any:
        return self

    def collect(self) -> list[list[Any]]:
        self.computed += 1
        return self._compute()

    def mapPartitions(self, f: Any, preservesPartitioning: bool = False) -> Any:
        return FakeRDD(lambda: [list(f(iter(part))) for part in self._compute()])


def rdd(*parts: list[Any]) -> FakeRDD:
    return FakeRDD(lambda: list(parts))


def broken() -> FakeRDD:
    """An RDD that cannot be computed."""

    def fail() -> Any:
        raise ValueError("it cannot be had")

    return FakeRDD(fail)


class FakeContext:
    """What a queue uses of a SparkContext."""

    def parallelize(self, data: list[Any], n: int) -> FakeRDD:
        pickle.dumps(data)
        bounds = [i * len(data) // n for i in range(n + 1)]
        return rdd(*(data[low:high] for low, high in pairwise(bounds)))

    def union(self, rdds: Iterable[FakeRDD]) -> FakeRDD:
        several = list(rdds)
        return FakeRDD(lambda: [part for each in several for part in each.collect()])

    def emptyRDD(self) -> FakeRDD:
        return rdd()


@pytest.fixture
def sc(monkeypatch: pytest.MonkeyPatch) -> Any:
    def chunk_rdd(context: FakeContext, cut: Cut) -> FakeRDD:
        assert cut.partitions > 0, "Spark refuses a collection without partitions"
        return rdd(*map(decoded, partitions(cut)))

    monkeypatch.setattr(queue, "chunk_rdd", chunk_rdd)
    return FakeContext()


def computed(source: QueueSource, sc: Any, n: int) -> list[list[Any]] | str:
    """Partitions of an element, or why they cannot be had."""
    element: Any = source.element(sc, n)
    try:
        return element.glom().collect()  # type: ignore[no-any-return]
    except RuntimeError as error:
        return str(error)


def saved(source: Any) -> Any:
    """Give what a program that goes on from its checkpoint directory has."""
    return cloudpickle.loads(cloudpickle.dumps(source))


def test_a_queue_gives_its_elements_then_its_default(sc: Any) -> None:
    plain = QueueSource([[1, 2], []], True, None, 2)
    assert [computed(plain, sc, n) for n in range(3)] == [[[1], [2]], [[], []], [[]]]
    assert plain.describe() == "queueStream(2 elements)"
    with_default = QueueSource([[1], [2]], False, [9], 2)
    assert [computed(with_default, sc, n) for n in range(3)] == [[[], [1], [], [2]], [[], [9]], [[], [9]]]
    assert with_default.describe() == "queueStream(2 elements)"


def test_an_rdd_is_the_batch_as_it_is(sc: Any) -> None:
    element, default = rdd([1], [2]), rdd([3])
    source = QueueSource([element], True, default, 2)
    assert (source.element(sc, 0), source.element(sc, 1), source.element(sc, 2)) == (element, default, default)
    assert element.computed == 0, "the batch does that, where it is read"


@pytest.mark.parametrize("element", [[threading.Lock()], ["a", {"b": [threading.Lock()]}, "c"]])
def test_an_element_that_cannot_be_had_fails_when_it_is_read(sc: Any, element: list[Any]) -> None:
    """It names the record, of a list as of a saved element."""
    source = QueueSource([element], True, None, 1)
    failure = computed(source, sc, 0)
    culprit = next(record for record in element if not isinstance(record, str))
    assert isinstance(failure, str)
    assert failure.startswith(
        "queueStream: element 0 could not be computed: PicklingError: a record of the stream cannot be pickled: "
        f"{culprit!r} ("
    )
    assert computed(source, sc, 1) == [[]], "the next ones do not suffer"


def test_an_element_that_cannot_be_had_for_another_reason(monkeypatch: pytest.MonkeyPatch, sc: Any) -> None:
    def fail(self: FakeContext, data: list[Any], n: int) -> FakeRDD:
        if data:
            raise OSError("the disk is full")
        return rdd([])

    monkeypatch.setattr(FakeContext, "parallelize", fail)
    monkeypatch.setattr(queue, "failing_rdd", lambda context, text: text)
    source: Any = QueueSource([["a"]], True, None, 1)
    assert source.element(sc, 0) == "queueStream: element 0 could not be computed: OSError: the disk is full"


@pytest.mark.parametrize("one_at_a_time", [True, False])
@pytest.mark.parametrize("default", [None, [9], rdd([7], [8])])
def test_a_saved_queue_gives_the_same(sc: Any, one_at_a_time: bool, default: Any) -> None:
    elements: list[Any] = [rdd([1, 2], [], [3]), [4, 5, 6], [], rdd([]), rdd()]
    source = QueueSource(elements, one_at_a_time, default, 2)
    again = saved(saved(source))
    assert [computed(again, sc, n) for n in range(7)] == [computed(source, sc, n) for n in range(7)]
    assert again.describe() == source.describe() == "queueStream(5 elements)"


def test_a_saved_queue_keeps_why_an_element_cannot_be_computed(sc: Any) -> None:
    elements: list[Any] = [broken(), rdd([threading.Lock()]), [threading.Lock()], [1]]
    again = saved(saved(QueueSource(elements, True, None, 1)))
    assert computed(again, sc, 0) == "queueStream: element 0 could not be computed: ValueError: it cannot be had"
    for n in (1, 2):
        assert "a record of the stream cannot be pickled: <unlocked _thread.lock" in computed(again, sc, n)
    assert [computed(again, sc, n) for n in (3, 4)] == [[[1]], [[]]]
    together = saved(QueueSource(elements, False, None, 1))
    assert computed(together, sc, 0) == computed(again, sc, 0)


def test_an_element_that_comes_several_times_is_computed_once_to_be_saved(sc: Any) -> None:
    element = rdd([1], [2])
    source = QueueSource([element] * 3, True, element, 2)
    again = saved(source)
    assert element.computed == 1
    assert [computed(again, sc, n) for n in (0, 2, 7)] == [[[1], [2]]] * 3


def test_saved_initial_records(sc: Any) -> None:
    element = rdd([("a", 1)], [("b", 2)])
    again = saved(InitialSource(element, 2))
    assert computed(again, sc, 0) == element.collect()
    assert (again.batches, again.initial, again.describe()) == (1, True, "initial state")


@pytest.mark.parametrize(("batches", "offsets"), [(None, [4, 5]), (4, [4, 4]), (3, [3, 3]), (1, [3, 3])])
def test_a_queue_goes_on_after_the_last_element_that_was_taken(batches: int | None, offsets: list[int]) -> None:
    reader = QueueReader("q", lambda n: rdd([n]), batches)
    assert reader.latest({"n": 3}) == {"n": offsets[0]}
    assert reader.latest({"n": offsets[0]}) == {"n": offsets[1]}


def test_each_batch_of_a_queue_has_one_element(sc: Any) -> None:
    def elements(source: QueueSource) -> list[Any]:
        reader = source.reader(FRESH, sc)
        offsets = [None, reader.latest(None)]
        for _ in range(2):
            offsets.append(reader.latest(offsets[-1]))
        found = [reader.batch(*span) for span in pairwise(offsets)]
        return [None if each is None else each.glom().collect() for each in found]  # type: ignore[union-attr]

    assert elements(QueueSource([[1], [2]], True, [3], 1)) == [[[1]], [[2]], [[3]]]
    assert elements(InitialSource([("a", 1)], 1)) == [[[("a", 1)]], None, None], "later batches have no partition of it"


# ---------------------------------------------------------------------- the tick


def _nothing() -> None:
    pass


def test_the_tick_tells_the_batch_time() -> None:
    clock = Clock(1000, logical=True, paced=False, now=lambda: 100.25)
    begun: list[None] = []
    opened: list[None] = []
    tick = TickReader(clock, lambda: opened.append(None), lambda: begun.append(None))
    tick.ready()  # there is nothing to wait for before the clock is started
    assert len(opened) == 1
    clock.start()

    def time_of(start: Any, end: Any) -> BatchTime:
        cut = tick.batch(start, end)
        (chunk,) = cut.chunks
        assert cut.partitions == 1
        return BatchTime(*pickle.loads(chunk))

    first = tick.latest(None)
    assert first == {"time": 101_000, "zero": 100_000}
    assert tick.latest(first) == first, "it is due until it has run"
    assert begun == [], "a batch has been asked for, and has not begun"
    assert time_of(None, first) == BatchTime(100_000, 100_000, 101_000)
    assert len(begun) == 1
    clock.complete()
    second = tick.latest(first)
    assert time_of(first, second) == BatchTime(100_000, 101_000, 102_000)
    assert time_of(first, second) == time_of(first, second), "when the batch is run again, too"
    clock.complete()
    clock.close()
    assert tick.latest(second) == second, "no batch follows"
    assert TickReader(clock, _nothing, _nothing).latest(None) is None, "there is none at all"


def test_the_tick_keeps_where_the_first_interval_began() -> None:
    """A program that goes on counts its slides from there, whenever it is started."""
    clock = Clock(1000, logical=False, now=lambda: 500.25)
    clock.resume(100_000, 102_000, None)
    clock.start()
    assert TickReader(clock, _nothing, _nothing).latest({"time": 102_000, "zero": 100_000}) == {
        "time": 500_000,
        "zero": 100_000,
    }


# ---------------------------------------------------------------------- inputs of a test


def test_a_feed_gives_what_was_not_committed_once_more(sc: Any) -> None:
    feed = Feed("socketTextStream(production:9999)")
    source = FedSource(feed, 2, SocketSource("production", 9999, Settings()))
    assert (source.describe(), saved(source).describe(), saved(source).feed) == (feed.text, feed.text, None)

    def batches(start: Start, number: int) -> list[Any]:
        reader = source.reader(start, sc)
        found = []
        for n in range(number):
            one: Any = reader.batch({"n": n}, {"n": n + 1})
            found.append(None if one is None else one.collect())
        return found

    assert batches(FRESH, 1) == [None], "no records, no partition, as on a socket"
    feed.put(["a", "b", "c"])
    feed.put([])
    assert batches(Start({"n": 2}, {"n": 1}), 3) == [[["a"], ["b", "c"]], None, None]
    assert (feed.offset(0), feed.offset(1), feed.offset(2)) == (0, 3, 3)
    feed.put(["d"])
    assert batches(Start({"n": 3}, {"n": 2}), 3)[2] == [[], ["d"]]
    assert batches(FRESH, 3) == [None] * 3, "a program that begins anew does not see what the one before it was given"


def test_what_a_test_gives_and_cannot_be_pickled_fails_its_batch(sc: Any) -> None:
    feed = Feed("socketTextStream(h:1)")
    reader = FedSource(feed, 2, SocketSource("h", 1, Settings())).reader(FRESH, sc)
    feed.put([threading.Lock()])
    one: Any = reader.batch(None, {"n": 1})
    with pytest.raises(RuntimeError, match=r"socketTextStream\(h:1\): records of the test could not be pickled.*lock"):
        one.collect()


# ---------------------------------------------------------------------- files and sockets


def test_other_sources_can_be_saved() -> None:
    text = saved(TextFileSource("/d", 1000, 60_000))
    assert (text.describe(), vars(text)) == ("textFileStream(/d)", vars(TextFileSource("/d", 1000, 60_000)))
    records = saved(BinaryRecordsSource("/d", 1000, 60_000, 4))
    assert (records.describe(), records.decode.length) == ("binaryRecordsStream(/d)", 4)
    lines = SocketSource("localhost", 9999, QUICK)
    again = saved(lines)
    assert again.describe() == "socketTextStream(localhost:9999)"
    assert (vars(again), again.settings, again.decode) == (vars(lines), QUICK, read_line_blocks)


@pytest.mark.parametrize("logged", [True, False])
@pytest.mark.parametrize("reset", [True, False])
def test_the_last_line_of_a_connection_needs_no_end(
    run: Callable[..., Any], tmp_path: Path, logged: bool, reset: bool
) -> None:
    log = tmp_path if logged else None
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader, _ = run(SocketSource("127.0.0.1", server.getsockname()[1], QUICK), log)
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"a\nb")
            until(lambda: received(reader) == 1)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        until(lambda: received(reader) == 2)
        reader.stop()
    assert taken(reader) == ["a", "b"]
    if logged:
        reader, _ = run(SocketSource("127.0.0.1", 1, QUICK), log)
        assert taken(reader) == ["a", "b"]


# ---------------------------------------------------------------------- lines


def split(*feeds: bytes, each: int | None = None) -> list[str]:
    """Lines of what arrives in several pieces, as a worker reads them; the connection ends after the last piece."""
    cutter = LineCutter()
    groups = [group for data in feeds for group in line_blocks(cutter.feed(data), each)]
    groups += line_blocks(cutter.finish(), each)
    blocks = [block for group in groups for block in group]
    lines = decoded([block.data for block in blocks], read_line_blocks)
    assert len(lines) == sum(block.records for block in blocks)
    assert each is None or all(sum(block.records for block in group) <= each for group in groups)
    return lines


@pytest.mark.parametrize("each", [None, 1, 2])
@pytest.mark.parametrize(
    ("feeds", "lines"),
    [
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a\r\nb\r\n"], ["a", "b"]),
        ([b"a\rb\r"], ["a", "b"]),
        ([b"a\nb\r\nc\rd"], ["a", "b", "c", "d"]),
        ([b"\n\n\r\n\r\r\n"], ["", "", "", "", ""]),
        ([b"a\r", b"\nb\n"], ["a", "b"]),
        ([b"a\r", b"\n", b"b\n"], ["a", "b"]),
        ([b"a\r", b"b\n"], ["a", "b"]),
        ([b"a\r", b"\n\nb"], ["a", "", "b"]),
        ([b"a\r", b"\r\nb"], ["a", "", "b"]),
        ([b"a\r", b"\r", b"\n", b"b"], ["a", "", "b"]),
        ([b"a\n", b"\nb"], ["a", "", "b"]),
        ([b"a", b"b", b"c\nd"], ["abc", "d"]),
        ([b"a\r", b""], ["a"]),
        ([b""], []),
        ([b"\n"], [""]),
        ([b"ends with no newline"], ["ends with no newline"]),
        (["ü".encode()[:1], "ü".encode()[1:], b"\n"], ["ü"]),
        ([b"\xff\xfe\nok\n"], ["\ufffd\ufffd", "ok"]),
        ([b"a\xc3\nb"], ["a\ufffd", "b"]),
        (["a\u2028b\u0085c\x0bd\x0ce\n".encode()], ["a\u2028b\u0085c\x0bd\x0ce"]),
        ([b"nul\x00 and tab\t\n"], ["nul\x00 and tab\t"]),
    ],
)
def test_lines(feeds: list[bytes], lines: list[str], each: int | None) -> None:
    assert split(*feeds, each=each) == lines
    data = b"".join(feeds)
    for at in range(len(data) + 1):
        assert split(data[:at], data[at:], each=each) == lines


def test_lines_do_not_depend_on_how_the_bytes_arrive() -> None:
    data = "a\r\nbü\r\r\n\n\rc\n\rd\r".encode()
    expected = split(data)
    assert expected == ["a", "bü", "", "", "", "c", "", "d"]
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            assert split(data[:first], data[first:second], data[second:]) == expected
    assert split(*(data[i : i + 1] for i in range(len(data)))) == expected


def test_bytes_that_are_no_text_spoil_their_own_line_only() -> None:
    """Lines are decoded together; what is replaced must be what it is when each is decoded by itself."""
    chance = random.Random(0)
    pieces = [b"\n", b"\r", b"\r\n", b"a", b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0", b"\xf0\x9f\x98", "€😀".encode()]
    for _ in range(2000):
        data = b"".join(chance.choices(pieces, k=chance.randint(0, 12)))
        *whole, rest = re.split(rb"\r\n|\r|\n", data)
        expected = [line.decode("utf-8", "replace") for line in [*whole, *([rest] if rest else [])]]
        at = sorted(chance.choices(range(len(data) + 1), k=3))
        feeds = [data[low:high] for low, high in zip([0, *at], [*at, len(data)], strict=True)]
        assert split(*feeds, each=chance.choice([None, 1, 3])) == expected


def test_a_line_is_given_as_soon_as_it_is_complete() -> None:
    cutter = LineCutter()
    assert cutter.feed(b"a\r") == b"a\n"
    assert cutter.feed(b"\nb") == b""
    assert cutter.finish() == b"b\n"
    assert cutter.finish() == b""


def test_bytes_without_an_end_of_a_line_wait_for_it() -> None:
    cutter = LineCutter()
    assert [cutter.feed(b"x" * 10) for _ in range(100)] == [b""] * 100
    assert cutter.feed(b"y\nz") == b"x" * 1000 + b"y\n"
    assert cutter.feed(b"\n") == b"z\n"


# ---------------------------------------------------------------------- directories


@pytest.mark.parametrize(
    ("directory", "pattern"),
    [
        ("/data/in", "/data/{./in}"),
        ("in/", "{./in}"),
        ("s3a://bucket/in", "s3a://bucket/{./in}"),
        ("/data/a,b", "/data/{./a\\,b}"),
        ("/data/day-*", "/data/day-*"),
        ("s3a://bucket/", "s3a://bucket/"),
        ("hdfs://host:8020", "hdfs://host:8020/"),
        ("file:///", "file:/"),
        ("/", "/"),
    ],
)
def test_a_directory_becomes_a_pattern_for_which_nothing_is_listed(directory: str, pattern: str) -> None:
    assert _as_glob(directory) == pattern
