from __future__ import annotations

import operator
import pickle
import threading
from multiprocessing import AuthenticationError
from typing import Any

import pytest

from dstreams._sources.link import CLOCK, Link, Remote
from dstreams._sources.queue import QueueSource, slices
from dstreams._sources.socket import LineSplitter


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
