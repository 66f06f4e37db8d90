from __future__ import annotations

import operator
import pickle
import socket
import struct
import threading
import time
from multiprocessing import AuthenticationError
from pathlib import Path
from typing import Any

import pytest
from pyspark import cloudpickle

from dstreams._sources.files import BinaryRecordsSource, TextFileSource
from dstreams._sources.link import CLOCK, Link, Remote
from dstreams._sources.queue import InitialSource, QueueReader, QueueSource, slices
from dstreams._sources.receiver import Settings, Wiring
from dstreams._sources.socket import LineSplitter, SocketReader, SocketSource
from dstreams._sources.write_ahead import LocalFolder


@pytest.mark.parametrize(
    ("data", "partitions", "expected"),
    [
        # What sc.parallelize(data, partitions).glom().collect() gives.
        ([], 2, [[], []]),
        ([1], 2, [[], [1]]),
        ([1, 2], 2, [[1], [2]]),
        ([1, 2, 3], 2, [[1], [2, 3]]),
        ([1, 2, 3, 4, 5], 2, [[1, 2], [3, 4, 5]]),
        ([1, 2, 3, 4, 5], 1, [[1, 2, 3, 4, 5]]),
        ([1, 2, 3, 4, 5], 3, [[1], [2, 3], [4, 5]]),
        ([1, 2], 4, [[], [1], [], [2]]),
        ([1, 2, 3, 4, 5, 6, 7], 4, [[1], [2, 3], [4, 5], [6, 7]]),
        (list(range(10)), 4, [[0, 1], [2, 3], [4, 5], [6, 7, 8, 9]]),
    ],
)
def test_a_list_is_cut_as_parallelize_does(data: list[int], partitions: int, expected: list[list[int]]) -> None:
    assert slices(data, partitions) == expected


def test_no_record_is_lost_and_the_order_stays() -> None:
    for length in range(40):
        for partitions in range(1, 9):
            parts = slices(list(range(length)), partitions)
            assert len(parts) == partitions
            assert [record for part in parts for record in part] == list(range(length))


def test_a_queue_gives_its_elements_then_its_default() -> None:
    def element(source: QueueSource, n: int) -> list[list[Any]]:
        return [[r for chunk in chunks for r in pickle.loads(chunk)] for chunks, _ in source.element(n)]

    plain = QueueSource([[1, 2], []], True, None, 2, "q")
    assert [element(plain, n) for n in range(3)] == [[[1], [2]], [[], []], [[]]]
    assert plain.describe() == "queueStream(2 elements)"
    with_default = QueueSource([[1], [2]], False, [9], 2, "q")
    assert [element(with_default, n) for n in range(3)] == [[[], [1], [], [2]], [[], [9]], [[], [9]]]
    assert with_default.describe() == "queueStream(2 elements)"


def test_an_element_that_cannot_be_had_fails_when_it_is_read() -> None:
    ((chunks, failure),) = QueueSource([[threading.Lock()]], True, None, 1, "q").element(0)
    assert chunks == []
    assert failure is not None
    assert failure.startswith("queueStream: element 0 could not be computed: ")
    assert "a record of the stream cannot be pickled: <unlocked _thread.lock" in failure


class FakeRDD:
    """What a queue uses of an RDD; where there are no partitions computing it fails."""

    def __init__(self, *partitions: list[Any]) -> None:
        self._partitions = partitions
        self.computed = 0

    def glom(self) -> FakeRDD:
        return self

    def collect(self) -> list[list[Any]]:
        self.computed += 1
        if not self._partitions:
            raise ValueError("it cannot be had")
        return list(self._partitions)

    def __reduce__(self) -> Any:
        raise TypeError("an RDD cannot be pickled")


def saved(source: Any) -> Any:
    """Give what a program that goes on from its checkpoint directory has."""
    return cloudpickle.loads(cloudpickle.dumps(source))


@pytest.mark.parametrize("one_at_a_time", [True, False])
@pytest.mark.parametrize("default", [None, [9], FakeRDD([7], [8])])
def test_a_saved_queue_gives_the_same(one_at_a_time: bool, default: Any) -> None:
    elements: list[Any] = [FakeRDD([1, 2], [], [3]), [4, 5, 6], [], FakeRDD([])]
    source = QueueSource(elements, one_at_a_time, default, 2, "q")
    again = saved(saved(source))
    assert [again.element(n) for n in range(6)] == [source.element(n) for n in range(6)]
    assert again.describe() == source.describe() == "queueStream(4 elements)"


def test_a_saved_queue_keeps_why_an_element_cannot_be_computed() -> None:
    elements: list[Any] = [FakeRDD(), FakeRDD([threading.Lock()]), [threading.Lock()], [1]]
    source = QueueSource(elements, True, None, 1, "q")
    again = saved(saved(source))
    assert [again.element(n) for n in range(5)] == [source.element(n) for n in range(5)]
    assert again.element(0) == [([], "queueStream: element 0 could not be computed: ValueError: it cannot be had")]
    together = saved(QueueSource(elements, False, None, 1, "q"))
    assert together.element(0) == again.element(0)


def test_an_element_that_comes_several_times_is_computed_once_to_be_saved() -> None:
    element: Any = FakeRDD([1], [2])
    source = QueueSource([element] * 3, True, element, 2, "q")
    again = saved(source)
    assert element.computed == 1
    assert again.element(0) == again.element(2) == again.element(7) == source.element(0)


def test_saved_initial_records() -> None:
    element: Any = FakeRDD([("a", 1)], [("b", 2)])
    again = saved(InitialSource(element, 2, "initial"))
    assert again.element(0) == InitialSource(element, 2, "initial").element(0)
    assert (again.batches, again.initial, again.describe()) == (1, True, "initial state")


class Due:
    """A clock that has one more batch, always."""

    def call_or(self, gone: Any, method: str) -> int:
        return 1000


@pytest.mark.parametrize(("batches", "offsets"), [(None, [4, 5]), (4, [4, 4]), (3, [3, 3]), (1, [3, 3])])
def test_a_queue_goes_on_after_the_last_element_that_was_taken(batches: int | None, offsets: list[int]) -> None:
    clock: Any = Due()
    before_spark_4_2 = QueueReader(clock, clock, batches, 3)
    assert [before_spark_4_2.latestOffset()["n"] for _ in offsets] == offsets
    later = QueueReader(clock, clock, batches, 3)
    assert later.latestOffset({"n": 3}, None)["n"] == offsets[0]
    assert later.latestOffset({"n": offsets[0]}, None)["n"] == offsets[1]


def test_other_sources_can_be_saved() -> None:
    text = saved(TextFileSource("/d", 1000, 60_000))
    assert (text.describe(), vars(text)) == ("textFileStream(/d)", vars(TextFileSource("/d", 1000, 60_000)))
    records = saved(BinaryRecordsSource("/d", 1000, 60_000, 4))
    assert (records.describe(), records.decode.length) == ("binaryRecordsStream(/d)", 4)
    lines = SocketSource("localhost", 9999, 2, "dstreams-socket-0", Settings(), threading.Lock())
    again = saved(lines)
    assert (again.describe(), again.status) == ("socketTextStream(localhost:9999)", None)
    again.status = lines.status
    assert vars(again) == vars(lines)


@pytest.mark.parametrize("logged", [True, False])
@pytest.mark.parametrize("reset", [True, False])
def test_the_last_line_of_a_connection_needs_no_end(tmp_path: Path, logged: bool, reset: bool) -> None:
    class Status:
        def call(self, method: str, *args: Any) -> None:
            pass

    def until(count: int) -> None:
        deadline = time.monotonic() + 10
        while reader.available(None) < count:
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def lines() -> list[str]:
        parts = reader.partitions({"n": 0}, reader.latestOffset())
        return [line for part in parts for chunk in part.chunks for line in pickle.loads(chunk)]

    status: Any = Status()
    log = LocalFolder(str(tmp_path)) if logged else None
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader = SocketReader("lines", "127.0.0.1", server.getsockname()[1], Wiring(status, 2, log))
        reader.open()
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"a\nb")
            until(1)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        until(2)
        reader.stop()
    assert lines() == ["a", "b"]
    if logged:
        reader = SocketReader("lines", "127.0.0.1", 1, Wiring(status, 2, log))
        reader.open()
        assert lines() == ["a", "b"]
        reader.stop()


def split(*feeds: bytes) -> list[str]:
    """Lines of what arrives in several pieces; the connection ends after the last one."""
    splitter = LineSplitter()
    return [line for data in feeds for line in splitter.feed(data)] + splitter.finish()


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
def test_lines(feeds: list[bytes], lines: list[str]) -> None:
    assert split(*feeds) == lines


def test_lines_do_not_depend_on_how_the_bytes_arrive() -> None:
    data = "a\r\nbü\r\r\n\n\rc\n\rd\r".encode()
    expected = split(data)
    assert expected == ["a", "bü", "", "", "", "c", "", "d"]
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            assert split(data[:first], data[first:second], data[second:]) == expected
    assert split(*(data[i : i + 1] for i in range(len(data)))) == expected


def test_a_line_is_given_as_soon_as_it_is_complete() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"a\r") == ["a"]
    assert splitter.feed(b"\nb") == []
    assert splitter.finish() == ["b"]
    assert splitter.finish() == []


class Target:
    """What the driver serves."""

    def add(self, a: int, b: int) -> int:
        return a + b

    def fail(self) -> None:
        raise KeyError("in the driver")


@pytest.fixture
def link() -> Any:
    made = Link()
    yield made
    made.close()


def test_a_call_through_the_link(link: Link) -> None:
    remote = link.serve("target", Target())
    assert remote.call("add", 1, 2) == 3
    assert remote.call("add", "a", "b") == "ab"


def test_a_remote_can_be_pickled_also_after_use(link: Link) -> None:
    remote = link.serve("target", Target())
    assert remote.call("add", 1, 1) == 2
    again = pickle.loads(pickle.dumps(remote))
    assert again.call("add", 2, 2) == 4


def test_an_exception_in_the_driver_passes_as_a_runtime_error(link: Link) -> None:
    remote = link.serve("target", Target())
    with pytest.raises(RuntimeError, match="KeyError: 'in the driver'"):
        remote.call("fail")
    with pytest.raises(RuntimeError, match="AttributeError"):
        remote.call("no_such_method")
    assert remote.call("add", 1, 2) == 3, "the connection goes on"


def test_names_that_nobody_serves(link: Link) -> None:
    with pytest.raises(RuntimeError, match="KeyError"):
        link.remote(CLOCK).call("due")


def test_only_the_first_of_several_callers_gets_a_claim(link: Link) -> None:
    claim = link.claim("reader")
    other = link.claim("other reader")
    copies = [pickle.loads(pickle.dumps(claim)) for _ in range(3)]
    assert [copy.call("take") for copy in copies] == [True, False, False]
    assert other.call("take") is True


def test_the_last_reader_that_is_open_starts_the_rest(link: Link) -> None:
    started: list[str] = []
    link.when_all_open = lambda: started.append("all open")
    claims = [link.claim("one"), link.claim("two")]
    for claim in claims:
        assert started == []
        assert claim.call("take") is True
        claim.call("opened")
    assert started == ["all open"], "before the last call returns"


def test_several_connections_at_once(link: Link) -> None:
    gate = threading.Barrier(3, timeout=10)

    class Slow:
        def meet(self) -> int:
            return gate.wait()

    remote = link.serve("slow", Slow())
    found: list[int] = []
    copies = [pickle.loads(pickle.dumps(remote)) for _ in range(3)]
    threads = [threading.Thread(target=lambda c=copy: found.append(c.call("meet"))) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(found) == [0, 1, 2]


def test_who_has_another_key_is_refused_and_does_no_harm(link: Link) -> None:
    remote = link.serve("target", Target())
    stranger = Remote(remote._address, b"x" * 32, "target")
    with pytest.raises(AuthenticationError):
        stranger.call("add", 1, 2)
    assert remote.call("add", 1, 2) == 3


def test_a_closed_link_takes_no_more_connections(link: Link) -> None:
    remote = link.serve("target", Target())
    link.close()
    with pytest.raises((OSError, EOFError)):
        remote.call("add", 1, 2)


def test_the_keys_of_two_links_differ(link: Link) -> None:
    other = Link()
    try:
        assert operator.ne(link.remote("a")._key, other.remote("a")._key)
    finally:
        other.close()
