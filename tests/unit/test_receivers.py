"""Receivers without Spark: those that a program writes, what comes from sockets, blocks, rates."""

from __future__ import annotations

import pickle
import socket
import struct
import threading
import time
from typing import Any

import pytest
from pyspark.serializers import BatchedSerializer, CPickleSerializer

from dstreams import DStreamError
from dstreams._sources.blocks import Blocks, RateLimit
from dstreams._sources.receiver import Settings
from dstreams._sources.socket import ConvertedSource, RawSource, SocketSource
from dstreams.errors import DStreamStateError, ReceiverStopped
from dstreams.receiver import Receiver
from tests.unit.receivers import QUICK, custom, taken, until

# ---------------------------------------------------------------------- receivers of the program


class Counting(Receiver[int]):
    """Stores numbers, one by one, as a list and as an iterator, from several threads."""

    def __init__(self, threads: int, each: int) -> None:
        super().__init__()
        self.threads = threads
        self.each = each

    def onStart(self) -> None:
        for number in range(self.threads):
            threading.Thread(target=self.receive, args=(number,), daemon=True).start()

    def receive(self, number: int) -> None:
        numbers = range(number * self.each, (number + 1) * self.each)
        for n in numbers[:10]:
            self.store(n)
        self.store(list(numbers[10:20]))
        self.store(iter(numbers[20:]))


@pytest.mark.parametrize("logged", [True, False])
def test_store_from_several_threads(run, tmp_path, logged):
    reader, status = run(custom(Counting(8, 100)), tmp_path if logged else None)
    until(lambda: reader.available(None) == 800)
    found = taken(reader)
    assert sorted(found) == list(range(800))
    for number in range(8):  # each thread's own are in their order
        own = [n for n in found if n // 100 == number]
        assert own == sorted(own)
    until(lambda: status.said == [("started", "started")])
    if logged:
        reader.stop()
        again, _ = run(custom(Counting(0, 0)), tmp_path)
        assert taken(again) == found


class Failing(Receiver[str]):
    """Does not start for some times."""

    def onStart(self) -> None:
        self.tries = getattr(self, "tries", 0) + 1
        if self.tries < 3:
            raise OSError(f"no {self.tries}")
        self.store([f"try {self.tries}"])

    def onStop(self) -> None:
        self.stops = getattr(self, "stops", 0) + 1


def test_receiver_whose_start_fails_is_started_again(run):
    reader, status = run(custom(Failing()))
    until(lambda: reader.available(None) == 1)
    assert taken(reader) == ["try 3"]
    failed = [("error", f"onStart: OSError: no {i}; starting again in 0.01 s") for i in (1, 2)]
    until(lambda: status.said == [*failed, ("started", "started")])
    reader.stop()
    assert reader._receiver.stops == 3


class Talking(Receiver[Any]):
    """Uses all that a receiver can call, before its start is done."""

    def onStart(self) -> None:
        self.turn = getattr(self, "turn", 0) + 1
        thread = threading.Thread(target=self.receive, daemon=True)
        thread.start()
        thread.join()

    def receive(self) -> None:
        until(self.isStarted)
        self.store([(self.turn, self.streamId, self.isStopped())])
        if self.turn == 1:
            self.reportError("a hiccup", ValueError("bad"))
            self.restart("once more", millisecond=20)
        elif self.turn == 2:
            self.restart("and again", OSError("gone"))
        else:
            self.stop("that was all")

    def onStop(self) -> None:
        raise RuntimeError("sorry")


def test_restart_report_and_stop(run):
    reader, status = run(custom(Talking()))
    until(lambda: status.texts("stopped"))
    assert taken(reader) == [(1, 3, False), (2, 3, False), (3, 3, False)]
    assert status.said[:2] == [("started", "started"), ("error", "a hiccup: ValueError: bad")]
    assert "and again: OSError: gone; starting again in 0.01 s" in status.texts("error")
    assert "onStop: RuntimeError: sorry" in status.texts("error")
    assert status.texts("resumed") == ["once more; starting again in 0.02 s"]
    assert status.texts("stopped") == ["that was all"]
    receiver = reader._receiver
    assert receiver.isStopped() and not receiver.isStarted()
    with pytest.raises(ReceiverStopped, match="nothing is taken any more"):
        receiver.store(1)


def test_receiver_that_is_not_started():
    receiver = Receiver[int]()
    for call in (lambda: receiver.store(1), lambda: receiver.restart("x"), lambda: receiver.streamId):
        with pytest.raises(DStreamStateError, match="has not been started"):
            call()
    with pytest.raises(DStreamError, match="must say in onStart"):
        receiver.onStart()
    assert (receiver.isStarted(), receiver.isStopped(), receiver.preferredLocation()) == (False, False, None)
    receiver.onStop()


class Endless(Receiver[int]):
    def onStart(self) -> None:
        threading.Thread(target=self.receive, daemon=True).start()

    def receive(self) -> None:
        while True:
            self.store([1] * 10)


def test_rate_and_a_quiet_end(run, capsys):
    """A thread that goes on storing when its receiver is stopped ends without a word."""
    before = threading.excepthook
    try:
        reader, _ = run(custom(Endless(), Settings(0.01, 0.01, max_rate=200)))
        began = time.monotonic()
        until(lambda: reader.available(None) >= 40)
        assert reader.available(None) <= 20 + 200 * (time.monotonic() - began)
        reader.stop()
        until(lambda: not any("receive" in thread.name for thread in threading.enumerate()))
        assert capsys.readouterr().err == ""
        thread = threading.Thread(target=lambda: 1 // 0)
        threading.excepthook = lambda args: None if args.exc_type is ZeroDivisionError else before(args)
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before


# ---------------------------------------------------------------------- sockets


def serve(data: bytes) -> tuple[socket.socket, threading.Thread]:
    """A server that sends bytes to the first client, and ends."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with server:
            connection, _ = server.accept()
            with connection:
                connection.sendall(data)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    return server, thread


def tcp(kind: type[Any], data: bytes, **attributes: Any) -> Any:
    server, _ = serve(data)
    source = kind("127.0.0.1", server.getsockname()[1], 2, "dstreams-socket-0", QUICK)
    for name, value in attributes.items():
        setattr(source, name, value)
    return source


def test_converter_gets_the_bytes(run):
    def pairs(file):
        while data := file.read(3):
            yield data.decode(), len(data)

    reader, status = run(tcp(ConvertedSource, b"abcdefg", converter=pairs))
    until(lambda: reader.available(None) == 3)
    assert taken(reader) == [("abc", 3), ("def", 3), ("g", 1)]
    until(lambda: status.texts("stopped") or status.texts("error"))
    assert reader.describe().startswith("socketStream(127.0.0.1:")


def test_converter_that_fails_keeps_what_came_before(run):
    def broken(file):
        yield file.read(1)
        raise ValueError("no more")

    reader, status = run(tcp(ConvertedSource, b"ab", converter=broken))
    until(lambda: reader.available(None) == 1)
    assert taken(reader) == [b"a"]
    assert "no more; trying again every 0.01 s" in status.texts("error")


def test_raw_blocks_are_those_of_pysparks_serializer(run):
    class File:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> None:
            self.data += data

    file = File()
    BatchedSerializer(CPickleSerializer(), 2).dump_stream(iter([1, "two", None]), file)
    reader, _ = run(tcp(RawSource, file.data, max_block_bytes=1000))
    until(lambda: reader.available(None) == 3)
    assert taken(reader) == [1, "two", None]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (struct.pack(">i", 5000), "a block of 5000 bytes was announced, and it may have 1000"),
        (b"GET / HTTP/1.1\r\n", "is this a sender of blocks"),
        (b"\0\0", "is this a sender of blocks"),
        (struct.pack(">i", 10) + b"abc", "the connection ended after 3 of 10 bytes of a block"),
    ],
)
def test_raw_blocks_that_are_none(run, data, text):
    good = pickle.dumps([1])
    reader, status = run(tcp(RawSource, struct.pack(">i", len(good)) + good + data, max_block_bytes=1000))
    until(lambda: any(text in said for said in status.texts("error")))
    assert taken(reader) == [1]


# ---------------------------------------------------------------------- blocks and rates


def test_blocks_are_passed_on_when_full_in_time_and_at_the_end():
    passed: list[list[int]] = []

    def put(block: list[int]) -> bool:
        passed.append(block)
        return True

    blocks = Blocks(put, 3600)
    for n in range(10_001):
        blocks.add(n)
    assert [len(block) for block in passed] == [10_000]
    blocks.flush()
    blocks.flush()
    blocks.add(1)
    blocks.close()
    assert [len(block) for block in passed] == [10_000, 1, 1]
    timed = Blocks(put, 0.001)
    timed.add(7)
    until(lambda: [7] in passed)
    timed.close()


def test_rate_limit():
    now = [100.0]
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(round(seconds, 6))
        now[0] += seconds

    limit = RateLimit(10, lambda: now[0])
    limit.spend(5, wait)
    now[0] += 10
    limit.spend(20, wait)
    RateLimit(0).spend(10**9, wait)
    assert waits == [0.5, 2.0]


# ---------------------------------------------------------------------- bounded memory


def test_a_sender_that_outruns_the_program_is_held_back(run, monkeypatch):
    """When so much waits for a batch the receiver reads no more, until a batch has taken it; TCP does the rest."""
    monkeypatch.setattr("dstreams._sources.receiver.MAX_WAITING_BYTES", 50_000)
    line = b"x" * 999 + b"\n"
    sent = 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader, status = run(SocketSource("127.0.0.1", server.getsockname()[1], 2, "dstreams-socket-0", QUICK))
        sender, _ = server.accept()
        with sender:
            sender.settimeout(1)
            with pytest.raises(TimeoutError):
                while sent < 200_000_000:
                    sent += sender.send(line * 100)
            until(lambda: status.texts("waiting"))
            waiting = reader.available(None)
            assert waiting * 1000 < sent, "the rest is in the network's buffers"
            taken_so_far = waiting
            while taken_so_far * 1000 < sent // 1000 * 1000:
                reader.commit({"n": taken_so_far})
                until(lambda before=taken_so_far: reader.available(None) > before)
                taken_so_far = reader.available(None)


@pytest.mark.parametrize(("size", "partitions"), [(10, 2), (20_000, 4)])
def test_large_batches_are_cut_so_that_tasks_can_be_sent(run, size, partitions):
    """No partition has more than 16 MiB, whatever the parallelism."""
    records = [f"{n:08d}" + "x" * size for n in range(2_001)]

    class Large(Receiver[str]):
        def onStart(self) -> None:
            self.store(list(records))

    reader, _ = run(custom(Large()))
    until(lambda: reader.available(None) == len(records))
    parts = reader.partitions({"n": 0}, {"n": len(records)})
    assert len(parts) == partitions
    assert max(sum(map(len, part.chunks)) for part in parts) <= 17 << 20
    assert [record for part in parts for chunk in part.chunks for record in pickle.loads(chunk)] == records
