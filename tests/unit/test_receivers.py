"""Receivers without Spark: those that a program writes, what comes from sockets, blocks, rates."""

from __future__ import annotations

import pickle
import random
import socket
import threading
import time
from typing import Any

import pytest

from dstreams import DStreamError
from dstreams._sources.blocks import Block, Collector, RateLimit, pickled
from dstreams._sources.receiver import PARTITION_BYTES, Settings, cut
from dstreams._sources.socket import ConvertedSource, SocketSource, read_line_blocks
from dstreams._sources.start import Start
from dstreams.errors import DStreamStateError, ReceiverStopped
from dstreams.receiver import Receiver
from tests.unit.receivers import QUICK, Status, custom, decoded, partitions, received, taken, until

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
    until(lambda: received(reader) == 800)
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
    until(lambda: received(reader) == 1)
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


class Idle(Receiver[Any]):
    """Receives nothing by itself; the test stores."""

    def onStart(self) -> None:
        pass


def end_of(reader) -> None:
    """Stop a receiver, and wait for the threads that it has started."""
    reader.stop()
    until(lambda: not any("receive" in thread.name for thread in threading.enumerate()))


def test_rate_and_a_quiet_end(run, monkeypatch):
    """A thread that goes on storing when its receiver is stopped ends without a word."""
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))
    began = time.monotonic()
    reader, _ = run(custom(Endless(), Settings(0.01, 0.01, max_rate=200)))
    until(lambda: received(reader) >= 40)
    assert received(reader) <= 20 + 200 * (time.monotonic() - began)
    end_of(reader)
    assert told == []
    fail_in_a_thread()
    assert told == [ZeroDivisionError], "all others are told, as ever"


def fail_in_a_thread() -> None:
    thread = threading.Thread(target=lambda: 1 // 0)
    thread.start()
    thread.join()


def test_a_hook_that_the_program_has_put_around_ours(run, monkeypatch):
    """As libraries that report errors do; then another program with a receiver is started."""
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))
    end_of(run(custom(Endless()))[0])
    ours = threading.excepthook
    monkeypatch.setattr(threading, "excepthook", lambda args: ours(args))
    end_of(run(custom(Endless()))[0])
    fail_in_a_thread()
    assert told == [ZeroDivisionError]


def test_a_list_that_is_not_taken_any_more(run):
    """Who stores it is told, so that the sender is not told that it has arrived."""
    reader, _ = run(custom(Idle(), Settings(0.01, 0.01, max_rate=0.001)))
    receiver = reader._receiver
    until(receiver.isStarted)
    raised = []

    def store() -> None:
        with pytest.raises(ReceiverStopped, match="not all of 3 records were taken: the receiver was stopped") as error:
            receiver.store([1, 2, 3])
        raised.append(error.type)

    thread = threading.Thread(target=store, daemon=True)
    thread.start()
    until(lambda: received(reader) == 1)  # the next one may come in a quarter of an hour
    reader.stop()
    thread.join(60)
    assert raised == [ReceiverStopped]


# ---------------------------------------------------------------------- records that cannot be pickled


@pytest.mark.parametrize("logged", [True, False])
def test_a_record_that_cannot_be_pickled_is_refused_where_it_is_stored(run, tmp_path, logged):
    """It is named, and nothing else is lost: neither what is collected with it, nor what comes after it."""
    reader, status = run(custom(Idle()), tmp_path if logged else None)
    receiver = reader._receiver
    until(lambda: status.said == [("started", "started")])
    lock = threading.Lock()
    receiver.store("single")
    for refused in (lock, {"a": [lock]}, ["of a list", lock], iter(["of an iterator", lock]), [*range(5000), lock]):
        with pytest.raises(pickle.PicklingError, match=r"a record of the stream cannot be pickled: .*_thread\.lock"):
            receiver.store(refused)
    receiver.store(("another", 1))
    receiver.store(["a", "list"])
    receiver.store(None)
    stored = ["single", ("another", 1), "a", "list", None]
    until(lambda: received(reader) == len(stored))
    assert taken(reader) == stored
    assert len(status.said) == 1, "the driver has nothing to tell"
    reader.stop()
    if logged:
        again, _ = run(custom(Idle()), tmp_path)
        assert taken(again) == stored


class Fragile(Exception):
    """As many exceptions: it can be pickled, and cannot be made of what it was pickled to."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"{name}-{number}")


def test_a_record_that_cannot_be_read_again_is_refused_where_it_is_stored(run):
    """Nothing else is lost: neither what is collected with it, nor what comes after it."""
    reader, status = run(custom(Idle()))
    receiver = reader._receiver
    until(receiver.isStarted)
    receiver.store("before")
    with pytest.raises(pickle.PicklingError, match=r"cannot be made anew from its pickle: Fragile\('x-1'\)"):
        receiver.store(Fragile("x", 1))
    receiver.store("after")
    until(lambda: received(reader) == 2)
    receiver.store("later")
    until(lambda: received(reader) == 3)
    assert taken(reader) == ["before", "after", "later"]
    assert status.texts("error") == []


def test_of_a_list_above_the_rate_nothing_is_taken_either(run):
    """It is cut to pieces, and the record to blame may be in the last one."""
    reader, _ = run(custom(Idle(), Settings(0.01, 0.2, max_rate=100)))
    with pytest.raises(pickle.PicklingError, match="lock"):
        reader.put([*range(99), threading.Lock()])
    assert received(reader) == 0


# ---------------------------------------------------------------------- records that change after they were stored


class Counter:
    """A record of a class of its own, which can be changed."""

    def __init__(self, n: int) -> None:
        self.n = n


@pytest.mark.parametrize("logged", [True, False])
def test_a_record_arrives_as_it_was_when_it_was_stored(run, tmp_path, logged):
    """Also if it is collected with others for a while, and its sender goes on with the same object."""
    reader, _ = run(custom(Idle(), Settings(0.01, 3600)), tmp_path if logged else None)
    receiver = reader._receiver
    until(receiver.isStarted)
    record, inner, several, counter = {"n": 0}, ["a"], [{"n": "x"}], Counter(0)
    for n in range(3):
        record["n"] = counter.n = n
        receiver.store(record)
        receiver.store(counter)
    receiver.store(("deep", inner))
    inner.append("b")
    receiver.store(bytearray(b"plain"))
    receiver.store(several)  # what has been collected comes first
    several[0]["n"] = "y"
    several.append({"n": "z"})
    receiver.store(record)
    record.clear()
    reader.collector.flush()
    found = [each.n if isinstance(each, Counter) else each for each in taken(reader)]
    assert found == [
        {"n": 0}, 0, {"n": 1}, 1, {"n": 2}, 2, ("deep", ["a"]), bytearray(b"plain"), {"n": "x"}, {"n": 2},
    ]  # fmt: skip


def test_what_a_converter_gives_again_and_again(run):
    """As a parser does that fills one object."""

    def fields(file):
        found: dict[str, bytes] = {}
        while data := file.read(1):
            found["field"] = data
            yield found

    reader, _ = run(converted(b"abc", fields))
    until(lambda: received(reader) == 3)
    assert taken(reader) == [{"field": b"a"}, {"field": b"b"}, {"field": b"c"}]


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


def converted(data: bytes, converter: Any) -> ConvertedSource:
    server, _ = serve(data)
    return ConvertedSource("127.0.0.1", server.getsockname()[1], QUICK, converter)


def test_converter_gets_the_bytes(run):
    def pairs(file):
        while data := file.read(3):
            yield data.decode(), len(data)

    reader, status = run(converted(b"abcdefg", pairs))
    until(lambda: received(reader) == 3)
    assert taken(reader) == [("abc", 3), ("def", 3), ("g", 1)]
    until(lambda: status.texts("stopped") or status.texts("error"))
    assert reader.name.startswith("socketStream(127.0.0.1:")


def test_converter_that_fails_keeps_what_came_before(run):
    def broken(file):
        yield file.read(1)
        raise ValueError("no more")

    reader, status = run(converted(b"ab", broken))
    until(lambda: received(reader) == 1)
    assert taken(reader) == [b"a"]
    until(lambda: "no more; trying again every 0.01 s" in status.texts("error"))


def test_converter_that_gives_what_cannot_be_pickled(run):
    def locks(file):
        yield file.read(1)
        yield threading.Lock()

    reader, status = run(converted(b"a", locks))
    until(lambda: any("cannot be pickled: <unlocked _thread.lock" in text for text in status.texts("error")))
    assert taken(reader) == [b"a"]


# ---------------------------------------------------------------------- lines for all cores


def line_partitions(blocks: list[Block], parallelism: int = 4) -> list[list[bytes]]:
    """Chunks of each partition of a batch of lines."""
    source = SocketSource("h", 1, Settings(parallelism=parallelism))
    reader: Any = source.reader(Start(), None)
    assert reader.put_blocks([[block] for block in blocks])
    return partitions(reader.batch(None, {"n": received(reader)}))


def lines_of(parts: list[list[bytes]]) -> list[str]:
    return [line for part in parts for line in decoded(part, read_line_blocks)]


@pytest.mark.parametrize("in_block", [10_000, 3_333, 1_000, 7, 1])
def test_a_large_batch_of_lines_is_spread_however_it_came(in_block):
    lines = [f"line {n}" for n in range(10_000)]
    blocks = []
    for at in range(0, len(lines), in_block):
        some = lines[at : at + in_block]
        blocks.append(Block("".join(f"{line}\n" for line in some).encode(), len(some)))
    parts = line_partitions(blocks)
    assert lines_of(parts) == lines
    assert len(parts) == 4
    sizes = [sum(map(len, part)) for part in parts]
    assert max(sizes) - min(sizes) < 50, "each has its share"


def test_a_small_batch_of_lines_is_one_chunk():
    blocks = [Block(b"a\n" * 100, 100)] * 20
    assert line_partitions(blocks) == [[b"a\n" * 2_000]]
    assert len(line_partitions([*blocks, Block(b"a\n", 1)])) == 4
    assert len(line_partitions([*blocks, Block(b"a\n", 1)], parallelism=1)) == 1


def test_chunks_of_lines_are_of_one_size_and_not_large():
    line = b"x" * 99 + b"\n"
    parts = line_partitions([Block(line * 10_000, 10_000)] * 8)
    assert lines_of(parts) == ["x" * 99] * 80_000
    assert len(parts) == 4
    sizes = [len(chunk) for part in parts for chunk in part]
    assert all((1 << 18) <= size < (1 << 18) + len(line) for size in sizes[:-1])
    assert 0 < sizes[-1] < (1 << 18) + len(line)


def test_a_line_that_is_longer_than_a_chunk_is_whole():
    long = b"y" * 1_000_000 + b"\n"
    parts = line_partitions([Block(b"a\n" * 5_000, 5_000), Block(long, 1), Block(b"b\n" * 5_000, 5_000)])
    assert lines_of(parts) == [*["a"] * 5_000, "y" * 1_000_000, *["b"] * 5_000]


def test_lines_of_any_length_are_merged_as_they_are(monkeypatch):
    monkeypatch.setattr("dstreams._sources.socket._RECEIVE_BYTES", 100)
    reader: Any = SocketSource("h", 1, Settings()).reader(Start(), None)
    assert reader.merge([], 1) == []
    chance = random.Random(0)
    for _ in range(1_000):
        longest = chance.choice([0, 3, 50, 300])
        blocks = [
            b"".join(b"x" * chance.randint(0, longest) + b"\n" for _ in range(chance.randint(1, 8)))
            for _ in range(chance.randint(1, 12))
        ]
        wanted = chance.randint(1, 6)
        whole = b"".join(blocks)
        chunks = reader.merge(blocks, wanted)
        assert b"".join(chunks) == whole
        assert all(chunk.endswith(b"\n") for chunk in chunks)
        size = max(1, min(100, len(whole) // wanted))
        assert all(size <= len(chunk) <= size + longest for chunk in chunks[:-1]), "at the first end of a line"
        assert len(chunks[-1]) <= size + longest


# ---------------------------------------------------------------------- blocks


def test_collected_records_are_passed_on_when_there_are_many_in_time_and_at_the_end():
    passed: list[list[int]] = []

    def put(records: list[int]) -> bool:
        passed.append(records)
        return True

    collector = Collector(put, 3600)
    for n in range(2_001):
        collector.add(n)
    assert [len(records) for records in passed] == [2_000]
    collector.flush()
    collector.flush()
    collector.add(1)
    collector.close()
    assert [len(records) for records in passed] == [2_000, 1, 1]
    timed = Collector(put, 0.001)
    timed.add(7)
    until(lambda: [7] in passed)
    timed.close()


@pytest.mark.parametrize(
    ("records", "blocks"),
    [
        ([], 1),
        (["a", None, {"b": (1, 2)}], 1),
        (list(range(2_000)), 1),
        (list(range(2_001)), 2),
        (list(range(10_001)), 6),
        (["x" * 400_000] * 4, 1),  # the same object is pickled once
        (["x" * 400_000 + str(n) for n in range(4)], 2),
        (["small", "x" * 3_000_000, "small"], 3),
    ],
)
def test_records_are_cut_into_blocks_of_a_bounded_size(records: list[Any], blocks: int) -> None:
    made = pickled(records)
    assert decoded([block.data for block in made]) == records
    assert [len(pickle.loads(block.data)) for block in made] == [block.records for block in made]
    assert all(len(block.data) <= 1 << 20 or block.records == 1 for block in made)
    assert max(block.records for block in made) <= 2_000
    assert len(made) == blocks


def test_a_batch_of_few_records_is_one_partition():
    assert cut([], 0, 4) is None
    assert cut([b"a"] * 10, 2_000, 4) == ([b"a"] * 10, 1)
    assert cut([b"a"] * 10, 2_001, 4) == ([b"a"] * 10, 4)
    assert cut([b"a"] * 3, 5_000, 4) == ([b"a"] * 3, 3)


@pytest.mark.parametrize("size", [1 << 18, 1 << 20, 3 << 20, 16 << 20, 17 << 20])
@pytest.mark.parametrize("parallelism", [1, 2, 3, 64])
@pytest.mark.parametrize("records", [10, 5_000])
def test_no_partition_is_too_large_for_a_task(size: int, parallelism: int, records: int) -> None:
    for number in (1, 2, 5, 60, 100):
        chunks = [bytes(size)] * number
        parts = partitions(cut(chunks, records, parallelism))
        assert [chunk for part in parts for chunk in part] == chunks
        assert all(sum(map(len, part)) <= PARTITION_BYTES or len(part) == 1 for part in parts)


def test_partitions_of_chunks_of_any_size(monkeypatch):
    monkeypatch.setattr("dstreams._sources.receiver.PARTITION_BYTES", 1_000)
    chance = random.Random(0)
    for _ in range(1_000):
        sizes = chance.choice([[0, 1, 100, 500, 999], [0, 1, 100, 500, 999, 1_500], [1, 500, 3_500], [1, 9_000]])
        chunks = [bytes(chance.choice(sizes)) for _ in range(chance.randint(1, 30))]
        parts = partitions(cut(chunks, chance.choice([1, 10_000]), chance.randint(1, 8)))
        assert [chunk for part in parts for chunk in part] == chunks
        largest = max(map(len, chunks))
        most = 1_000 if largest <= 1_000 else max(largest, min(largest + 1_000, 4_000))
        assert all(sum(map(len, part)) <= most or len(part) == 1 for part in parts)


@pytest.mark.parametrize("at", [0, 1, 49, 50, 99])
@pytest.mark.parametrize(("records", "partition_count"), [(100, 1), (5_000, 4)])
def test_one_chunk_that_is_too_large_does_not_split_the_others(at: int, records: int, partition_count: int) -> None:
    small = bytes(10_000)
    chunks = [small] * 100
    chunks[at] = bytes(PARTITION_BYTES + 1)
    assert cut(chunks, records, 4) == (chunks, partition_count)


def test_a_chunk_for_which_a_task_has_hardly_room_is_alone() -> None:
    chunks = [bytes(1_000)] * 8
    chunks[3] = bytes(6 * PARTITION_BYTES)
    parts = partitions(cut(chunks, 10, 1))
    assert [len(part) for part in parts if chunks[3] in part] == [1]


# ---------------------------------------------------------------------- rates


class FakeTime:
    """The event that a receiver waits for, which never happens."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(round(seconds, 6))
        return False

    def is_set(self) -> bool:
        return False


def test_rate_limit():
    now = FakeTime()
    limit = RateLimit(10, 1)
    limit.spend(5, now.wait)
    limit.spend(25, now.wait)
    unlimited = RateLimit(0, 1)
    unlimited.spend(10**9, now.wait)
    assert now.waits == [0.5, 1.0, 1.0, 0.5]
    assert (limit.at_once, unlimited.at_once, RateLimit(0.5, 0.2).at_once) == (10, None, 1)


def test_what_the_program_can_follow_limits_the_rate_too():
    now = FakeTime()
    limit, only = RateLimit(10, 1), RateLimit(0, 1)
    limit.pressed = only.pressed = 5
    limit.spend(10, now.wait)
    only.spend(5, now.wait)
    assert (limit.at_once, only.at_once) == (5, 5)
    limit.pressed = 50
    limit.spend(10, now.wait)
    assert limit.at_once == 10
    assert now.waits == [1.0, 1.0, 1.0, 1.0]


def test_a_rate_that_grows_while_somebody_waits():
    """As when the program was slow once: who waits for a hundred seconds does so no longer."""
    limit = RateLimit(0, 1)
    limit.pressed = 1
    waits = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        limit.pressed = 198
        return False

    limit.spend(100, wait)
    assert waits == [1.0, 0.5]


def test_nobody_waits_for_a_rate_after_the_end():
    waits = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return True

    RateLimit(1, 1).spend(100, wait)
    assert waits == [1.0]


class Connection:
    """Gives bytes as a connection does, and ends."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def recv(self, size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def put_list(reader: Any, records: list[str]) -> None:
    reader.put(records)


def put_one_by_one(reader: Any, records: list[str]) -> None:
    for record in records:
        reader.collector.add(record)
    reader.collector.flush()


def put_lines(reader: Any, records: list[str]) -> None:
    reader.read_records(Connection("\n".join(records).encode(), b"\n"))


@pytest.mark.parametrize(
    ("put", "waits", "seen"),
    [
        (put_list, [0.2, 0.2, 0.1], [20, 40, 50]),
        (put_one_by_one, [0.2, 0.2, 0.1], [20, 40, 50]),
        (put_lines, [0.2, 0.2, 0.09, 0.01], [20, 40, 49, 50]),  # the last line ends in the second piece
    ],
)
def test_what_is_above_the_rate_waits(put, waits, seen):
    """With 100 records per second and blocks of 0.2 s a batch finds 20 more at most, however many come at once."""
    now = FakeTime()
    settings = Settings(max_rate=100, block_seconds=0.2)
    source = SocketSource("h", 1, settings) if put is put_lines else custom(Idle(), settings)
    reader: Any = source.reader(Start(report=Status().report), None)
    reader.limit = RateLimit(100, 0.2)
    there = []

    class Waiting(FakeTime):
        def wait(self, seconds: float) -> bool:
            there.append(received(reader))
            return now.wait(seconds)

    reader._stopped = Waiting()
    records = [f"record {n}" for n in range(50)]
    put(reader, records)
    assert (now.waits, there) == (waits, seen)
    assert taken(reader) == records


def test_without_a_rate_nothing_is_cut():
    reader: Any = custom(Idle(), Settings()).reader(Start(), None)
    reader.put(list(range(1_500)))
    assert [block.records for block in reader._blocks] == [1_500]


# ---------------------------------------------------------------------- bounded memory


def test_a_sender_that_outruns_the_program_is_held_back(run, monkeypatch):
    """When so much waits for a batch the receiver reads no more, until a batch has taken it; TCP does the rest."""
    monkeypatch.setattr("dstreams._sources.receiver.MAX_WAITING_BYTES", 50_000)
    line = b"x" * 999 + b"\n"
    sent = 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader, status = run(SocketSource("127.0.0.1", server.getsockname()[1], QUICK))
        sender, _ = server.accept()
        with sender:
            sender.settimeout(1)
            with pytest.raises(TimeoutError):
                while sent < 200_000_000:
                    sent += sender.send(line * 100)
            until(lambda: status.texts("waiting"))
            waiting = received(reader)
            assert waiting * 1000 < sent, "the rest is in the network's buffers"
            taken_so_far = waiting
            while taken_so_far * 1000 < sent // 1000 * 1000:
                reader.commit({"n": taken_so_far})
                until(lambda before=taken_so_far: received(reader) > before)
                taken_so_far = received(reader)


@pytest.mark.parametrize(("size", "partition_count"), [(10, 2), (20_000, 4)])
def test_large_batches_are_cut_so_that_tasks_can_be_sent(run, size, partition_count):
    """No partition has more than 16 MiB, whatever the parallelism."""
    records = [f"{n:08d}" + "x" * size for n in range(2_001)]

    class Large(Receiver[str]):
        def onStart(self) -> None:
            self.store(list(records))

    reader, _ = run(custom(Large()))
    until(lambda: received(reader) == len(records))
    parts = partitions(reader.batch({"n": 0}, {"n": len(records)}))
    assert len(parts) == partition_count
    assert max(sum(map(len, part)) for part in parts) <= PARTITION_BYTES
    assert [record for part in parts for record in decoded(part)] == records
