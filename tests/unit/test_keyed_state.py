from __future__ import annotations

import itertools
import pickle
import random
from typing import Any

import pytest

from dstreams._plan.bucket import Bucket
from dstreams._plan.steps import keyed
from dstreams._plan.steps.keyed import KeyedState, changed
from dstreams._plan.steps.update import Update
from tests.unit.simulation import MemoryPages, OneBucket

NAN = float("nan")


class Workers:
    """One bucket with keyed state, and the memories of some workers."""

    def __init__(self, workers: int = 1) -> None:
        self.pages = MemoryPages()
        self.memories: list[Any] = [None] * workers

    def open(self, worker: int = 0) -> tuple[Bucket, KeyedState]:
        """Begin an attempt; unless it is saved, the worker has forgotten everything."""
        self.pages.begin()
        bucket = Bucket(self.pages, 1, self.memories[worker])
        self.memories[worker] = None
        return bucket, KeyedState(bucket)

    def save(self, bucket: Bucket, state: KeyedState, put: list[Any], removed: list[Any], worker: int = 0) -> None:
        """End an attempt well; it is not committed yet."""
        state.save(put, removed)
        bucket.close()
        self.memories[worker] = bucket.cached

    def put(self, values: dict[Any, Any], removed: tuple[Any, ...] = (), worker: int = 0) -> None:
        """A whole batch that sets some keys and removes others."""
        bucket, state = self.open(worker)
        for key in removed:
            del state.values[key]
        for key, value in values.items():
            state.values.pop(key, None)
            state.values[key] = value
        self.save(bucket, state, list(values), list(removed), worker)
        self.pages.commit()

    def stored(self) -> dict[Any, Any]:
        """What a worker that knows nothing reads."""
        self.pages.begin()
        return KeyedState(Bucket(self.pages, 1)).values

    @property
    def labels(self) -> list[Any]:
        self.pages.begin()
        return [entry.label for entry in Bucket(self.pages, 1).entries]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a small test reaches."""
    monkeypatch.setattr(keyed, "_SHORT_LOG", 8)
    monkeypatch.setattr(keyed, "_LONG_LOG", 5)
    monkeypatch.setattr(keyed, "_PAGE_KEYS", 4)


# ---------------------------------------------------------------------- snapshot and log


def test_nothing_is_stored_of_nothing() -> None:
    workers = Workers()
    workers.put({})
    assert workers.pages.committed == {}
    assert workers.stored() == {}


def test_a_batch_writes_what_it_has_changed() -> None:
    workers = Workers()
    workers.put({n: "x" * 100 for n in range(900)})
    workers.put({5: "y"}, removed=(6,))
    bucket, state = workers.open()
    assert workers.pages.entries_read == 0, "the worker remembers"
    assert (len(state.values), state.values[5], 6 in state.values) == (899, "y", False)
    assert [entry.size for entry in bucket.entries] == [900, 2]
    sizes = [len(bucket.read(entry)) for entry in bucket.entries]
    assert sizes[1] < 100 < sizes[0]
    assert workers.stored() == state.values


def test_a_batch_that_changes_nothing_writes_nothing() -> None:
    workers = Workers()
    workers.put({"a": 1})
    workers.put({})
    assert workers.pages.writes == []
    _, state = workers.open()
    assert state.values == {"a": 1}
    assert workers.pages.entries_read == 0


@pytest.mark.usefixtures("small")
def test_a_log_of_many_changes_becomes_a_snapshot_in_pages() -> None:
    workers = Workers()
    workers.put({n: n for n in range(8)})
    assert workers.labels == ["log"], "8 changes are a short log"
    workers.put({8: 8})
    assert workers.labels == ["snapshot"] * 3
    workers.pages.begin()
    assert [entry.size for entry in Bucket(workers.pages, 1).entries] == [4, 4, 1]
    assert len(workers.pages.committed) == 4, "the log is gone"
    assert list(workers.stored().items()) == [(n, n) for n in range(9)]


@pytest.mark.usefixtures("small")
def test_a_log_of_many_entries_becomes_a_snapshot() -> None:
    workers = Workers()
    for n in range(5):
        workers.put({"a": n})
    assert workers.labels == ["log"] * 5
    workers.put({"a": 5})
    assert workers.labels == ["snapshot"]
    assert workers.stored() == {"a": 5}


@pytest.mark.usefixtures("small")
def test_the_log_may_grow_to_half_of_the_snapshot() -> None:
    workers = Workers()
    workers.put({n: 0 for n in range(40)})
    assert workers.labels == ["snapshot"] * 10
    workers.put({n: 1 for n in range(10)})
    workers.put({n: 2 for n in range(10)})
    assert workers.labels == ["snapshot"] * 10 + ["log"] * 2
    workers.put({30: 3})
    assert workers.labels == ["snapshot"] * 10
    assert workers.stored() == {n: 2 if n < 10 else 3 if n == 30 else 0 for n in range(40)}


@pytest.mark.usefixtures("small")
def test_when_all_keys_have_gone_nothing_is_left() -> None:
    workers = Workers(2)
    workers.put({n: n for n in range(12)})
    workers.put({}, removed=tuple(range(12)))
    assert workers.labels == []
    assert workers.stored() == {}
    workers.put({"new": 1}, worker=0)
    workers.put({"newer": 2}, worker=1)
    assert workers.open(0)[1].values == workers.stored() == {"new": 1, "newer": 2}


def test_the_real_limits_bound_what_a_new_worker_reads() -> None:
    workers = Workers()
    for n in range(600):
        workers.put({n % 7: n})
        assert len(workers.labels) <= 257
    assert workers.stored() == {n % 7: n for n in range(593, 600)}


# ---------------------------------------------------------------------- workers


def test_a_worker_that_lags_reads_only_what_it_has_missed() -> None:
    workers = Workers(2)
    workers.put({"a": 1, "b": 1}, worker=0)
    workers.put({"a": 2}, worker=1)
    workers.put({"c": 3}, removed=("b",), worker=1)
    _, state = workers.open(0)
    assert state.values == {"a": 2, "c": 3}
    assert workers.pages.entries_read == 2, "two of three entries"


@pytest.mark.usefixtures("small")
def test_a_worker_that_has_missed_a_snapshot_reads_everything() -> None:
    workers = Workers(2)
    workers.put({"a": 1, "gone": 1}, worker=0)
    workers.put({n: n for n in range(20)}, removed=("gone",), worker=1)
    _, state = workers.open(0)
    assert state.values == {"a": 1, **{n: n for n in range(20)}}
    assert workers.pages.entries_read == len(workers.labels) == 6


def test_a_worker_whose_attempt_was_not_committed_reads_everything() -> None:
    workers = Workers(2)
    workers.put({"a": 1}, worker=0)
    bucket, state = workers.open(0)
    state.values["a"] = "lost"
    workers.save(bucket, state, ["a"], [], worker=0)  # and no commit
    assert workers.open(1)[1].values == {"a": 1}
    _, state = workers.open(0)
    assert state.values == {"a": 1}
    assert workers.pages.entries_read == 1


def test_an_attempt_in_another_worker_wins_though_it_has_the_same_slot() -> None:
    workers = Workers(2)
    workers.put({"a": 1}, worker=0)
    bucket, state = workers.open(0)
    state.values["a"] = "lost"
    workers.save(bucket, state, ["a"], [], worker=0)
    workers.put({"b": 2}, worker=1)
    assert workers.open(0)[1].values == {"a": 1, "b": 2}


def test_a_worker_whose_attempt_raised_has_changed_nothing() -> None:
    workers = Workers()
    workers.put({"a": [1]})
    bucket, state = workers.open()
    assert bucket.cached is None, "until it is saved"
    state.values["a"].append(2)
    state.values["b"] = 3
    assert state.mutated("a", state.values["a"])
    # The function raises here: nothing is saved.
    assert workers.open()[1].values == {"a": [1]}


def test_what_is_remembered_of_something_else_is_left_alone() -> None:
    workers = Workers()
    workers.put({"a": 1})
    workers.memories[0] = {"not": "ours"}
    assert workers.open()[1].values == {"a": 1}


def test_values_that_the_program_starts_with() -> None:
    workers = Workers(2)
    bucket, state = workers.open(0)
    state.take(iter([("a", 1), ("b", [])]))
    again = KeyedState(bucket)
    assert again.values == {"a": 1, "b": []}
    again.values["b"].append(2)
    workers.save(bucket, again, ["b"], [], worker=0)
    workers.pages.commit()
    assert workers.stored() == {"a": 1, "b": [2]}
    assert workers.open(0)[1].values == workers.open(1)[1].values == {"a": 1, "b": [2]}


def test_the_order_is_that_of_saving_for_every_worker() -> None:
    workers = Workers(3)
    workers.put({"a": 1, "b": 1, "c": 1}, worker=0)
    workers.put({"a": 2}, worker=1)
    workers.put({"d": 1}, removed=("b",), worker=1)
    workers.put({"b": 3, "c": 3}, worker=1)
    for worker in range(3):
        assert list(workers.open(worker)[1].values) == ["a", "d", "b", "c"]


# ---------------------------------------------------------------------- what counts as a change


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1, 1, False),
        (1, 2, True),
        (1, True, True),
        (True, 1, True),
        (0, False, True),
        (1, 1.0, True),
        (1.0, 1, True),
        (1.5, 1.5, False),
        (0.0, -0.0, True),
        (-0.0, 0.0, True),
        (NAN, NAN, True),
        (None, NAN, True),
        (10**30, 10**30, False),
        ("a", "a", False),
        ("a", b"a", True),
        ("1", 1, True),
        (b"a", b"a", False),
        (b"a", b"b", True),
        (None, None, False),
        (None, 0, True),
        (None, "", True),
        (None, (), True),
        ((), (), False),
        ((1, "a"), (1, "a"), False),
        ((1, "a"), (1, "b"), True),
        ((1,), (1, 1), True),
        ((1, 1), (1,), True),
        ((1,), (True,), True),
        ((1,), (1.0,), True),
        ((0.0,), (-0.0,), True),
        ((NAN,), (NAN,), True),
        (((1, (2,)), 3), ((1, (2,)), 3), False),
        (((1, (2,)), 3), ((1, (True,)), 3), True),
        (((1, (2,)), 3), ((1, (2, 3)), 3), True),
        ((None,), (None,), False),
        (1, [1], None),
        ([1], [1], None),
        ([1], 1, True),
        ([1], (1,), True),
        ((1,), [1], None),
        ((1, [2]), (1, [2]), None),
        (None, (1, [2]), None),
        ((1, [2]), (1, 2), True),
        ((1, ([2],)), (2, ([2],)), None),
        (None, (1, ([2],)), None),
        ({}, {}, None),
        (frozenset(), frozenset(), None),
        (1j, 1j, None),
    ],
)
def test_changed(old: Any, new: Any, expected: bool | None) -> None:
    assert changed(old, new) is expected


class Name(str):
    """A plain type's subclass may have attributes that change."""


class Point(tuple[int, ...]):
    """So may this."""


def test_subclasses_of_plain_types_may_be_mutable() -> None:
    assert changed(Name("a"), Name("a")) is None
    assert changed(Point((1,)), Point((1,))) is None
    assert changed(Name("a"), "a") is True
    assert changed(Point((1,)), (1,)) is True, "the type has changed"
    assert changed((Point((1,)),), (Point((1,)),)) is None


ZOO: list[Any] = [
    None, 0, 1, 2, -1, True, False, 0.0, -0.0, 1.0, 1.5, NAN, float("inf"), "", "a", "1", b"", b"a", (), (0,), (False,),
    (0.0,), (-0.0,), (1,), (1.0,), (True,), (NAN,), (None,), ("a", 1), ("a", (1, 1.5)), ("a", (True, 1.5)), ("a", (1,)),
    ((),), ((), ()),
]  # fmt: skip


def test_no_change_is_missed_and_few_are_imagined() -> None:
    for old, new in itertools.product(ZOO, ZOO):
        verdict = changed(old, pickle.loads(pickle.dumps(new)))
        if repr(old) != repr(new):
            assert verdict is True, (old, new)
        elif not any(mark in repr(new) for mark in ("nan", "0.0")):
            assert verdict is False, (old, new)


def test_a_mutable_value_has_changed_if_it_looks_different() -> None:
    workers = Workers()
    _, state = workers.open()
    value = [1]
    assert state.mutated("k", value), "seen for the first time"
    assert not state.mutated("k", value)
    assert not state.mutated("k", [1])
    value.append(2)
    assert state.mutated("k", value)
    assert not state.mutated("k", value)
    assert state.mutated("other", value)


def test_looks_are_kept_from_batch_to_batch_and_dropped_with_what_changes_them() -> None:
    workers = Workers(2)
    bucket, state = workers.open(0)
    state.values.update(a=[1], b=[1])
    assert state.mutated("a", [1]) and state.mutated("b", [1])
    workers.save(bucket, state, ["a", "b"], [], worker=0)
    workers.pages.commit()
    workers.put({"a": [2]}, worker=1)
    _, state = workers.open(0)
    assert not state.mutated("b", [1])
    assert state.mutated("a", [1]), "in the store it is [2]"
    workers.put({"c": 1}, removed=("a", "b"), worker=1)
    workers.put({"a": 1, "b": 1}, worker=1)
    _, state = workers.open(1)
    assert state.mutated("a", [2]) and state.mutated("b", [1])


def test_looks_go_with_their_keys() -> None:
    workers = Workers()
    bucket, state = workers.open()
    state.values["a"] = [1]
    assert state.mutated("a", [1])
    workers.save(bucket, state, ["a"], [])
    workers.pages.commit()
    workers.put({}, removed=("a",))
    assert workers.open()[1].mutated("a", [1])


# ---------------------------------------------------------------------- models


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(25))
def test_it_is_a_dict_whatever_happens_to_batches_and_workers(seed: int) -> None:
    rng = random.Random(seed)
    workers = Workers(3)
    model: dict[Any, Any] = {}
    keys: list[Any] = [None, 0, 1.5, "a", "b", b"a", ("t", 1), *range(10, 10 + rng.choice([2, 30]))]
    for batch in range(150):
        worker = rng.randrange(3)
        if rng.random() < 0.05:
            workers.memories[worker] = None  # the worker is lost
        bucket, state = workers.open(worker)
        assert repr(list(state.values.items())) == repr(list(model.items())), "values, types and order"
        planned = separate(model)
        put: dict[Any, None] = {}
        removed: list[Any] = []
        for key in rng.sample(keys, rng.choice([0, 1, 1, 2, 5])):
            if key in planned and rng.random() < 0.4:
                removed.append(key)
                del planned[key], state.values[key]
                continue
            value = planned.pop(key, None)
            if isinstance(value, list) and rng.random() < 0.7:
                value.append(batch)
                same = state.values.pop(key)
                same.append(batch)  # in place
                state.values[key] = same
            else:
                value = rng.choice([batch, True, -0.0, "x" * batch, [batch], (batch, [batch])])
                state.values.pop(key, None)
                state.values[key] = pickle.loads(pickle.dumps(value))
            planned[key] = value
            put[key] = None
        if rng.random() < 0.1:
            continue  # the function raises
        workers.save(bucket, state, list(put), removed, worker)
        if rng.random() < 0.15:
            continue  # the task ends well, but its batch is run again
        workers.pages.commit()
        model = planned
    assert repr(list(workers.stored().items())) == repr(list(model.items()))


def obey(news: list[Any], old: Any) -> Any:
    """An update function that is told what to do."""
    if not news:
        return old
    ((how, what),) = news
    if how == "raise":
        raise ValueError("boom")
    if how == "append" and isinstance(old, list):
        old.append(what)
        return old
    return what


def separate(values: dict[Any, Any]) -> dict[Any, Any]:
    """A copy in which no two values share anything."""
    return {key: pickle.loads(pickle.dumps(value)) for key, value in values.items()}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(25))
def test_states_of_all_types_are_stored_whoever_runs_the_batches(seed: int) -> None:
    rng = random.Random(seed)
    kinds: list[Any] = [*ZOO, [], [1], [1, 2], {"a": 1}, ([1],), ([1], 2), {1}]
    few = rng.sample(kinds, 5)  # so that values come back
    bucket = OneBucket(Update(obey, 1), workers=2)
    model: dict[Any, Any] = {}
    worker = now = 0
    for _ in range(150):
        now += 1
        worker = 1 - worker if rng.random() < 0.3 else worker
        if rng.random() < 0.02:
            bucket.lose(worker)
        news = {}
        for key in rng.sample("abcdefgh", rng.choice([0, 1, 2, 4])):
            value = rng.choice(few)
            how = rng.choice(["set", "append"])
            news[key] = (how, value)
        if rng.random() < 0.1:
            with pytest.raises(ValueError, match="boom"):
                bucket.run(now, [*news.items(), ("z", ("raise", None))], worker=worker)
            continue
        planned = separate(model)
        for key, news_of_key in news.items():
            planned[key] = obey([news_of_key], planned.get(key))
            if planned[key] is None:
                del planned[key]
        commit = rng.random() > 0.15
        out = bucket.run(now, news.items(), worker=worker, commit=commit)
        assert sorted(map(repr, out)) == sorted(map(repr, planned.items()))
        if commit:
            model = planned


def test_a_mutable_state_that_comes_back_after_a_plain_one_is_stored() -> None:
    bucket = OneBucket(Update(lambda news, old: news[0] if news else old, 1), workers=2)
    for now, state in enumerate([[1], 5, [1]], 1):
        bucket.run(now, [("k", state)], worker=0)
    assert bucket.run(4, worker=0) == [("k", [1])]
    assert bucket.run(5, worker=1) == [("k", [1])], "and not 5"


def test_a_mutable_state_that_comes_back_after_it_was_forgotten_is_stored() -> None:
    bucket = OneBucket(Update(lambda news, old: news[0] if news else old, 1), workers=2)
    for now, state in enumerate([[1], None, [1]], 1):
        bucket.run(now, [("k", state)], worker=0)
    assert bucket.run(4, worker=1) == [("k", [1])]
