from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

import pytest

from dstreams._plan.batch_time import BatchTime
from dstreams._plan.bucket import Bucket, BucketCache, Entry
from dstreams._plan.chunks import Chunks
from dstreams._plan.steps.step import Step
from tests.unit.simulation import MemoryPages, OneBucket


def opened(pages: MemoryPages, step: int = 1, remembered: Any = None) -> Bucket:
    """The bucket in a new batch."""
    pages.begin()
    return Bucket(pages, step, remembered)


def closed(bucket: Bucket, pages: MemoryPages) -> None:
    bucket.close()
    pages.commit()


def test_a_new_bucket_is_empty_and_writes_nothing() -> None:
    pages = MemoryPages()
    bucket = opened(pages)
    assert bucket.entries == []
    assert bucket.header is None
    assert bucket.cached is None
    closed(bucket, pages)
    assert pages.committed == {}


def test_what_is_added_is_there_in_the_next_batch() -> None:
    pages = MemoryPages()
    bucket = opened(pages)
    first = bucket.add("log", b"one", 3)
    second = bucket.add(1000, b"two", 4)
    assert bucket.read(first) == b"one", "and in this one"
    closed(bucket, pages)
    bucket = opened(pages)
    assert bucket.entries == [first, second]
    assert all(isinstance(entry, Entry) for entry in bucket.entries)
    assert [(entry.label, entry.size) for entry in bucket.entries] == [("log", 3), (1000, 4)]
    assert [bucket.read(entry) for entry in bucket.entries] == [b"one", b"two"]
    assert all(type(bucket.read(entry)) is bytes for entry in bucket.entries)


def test_entries_without_a_manifest_do_not_count() -> None:
    pages = MemoryPages()
    opened(pages).add("log", b"one", 1)
    pages.commit()
    bucket = opened(pages)
    assert bucket.entries == []


def test_an_attempt_that_is_not_committed_leaves_nothing() -> None:
    pages = MemoryPages()
    closed(opened(pages), pages)
    bucket = opened(pages)
    bucket.add("log", b"lost", 1)
    bucket.header = 5
    bucket.close()
    bucket = opened(pages)
    assert bucket.entries == []
    assert bucket.header is None


def test_every_attempt_has_tokens_of_its_own() -> None:
    pages = MemoryPages()
    tokens: set[bytes] = set()
    for _ in range(3):
        bucket = opened(pages)
        entries = [bucket.add("log", b"same", 1), bucket.add("log", b"same", 1)]
        assert [entry.slot for entry in entries] == [0, 1], "the same slots in every attempt"
        tokens.update(entry.token for entry in entries)
        bucket.close()
    assert len(tokens) == 6


def test_the_manifest_is_written_when_it_has_changed_and_only_then() -> None:
    pages = MemoryPages()
    bucket = opened(pages)
    bucket.add("log", b"one", 1)
    closed(bucket, pages)
    assert pages.writes == [(1, 0), (1, -1)]

    bucket = opened(pages)
    bucket.read(bucket.entries[0])
    closed(bucket, pages)
    assert pages.writes == []

    bucket = opened(pages)
    bucket.header = 7
    closed(bucket, pages)
    assert pages.writes == [(1, -1)], "the note is in the manifest"

    bucket = opened(pages)
    assert bucket.header == 7
    assert [entry.label for entry in bucket.entries] == ["log"]
    bucket.drop(lambda entry: True)
    closed(bucket, pages)
    assert pages.writes == [(1, -1)]
    bucket.close()
    assert pages.writes == [(1, -1)], "the second close has nothing to say"


def test_dropping_removes_page_and_line() -> None:
    pages = MemoryPages()
    bucket = opened(pages)
    for label in (1, 2, 3, 4):
        bucket.add(label, str(label).encode(), 1)
    bucket.drop(lambda entry: entry.label in (2, 4))  # one of an earlier batch would do the same
    closed(bucket, pages)
    assert set(pages.committed) == {(1, -1), (1, 0), (1, 2)}
    bucket = opened(pages)
    assert [entry.label for entry in bucket.entries] == [1, 3]
    bucket.drop(lambda entry: False)
    bucket.drop(lambda entry: entry.label == 1)
    bucket.add(5, b"5", 1)
    closed(bucket, pages)
    assert [bucket.read(entry) for entry in opened(pages).entries] == [b"3", b"5"]


def test_a_slot_that_was_dropped_is_not_used_again_in_the_same_batch() -> None:
    pages = MemoryPages()
    bucket = opened(pages)
    bucket.add(1, b"1", 1)
    closed(bucket, pages)
    bucket = opened(pages)
    (old,) = bucket.entries
    bucket.drop(lambda entry: True)
    new = bucket.add(2, b"2", 1)
    assert new.slot != old.slot
    closed(bucket, pages)
    bucket = opened(pages)
    assert bucket.entries == [new]
    assert bucket.read(new) == b"2"


def test_slots_stay_small_when_entries_come_and_go() -> None:
    pages = MemoryPages()
    for batch in range(50):
        bucket = opened(pages)
        bucket.drop(lambda entry, batch=batch: entry.label < batch - 3)
        bucket.add(batch, b"%d" % batch, 1)
        closed(bucket, pages)
        assert len(pages.committed) <= 5
        assert [bucket.read(entry) for entry in bucket.entries] == [
            b"%d" % n for n in range(max(0, batch - 3), batch + 1)
        ]


def test_entries_by_label_are_in_the_order_of_writing() -> None:
    bucket = opened(MemoryPages())
    for number, label in enumerate(["log", 5, "snapshot", 3, "log"]):
        bucket.add(label, b"", number)
    assert [entry.size for entry in bucket.labelled(["snapshot", "log"])] == [0, 2, 4]
    assert [entry.size for entry in bucket.labelled(iter([3]))] == [3]
    assert bucket.labelled(["other"]) == []


def test_steps_do_not_see_each_other() -> None:
    pages = MemoryPages()
    pages.begin()
    for step in (1, 2):
        bucket = Bucket(pages, step)
        bucket.add("log", b"%d" % step, 1)
        bucket.header = step
        bucket.close()
    pages.commit()
    for step in (1, 2):
        bucket = opened(pages, step)
        assert bucket.header == step
        assert [bucket.read(entry) for entry in bucket.entries] == [b"%d" % step]
        bucket.drop(lambda entry: True)
    assert opened(pages, 3).entries == []


def test_a_lost_slot_is_an_error_that_names_it() -> None:
    pages = MemoryPages()
    bucket = opened(pages, 4)
    entry = bucket.add("log", b"", 1)
    closed(bucket, pages)
    del pages.committed[4, 0]
    with pytest.raises(RuntimeError, match="the state store has lost slot 0 of step 4"):
        opened(pages, 4).read(entry)


def test_what_a_worker_remembers_is_taken_once() -> None:
    worker = BucketCache(100)
    worker.keep("a", 1, 10)
    worker.keep("b", 2, 20)
    assert worker.take("a") == 1
    assert worker.take("a") is None
    assert worker.take("b") == 2
    assert worker.length == 0


def test_a_worker_forgets_what_it_has_not_used_for_longest() -> None:
    worker = BucketCache(100)
    for key in "abc":
        worker.keep(key, key.upper(), 30)
    worker.keep("a", worker.take("a"), 40)
    assert worker.length == 100
    worker.keep("d", "D", 30)
    assert [worker.take(key) for key in "abcd"] == ["A", None, "C", "D"]
    worker.keep("small", 1, 1)
    worker.keep("larger than all", 2, 101)
    assert (worker.take("small"), worker.take("larger than all"), worker.length) == (1, None, 0)


def test_a_manifest_of_before_does_not_tell_its_bytes() -> None:
    pages = MemoryPages()
    bucket = opened(pages, 4)
    bucket.add("log", b"12345", 1)
    closed(bucket, pages)
    header, lines = pickle.loads(pages.committed[4, -1])
    pages.committed[4, -1] = pickle.dumps((header, [line[:4] for line in lines]))
    again = opened(pages, 4)
    assert again.length == 0
    again.add("log", b"123", 1)
    assert again.length == 3


class Diary(Step):
    """Writes the records of each batch, and remembers what it has written and read."""

    def __init__(self) -> None:
        self.remembered: list[Any] = []

    def run(self, bucket: Bucket, records: Iterable[Any], time: BatchTime) -> Chunks:
        self.remembered.append(bucket.cached)
        known: dict[bytes, bytes] = bucket.cached or {}
        bucket.cached = known  # before what may fail, in place
        for record in records:
            known[bucket.add(time.now_ms, record, 1).token] = record
            if record == b"bad":
                raise ValueError(record)
        wrong = [entry for entry in bucket.entries if known.get(entry.token, bucket.read(entry)) != bucket.read(entry)]
        assert not wrong
        out = [(entry.token in known, bucket.read(entry)) for entry in bucket.entries]
        for entry in bucket.entries:
            known[entry.token] = bucket.read(entry)
        return Chunks.of(out)


def test_a_batch_that_fails_leaves_nothing_remembered() -> None:
    diary = Diary()
    bucket = OneBucket(diary)
    assert bucket.run(1, [b"one"]) == [(True, b"one")]
    with pytest.raises(ValueError, match="bad"):
        bucket.run(2, [b"two", b"bad"])
    assert bucket.run(2, [b"two"]) == [(False, b"one"), (True, b"two")]
    assert [remembered is None for remembered in diary.remembered] == [True, False, True]
    assert bucket.run(3) == [(True, b"one"), (True, b"two")]


def test_a_worker_that_has_missed_batches_knows_what_it_knew() -> None:
    bucket = OneBucket(Diary(), workers=2)
    bucket.run(1, [b"one"], worker=0)
    bucket.run(2, [b"two"], worker=1)
    bucket.run(3, [b"three"], worker=1)
    assert bucket.run(4, [b"four"], worker=0) == [(True, b"one"), (False, b"two"), (False, b"three"), (True, b"four")]
    assert bucket.run(5, worker=1) == [(True, b"one"), (True, b"two"), (True, b"three"), (False, b"four")]


def test_an_attempt_that_is_run_again_elsewhere_is_not_believed() -> None:
    bucket = OneBucket(Diary(), workers=2)
    bucket.run(1, [b"lost"], worker=0, commit=False)
    assert bucket.run(1, [b"kept"], worker=1) == [(True, b"kept")]
    assert bucket.run(2, worker=0) == [(False, b"kept")], "the same slot, but another token"


def test_a_worker_that_is_lost_begins_anew() -> None:
    bucket = OneBucket(Diary())
    bucket.run(1, [b"one"])
    bucket.lose(0)
    assert bucket.run(2, [b"two"]) == [(False, b"one"), (True, b"two")]
