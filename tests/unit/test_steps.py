"""Steps with state, batch by batch, against what the operations mean."""

from __future__ import annotations

import operator
import pickle
import random
import traceback
from collections.abc import Callable, Iterable
from datetime import datetime
from threading import Lock
from typing import Any

import pytest

from dstreams._plan.batch_time import BatchTime
from dstreams._plan.bucket import Bucket
from dstreams._plan.steps import keyed
from dstreams._plan.steps.map_state import MapState, State
from dstreams._plan.steps.reduced_window import ReducedWindow
from dstreams._plan.steps.step import Step
from dstreams._plan.steps.update import Update
from dstreams._plan.steps.window import Window
from dstreams.errors import DStreamStateError
from tests.unit.simulation import MemoryPages, OneBucket

Batches = list[tuple[int, list[Any]]]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots are taken often."""
    monkeypatch.setattr(keyed, "_SHORT_LOG", 6)
    monkeypatch.setattr(keyed, "_LONG_LOG", 4)
    monkeypatch.setattr(keyed, "_PAGE_KEYS", 3)


def due(before: int, now: int, slide: int) -> bool:
    """Whether one of the times ``slide, 2 * slide, ...`` is after `before` and not after `now`."""
    return any(time % slide == 0 for time in range(before + 1, now + 1))


def span(before: int, now: int, window: int, slide: int) -> tuple[int, int]:
    """After which time, and until which, a batch is in the window that is due.

    It ends at the last of the slides that were crossed, and begins where its own length says or, if that is earlier,
    where the last window before ended; windows with gaps keep their gaps.
    """
    crossed = [time for time in range(before + 1, now + 1) if time % slide == 0]
    end = crossed[-1]
    return (end - window if window < slide else min(end - window, crossed[0] - slide)), end


def times(rng: random.Random, batches: int) -> list[int]:
    """Batch times, some of which are late by a few intervals, and some by many."""
    now, found = 0, []
    for _ in range(batches):
        now += rng.choice([1, 1, 1, 1, 1, 2, 3, 17])
        found.append(now)
    return found


def played(bucket: OneBucket, rng: random.Random, now: int, records: list[Any]) -> list[Any]:
    """Run a batch on some worker, perhaps after attempts that come to nothing."""
    for _ in range(2):
        if rng.random() < 0.1:
            bucket.run(now, [*records, ("wrong", 1)], worker=rng.randrange(3), commit=False)
        if rng.random() < 0.1:
            with pytest.raises(TypeError):
                bucket.run(now, [*records, "no pair at all"], worker=rng.randrange(3))
    if rng.random() < 0.05:
        bucket.lose(rng.randrange(3))
    return bucket.run(now, records, worker=rng.randrange(3))


def some_pairs(rng: random.Random, keys: str = "abcd") -> list[tuple[str, int]]:
    return [(rng.choice(keys), rng.randrange(1, 10)) for _ in range(rng.choice([0, 0, 1, 2, 5]))]


def named(step: Step, where: str = "operation at app.py:3") -> Any:
    step.where = where
    return step


def total(news: list[int], old: int | None) -> int:
    return sum(news) + (old or 0)


@pytest.mark.parametrize("slide", [1, 2, 3, 7])
@pytest.mark.parametrize("zero", [0, 5, 1_600_000_000_001])
def test_a_slide_is_due_when_a_multiple_of_it_was_crossed_since_zero(slide: int, zero: int) -> None:
    for before in range(20):
        for now in range(before + 1, 25):
            time = BatchTime(zero, zero + before, zero + now)
            assert time.due(slide) is due(before, now, slide)


# ---------------------------------------------------------------------- updateStateByKey


def test_update_calls_the_function_for_every_key_that_is_known_or_new() -> None:
    bucket = OneBucket(Update(lambda news, old: (news, old if old is None else ".."), 1))
    assert bucket.run(1, [("a", 1), ("b", 1)]) == [("a", ([1], None)), ("b", ([1], None))]
    assert bucket.run(2, [("a", 2)]) == [("a", ([2], "..")), ("b", ([], ".."))]
    assert bucket.run(3) == [("a", ([], "..")), ("b", ([], ".."))]


def test_update_gives_the_values_in_their_order() -> None:
    bucket = OneBucket(Update(lambda news, old: (old or ()) + tuple(news), 1))
    bucket.run(1, [("a", 3), ("b", 9), ("a", 1), ("a", 2)])
    assert dict(bucket.run(2, [("a", 5), ("a", 4)])) == {"a": (3, 1, 2, 5, 4), "b": (9,)}


def test_update_forgets_a_key_at_none_and_keeps_what_is_merely_false() -> None:
    bucket = OneBucket(Update(lambda news, old: news[0] if news else old, 1), workers=2)
    falsy: list[Any] = [0, "", [], (), False, 0.0]
    out = bucket.run(1, [*enumerate(falsy), ("none", None)])
    assert out == list(enumerate(falsy))
    assert bucket.run(2, [(0, None)], worker=1) == list(enumerate(falsy))[1:]
    assert sorted(bucket.run(3, worker=0)) == list(enumerate(falsy))[1:]
    calls: list[Any] = []
    bucket = OneBucket(Update(lambda news, old: calls.append((news, old)), 1))
    bucket.run(1, [("k", 1)])
    bucket.run(2)
    bucket.run(3, [("k", 2)])
    assert calls == [([1], None), ([2], None)], "a key that was forgotten begins anew"


def test_update_may_keep_and_change_the_list_it_gets() -> None:
    def collect(news: list[int], old: list[int] | None) -> list[int]:
        if old is None:
            return news
        old.extend(news)
        news.clear()
        return old

    bucket = OneBucket(Update(collect, 1), workers=2)
    bucket.run(1, [("a", 1), ("b", 2)])
    first = bucket.run(2, [("a", 3)])
    assert dict(bucket.run(3, [("a", 4)], worker=1)) == {"a": [1, 3, 4], "b": [2]}
    assert first == [("a", [1, 3]), ("b", [2])], "what came out before is not changed"
    assert sorted(bucket.run(4, worker=0)) == sorted(bucket.run(5, worker=1)) == [("a", [1, 3, 4]), ("b", [2])]


def test_update_starts_from_the_initial_state() -> None:
    bucket = OneBucket(Update(total, 1), workers=2)
    out = bucket.run(1, [("a", 1), ("b", 1)], initial=[("z", 100), ("a", 50)])
    assert sorted(out) == [("a", 51), ("b", 1), ("z", 100)]
    assert sorted(bucket.run(2, [("a", 2)], worker=1)) == [("a", 53), ("b", 1), ("z", 100)]


def test_update_calls_the_function_for_initial_keys_in_the_first_batch() -> None:
    bucket = OneBucket(Update(lambda news, old: old + 1, 1))
    assert bucket.run(1, initial=[("a", 0)]) == [("a", 1)]


def test_the_initial_state_waits_for_a_slow_parent() -> None:
    bucket = OneBucket(Update(total, 3), workers=2)
    assert bucket.run(1, initial=[("a", 5)]) == []
    assert bucket.run(2, worker=1) == []
    assert bucket.run(3, [("a", 1)]) == [("a", 6)]


def test_a_batch_in_which_the_parent_has_no_rdd_changes_nothing() -> None:
    bucket = OneBucket(Update(lambda news, old: (old or 0) + 1, 1), workers=2)
    bucket.run(1, [("a", 1)])
    assert bucket.run(2, absent=True) == [("a", 1)], "the function is not called"
    assert bucket.run(3, absent=True, worker=1) == [("a", 1)]
    assert bucket.run(4, []) == [("a", 2)], "as it is for an empty one"
    bucket.run(5, absent=True)
    bucket.run(6)
    assert bucket.pages.entries_read == 0, "the worker still remembers"


def test_update_writes_only_what_has_changed() -> None:
    bucket = OneBucket(Update(total, 1))
    bucket.run(1, [(n, n) for n in range(100)])
    bucket.run(2, [(7, 0)])
    assert bucket.pages.writes == []
    bucket.run(3, [(7, 1)])
    assert len(bucket.pages.writes) == 2, "an entry and the manifest"
    bucket = OneBucket(Update(lambda news, old: news or old, 1))
    bucket.run(1, [("k", 1)])
    bucket.run(2)
    assert bucket.pages.writes == [], "a list that is as it was"


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("slide", [1, 3])
def test_update_against_a_dict(seed: int, slide: int) -> None:
    rng = random.Random(seed)

    def update(news: list[int], old: Any) -> Any:
        """A list changed in place, or a plain number, or nothing; depends on all it gets."""
        state = [] if old is None else old if isinstance(old, list) else [old]
        state.extend(news)
        number = sum(state)
        return None if number % 7 == 6 else number if number % 3 == 0 else state[-3:] if number % 3 == 1 else state

    bucket = OneBucket(Update(update, slide), workers=3)
    model: dict[str, Any] = {}
    before = 0
    for now in times(rng, 60):
        if due(before, now, slide):
            records = some_pairs(rng)
            news: dict[str, list[int]] = {key: [] for key in model}
            for key, value in records:
                news.setdefault(key, []).append(value)
            states = {key: update(news[key], list(old) if isinstance(old := model.get(key), list) else old)
                      for key in news}  # fmt: skip
            model = {key: state for key, state in states.items() if state is not None}
            assert sorted(played(bucket, rng, now, records), key=repr) == sorted(model.items(), key=repr)
        else:
            assert bucket.run(now, worker=rng.randrange(3)) == []
        before = now


# ---------------------------------------------------------------------- window


def in_window(history: Batches, start: int, end: int) -> list[Any]:
    return [record for time, records in history if start < time <= end for record in records]


@pytest.mark.parametrize(
    ("window", "slide", "expected"),
    [
        (3, 1, [["a1", "b1"], ["a1", "b1", "a2"], ["a1", "b1", "a2"], ["a2", "c5"], ["c5"], ["c5"], []]),
        (3, 2, [[], ["a1", "b1", "a2"], [], ["a2", "c5"], [], ["c5"], []]),
        (1, 2, [[], ["a2"], [], ["c5"], [], [], []]),
        (2, 3, [[], [], ["a2"], [], [], [], []]),
        (0, 1, [[]] * 7),
    ],
)
def test_window(window: int, slide: int, expected: list[list[str]]) -> None:
    bucket = OneBucket(Window(window, slide, 1), workers=2)
    batches = [["a1", "b1"], ["a2"], [], ["c5"], [], [], []]
    out = [bucket.run(now, records, worker=now % 2) for now, records in enumerate(batches, 1)]
    assert out == expected
    assert len(bucket.pages.committed) <= 1 + window, "what has left the window is dropped"


def test_a_window_of_no_length_stores_nothing() -> None:
    for step in (Window(0, 1, 1), sums(None, 0, 1, 1)):
        bucket = OneBucket(step)
        assert bucket.run(1, [("a", 1)]) == []
        assert bucket.pages.writes == []


def test_a_window_keeps_nothing_in_the_end() -> None:
    bucket = OneBucket(Window(3, 1, 1))
    bucket.run(1, ["a"])
    bucket.run(9)
    assert set(bucket.pages.committed) == {(3, -1)}


def test_a_window_writes_its_own_batch_and_reads_nothing_that_the_worker_knows() -> None:
    bucket = OneBucket(Window(10, 1, 1), workers=2)
    for now in range(1, 6):
        bucket.run(now, [now])
        assert bucket.pages.entries_read == 0
        assert len(bucket.pages.writes) == 2
    bucket.run(6, worker=1)
    assert bucket.pages.entries_read == 5
    bucket.run(7, [7])
    assert bucket.pages.entries_read == 0


def test_what_comes_out_of_a_window_is_as_it_was_whatever_its_readers_do() -> None:
    bucket = OneBucket(Window(3, 1, 1))
    ((first,),) = (bucket.run(1, [[1]]),)
    first.append("changed")
    assert bucket.run(2) == [[1]]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("window", "slide", "parent"),
    [(1, 1, 1), (4, 1, 1), (5, 3, 1), (3, 5, 1), (4, 4, 2), (6, 2, 2), (12, 4, 2), (0, 1, 1)],
)
def test_window_against_a_list(seed: int, window: int, slide: int, parent: int) -> None:
    rng = random.Random(seed)
    bucket = OneBucket(Window(window, slide, parent), workers=3)
    history: Batches = []
    before = 0
    for now in times(rng, 60):
        records = [rng.randrange(100) for _ in range(rng.choice([0, 1, 3]))] if due(before, now, parent) else []
        history.append((now, records))
        if rng.random() < 0.1:
            bucket.run(now, ["lost"], worker=rng.randrange(3), commit=False)
        out = bucket.run(now, records, worker=rng.randrange(3))
        assert out == (in_window(history, *span(before, now, window, slide)) if due(before, now, slide) else [])
        before = now


# ---------------------------------------------------------------------- reduceByKeyAndWindow with an inverse


def sums(keep: Callable[[tuple[Any, Any]], bool] | None, window: int, slide: int, parent: int) -> ReducedWindow:
    return ReducedWindow(operator.add, operator.sub, keep, window, slide, parent)


A, B, C = ("a", 1), ("b", 1), ("c", 5)
INPUT: list[list[tuple[str, int]]] = [[A, B], [("a", 2)], [], [C], [], [], [], [], []]


def test_a_long_reduced_window_keeps_keys_with_zero() -> None:
    bucket = OneBucket(sums(None, 5, 1, 1), workers=2)
    out = [dict(bucket.run(now, records, worker=now % 2)) for now, records in enumerate(INPUT, 1)]
    assert out == [
        {"a": 1, "b": 1},
        {"a": 3, "b": 1},
        {"a": 3, "b": 1},
        {"a": 3, "b": 1, "c": 5},
        {"a": 3, "b": 1, "c": 5},
        {"a": 2, "b": 0, "c": 5},
        {"a": 0, "b": 0, "c": 5},
        {"a": 0, "b": 0, "c": 5},
        {"a": 0, "b": 0, "c": 0},
    ]


def test_a_long_reduced_window_with_a_filter() -> None:
    bucket = OneBucket(sums(lambda pair: pair[1] > 0, 5, 1, 1), workers=2)
    out = [dict(bucket.run(now, records, worker=now % 2)) for now, records in enumerate(INPUT, 1)]
    assert out[4:] == [{"a": 3, "b": 1, "c": 5}, {"a": 2, "c": 5}, {"c": 5}, {"c": 5}, {}]


def test_a_short_reduced_window_forgets() -> None:
    bucket = OneBucket(sums(None, 3, 1, 1), workers=2)
    out = [dict(bucket.run(now, records, worker=now % 2)) for now, records in enumerate(INPUT, 1)]
    assert out == [
        {"a": 1, "b": 1},
        {"a": 3, "b": 1},
        {"a": 3, "b": 1},
        {"a": 2, "c": 5},
        {"c": 5},
        {"c": 5},
        {},
        {},
        {},
    ]
    assert set(bucket.pages.committed) == {(3, -1)}


@pytest.mark.parametrize("window", [3, 7])
def test_a_reduced_window_drops_what_has_left_it(window: int) -> None:
    bucket = OneBucket(sums(None, window, 1, 1))
    for now in range(1, 20):
        bucket.run(now, [A])
        labels = [entry.label for entry in Bucket(bucket.pages, 3).entries if isinstance(entry.label, int)]
        assert labels == list(range(max(1, now - window + 1), now + 1))


@pytest.mark.parametrize(("window", "expected"), [(4, {}), (5, {"a": 0})])
def test_five_slides_make_the_difference(window: int, expected: dict[str, int]) -> None:
    bucket = OneBucket(sums(None, window * 10, 10, 1))
    bucket.run(10, [A])
    for now in range(20, 80, 10):
        out = bucket.run(now)
    assert dict(out) == expected


def test_the_inverse_gets_the_value_so_far_and_the_one_that_leaves() -> None:
    calls: list[tuple[str, Any, Any]] = []

    def add(a: str, b: str) -> str:
        calls.append(("add", a, b))
        return a + b

    def subtract(a: str, b: str) -> str:
        calls.append(("subtract", a, b))
        return a.removeprefix(b)

    bucket = OneBucket(ReducedWindow(add, subtract, None, 5, 1, 1))
    bucket.run(1, [("k", "x")])
    bucket.run(2, [("k", "y")])
    for now in (3, 4, 5):
        bucket.run(now)
    assert calls == [("add", "x", "y")]
    assert bucket.run(6, [("k", "z")]) == [("k", "yz")]
    assert calls[1:] == [("subtract", "xy", "x"), ("add", "y", "z")], "first what leaves, then what comes"
    assert bucket.run(7) == [("k", "z")]


def test_a_value_of_none_is_not_taken_off() -> None:
    def subtract(a: Any, b: Any) -> Any:
        raise AssertionError("called")

    bucket = OneBucket(ReducedWindow(lambda a, b: b, subtract, None, 5, 1, 1))
    bucket.run(1, [("k", None)])
    bucket.run(2, [("k", 2)])
    for now in (3, 4, 5, 6):
        assert bucket.run(now) == [("k", 2)]


def test_lists_are_extended_in_place_without_harm() -> None:
    def extend(values: list[int], more: list[int]) -> list[int]:
        values.extend(more)
        return values

    bucket = OneBucket(ReducedWindow(extend, lambda values, old: values[len(old) :], None, 5, 1, 1), workers=2)
    out = [
        dict(bucket.run(now, [("k", [now])] if now < 7 else [], worker=now // 2 % 2)).get("k") for now in range(1, 13)
    ]
    assert out == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5], [2, 3, 4, 5, 6],
                   [3, 4, 5, 6], [4, 5, 6], [5, 6], [6], [], []]  # fmt: skip


def test_windows_that_follow_each_other_have_each_batch_once() -> None:
    """Also where a batch is late: what it took is in the next window."""
    plain, reduced = OneBucket(Window(4, 4, 2)), OneBucket(sums(None, 4, 4, 2))
    out = []
    for now in (2, 6, 8, 14, 16):  # 4 and 12 are jumped over
        out.append((now, plain.run(now, [now]), dict(reduced.run(now, [("k", now)])).get("k")))
    assert out == [(2, [], None), (6, [2], 2), (8, [6, 8], 14), (14, [], None), (16, [14, 16], 30)]


def test_no_batch_is_lost_where_a_late_one_jumps_over_several_windows() -> None:
    bucket = OneBucket(Window(4, 4, 2))
    assert [bucket.run(now, [now]) for now in (2, 8, 10, 26, 28)] == [[], [2, 8], [], [10], [26, 28]]


def test_what_came_and_left_between_two_results_is_in_the_later_one() -> None:
    # 3 is not a multiple of the slide; when the next one is due, its data are older than the window.
    bucket = OneBucket(sums(None, 10, 2, 1))
    bucket.run(2, [A])
    bucket.run(3, [B, ("a", 10)])
    assert dict(bucket.run(14)) == {"a": 10, "b": B[1]}
    for now in (16, 26, 36):
        assert dict(bucket.run(now)) == {"a": 0, "b": 0}


def test_a_late_batch_takes_off_only_what_was_added() -> None:
    taken: list[Any] = []

    def subtract(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
        taken.append(b)
        return a[len(b) :]

    bucket = OneBucket(ReducedWindow(operator.add, subtract, None, 10, 2, 1))
    bucket.run(2, [("k", (2,))])
    bucket.run(3, [("k", (3,))])
    assert bucket.run(14, [("k", (14,))]) == [("k", (3, 14))]
    assert bucket.run(16) == [("k", (14,))]
    assert taken == [(2,), (3,)]


def model_of_reduced(
    history: Batches,
    spans: list[tuple[int, int]],
    keep: Callable[[tuple[str, int]], bool] | None,
    window: int,
    slide: int,
) -> dict[str, int]:
    """Sums by key in the last of the windows, each recomputed from scratch."""
    known: dict[str, None] = {}
    values: dict[str, int] = {}
    for start, end in spans:
        inside: dict[str, int] = {}
        for key, value in in_window(history, start, end):
            inside[key] = inside.get(key, 0) + value
        if window >= 5 * slide:
            known.update(dict.fromkeys(inside))
            inside = {key: inside.get(key, 0) for key in known}
        values = {key: value for key, value in inside.items() if keep is None or keep((key, value))}
        known = dict.fromkeys(values)
    return values


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("keep", [None, lambda pair: pair[1] > 0], ids=["all", "filter"])
@pytest.mark.parametrize(
    ("window", "slide", "parent"),
    [(3, 1, 1), (5, 1, 1), (7, 1, 1), (6, 2, 1), (10, 2, 1), (12, 2, 2), (3, 4, 1), (16, 3, 1), (20, 4, 2), (0, 1, 1)],
)
def test_reduced_window_against_sums(seed: int, keep: Any, window: int, slide: int, parent: int) -> None:
    rng = random.Random(seed)
    bucket = OneBucket(sums(keep, window, slide, parent), workers=3)
    history: Batches = []
    spans: list[tuple[int, int]] = []
    before = 0
    for now in times(rng, 50):
        records = some_pairs(rng) if due(before, now, parent) else []
        records = list({key: (key, value) for key, value in records}.values())  # reduced by key already
        history.append((now, records))
        if due(before, now, slide):
            spans.append(span(before, now, window, slide))
            out = played(bucket, rng, now, records) if due(before, now, parent) and window else bucket.run(now)
            assert len(out) == len(dict(out))
            assert dict(out) == model_of_reduced(history, spans, keep, window, slide)
        else:
            assert bucket.run(now, records, worker=rng.randrange(3)) == []
        assert len(bucket.pages.committed) < window + slide + 10, "what has left the window is dropped"
        before = now


# ---------------------------------------------------------------------- mapWithState


def mapped(
    function: Callable[[Any, Any, State[Any]], Any], timeout: int | None = None, slide: int = 1, skip_none: bool = False
) -> MapState:
    return MapState(lambda when, key, value, state: function(key, value, state), skip_none, timeout, slide)


def running_total(key: Any, value: int | None, state: State[int]) -> Any:
    if state.isTimingOut():
        return key, "out", state.get()
    state.update((state.getOption() or 0) + (value or 0))
    return key, value, state.get()


def test_map_calls_the_function_once_for_each_record() -> None:
    bucket = OneBucket(mapped(running_total), workers=2)
    assert bucket.run(1, [("a", 1), ("b", 2), ("a", 3)]) == [("a", 1, 1), ("b", 2, 2), ("a", 3, 4)]
    assert bucket.run(2, worker=1) == [], "nothing for keys without data"
    assert bucket.run(3, [("a", 1)], worker=0) == [("a", 1, 5)]
    assert bucket.run(4, [("b", 1), ("a", 1)], worker=1) == [("b", 1, 3), ("a", 1, 6)]


def test_map_gives_the_batch_time() -> None:
    times: list[Any] = []
    step = MapState(lambda when, key, value, state: times.append(when), False, None, 1)
    OneBucket(step).run(1_600_000_000_500, [("a", 1), ("a", 1)])
    assert times == [datetime.fromtimestamp(1_600_000_000.5)] * 2


def test_a_result_of_none_is_one_or_not() -> None:
    def odd(key: Any, value: int, state: State[int]) -> int | None:
        return value if value % 2 else None

    assert OneBucket(mapped(odd)).run(1, [("a", n) for n in range(4)]) == [None, 1, None, 3]
    assert OneBucket(mapped(odd, skip_none=True)).run(1, [("a", n) for n in range(4)]) == [1, 3]
    falsy: list[Any] = [0, "", [], False]
    step = mapped(lambda key, value, state: value, skip_none=True)
    assert OneBucket(step).run(1, [("a", value) for value in falsy]) == falsy


def test_map_removes_and_begins_anew_in_one_batch() -> None:
    def function(key: str, value: str, state: State[str]) -> Any:
        before = state.getOption()
        if value == "remove":
            state.remove()
        elif value != "look":
            state.update(value)
        return before, state.exists()

    bucket = OneBucket(mapped(function), workers=2)
    assert bucket.run(1, [("k", "remove"), ("k", "look")]) == [(None, False), (None, False)]
    out = bucket.run(2, [("k", "x"), ("k", "remove"), ("k", "look"), ("k", "y")])
    assert out == [(None, True), ("x", False), (None, False), (None, True)]
    assert bucket.run(3, [("k", "look")], worker=1) == [("y", True)]
    assert bucket.run(4, [("k", "remove")], worker=0) == [("y", False)]
    assert bucket.run(5, [("k", "look")], worker=1) == [(None, False)]


def test_a_state_may_be_none() -> None:
    def function(key: str, value: bool, state: State[None]) -> Any:
        before = state.exists(), state.getOption()
        if value:
            state.update(None)
        return before

    bucket = OneBucket(mapped(function), workers=2)
    assert bucket.run(1, [("k", False), ("k", True), ("k", False)]) == [(False, None), (False, None), (True, None)]
    assert bucket.run(2, [("k", False)], worker=1) == [(True, None)]


def test_a_state_that_is_changed_in_place_is_stored() -> None:
    def function(key: str, value: int, state: State[list[int]]) -> list[int]:
        if state.exists():
            state.get().append(value)
        else:
            state.update([value])
        return list(state.get())

    bucket = OneBucket(mapped(function), workers=2)
    assert bucket.run(1, [("k", 1), ("k", 2)]) == [[1], [1, 2]]
    assert bucket.run(2, [("k", 3)]) == [[1, 2, 3]]
    assert bucket.run(3, [("k", 4)], worker=1) == [[1, 2, 3, 4]]


def test_misuse_of_a_state_has_the_old_texts() -> None:
    state: State[int] = State()
    with pytest.raises(DStreamStateError, match=r"^State is not set$"):
        state.get()
    assert (state.exists(), state.getOption(), state.isTimingOut(), repr(state)) == (False, None, False, "State()")
    state.update(1)
    assert (state.exists(), state.get(), state.getOption(), repr(state)) == (True, 1, 1, "State(1)")
    state.remove()
    assert (state.exists(), state.getOption()) == (False, None)
    with pytest.raises(DStreamStateError, match=r"^State is not set$"):
        state.get()
    with pytest.raises(DStreamStateError, match="failed: Cannot update the state after it has been removed"):
        state.update(2)
    with pytest.raises(
        DStreamStateError, match="requirement failed: Cannot remove the state that has already been removed"
    ):
        state.remove()
    assert not state.exists()


def test_misuse_of_a_state_that_is_timing_out() -> None:
    state = State(5, timing_out=True)
    assert (state.exists(), state.get(), state.isTimingOut()) == (True, 5, True)
    with pytest.raises(DStreamStateError, match="requirement failed: Cannot update the state that is timing out"):
        state.update(2)
    with pytest.raises(DStreamStateError, match="requirement failed: Cannot remove the state that is timing out"):
        state.remove()
    assert state.get() == 5


def test_misuse_in_a_program_fails_the_batch_and_names_the_key() -> None:
    bucket = OneBucket(named(mapped(lambda key, value, state: state.get())))
    with pytest.raises(DStreamStateError, match=r"State is not set \[operation at app.py:3: .* for the key 'k'\]"):
        bucket.run(1, [("k", 1)])


def test_idle_keys_time_out_in_the_order_of_their_last_use() -> None:
    bucket = OneBucket(mapped(running_total, timeout=3), workers=2)
    bucket.run(1, [("a", 1), ("b", 1), ("c", 1), ("d", 1)], worker=0)
    bucket.run(2, [("b", 1), ("a", 1)], worker=1)
    bucket.run(3, [("d", 1)], worker=0)
    assert bucket.run(4, worker=1) == [], "idle for just as long as the timeout"
    assert bucket.run(5, worker=0) == [("c", "out", 1)]
    assert bucket.run(7, worker=1) == [("b", "out", 2), ("a", "out", 2), ("d", "out", 2)]
    assert bucket.run(20) == []
    assert bucket.run(21, [("a", 1)]) == [("a", 1, 1)], "begins anew"


@pytest.mark.parametrize("worker", [0, 1])
def test_the_order_of_use_is_the_same_for_a_worker_that_has_not_seen_it(worker: int) -> None:
    bucket = OneBucket(mapped(running_total, timeout=3), workers=2)
    bucket.run(1, [("a", 1), ("b", 1), ("a", 1)], worker=0)
    assert bucket.run(9, worker=worker) == [("b", "out", 1), ("a", "out", 2)]


def test_a_key_with_data_does_not_time_out_in_the_same_batch() -> None:
    bucket = OneBucket(mapped(running_total, timeout=3))
    bucket.run(1, [("a", 1), ("b", 1)])
    assert bucket.run(9, [("a", 1)]) == [("a", 1, 2), ("b", "out", 1)]
    assert bucket.run(10, [("b", 5)]) == [("b", 5, 5)]


def test_a_key_without_a_state_does_not_time_out() -> None:
    calls: list[Any] = []
    bucket = OneBucket(mapped(lambda key, value, state: calls.append((key, value)), timeout=1))
    bucket.run(1, [("a", 1)])
    bucket.run(9)
    assert calls == [("a", 1)]


def test_only_a_result_of_the_last_call_is_wanted() -> None:
    def function(key: Any, value: Any, state: State[int]) -> Any:
        if not state.isTimingOut():
            state.update(1)
        return None

    bucket = OneBucket(mapped(function, timeout=1, skip_none=True))
    bucket.run(1, [("a", 1)])
    assert bucket.run(9) == []
    bucket = OneBucket(mapped(function, timeout=1))
    assert bucket.run(1, [("a", 1)]) == bucket.run(9) == [None]


def test_map_starts_from_the_initial_state() -> None:
    bucket = OneBucket(mapped(running_total, timeout=5), workers=2)
    assert bucket.run(1, [("a", 1)], initial=[("a", 10), ("z", 20)]) == [("a", 1, 11)]
    assert bucket.run(2, [("z", 1), ("b", 1)], worker=1) == [("z", 1, 21), ("b", 1, 1)]
    bucket = OneBucket(mapped(running_total, timeout=5), workers=2)
    bucket.run(1, [("a", 1)], initial=[("z", 20)])
    assert bucket.run(7, worker=1) == [("z", "out", 20), ("a", "out", 1)]


def test_snapshots_are_all_states() -> None:
    step = mapped(running_total, timeout=2)
    step.snapshots = True
    bucket = OneBucket(step, workers=2)
    out = bucket.run(1, [("a", 1), ("b", 2), ("a", 1)])
    assert [what for result, what in out if result] == [("a", 1, 1), ("b", 2, 2), ("a", 1, 2)]
    assert dict(what for result, what in out if not result) == {"a": 2, "b": 2}
    assert bucket.run(3, [("a", 1)], worker=1) == [(True, ("a", 1, 3)), (False, ("b", 2)), (False, ("a", 3))]
    assert bucket.run(4) == [(True, ("b", "out", 2)), (False, ("a", 3))], "a key that times out is no longer there"


def test_map_between_the_times_of_a_slow_parent_does_nothing() -> None:
    step = mapped(running_total, timeout=1, slide=4)
    step.snapshots = True
    bucket = OneBucket(step)
    bucket.run(4, [("a", 1)])
    for now in (5, 6, 7):
        assert bucket.run(now) == []
        assert bucket.pages.writes == []
    assert bucket.run(8) == [(True, ("a", "out", 1))]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("timeout", "slide"), [(None, 1), (0, 1), (2, 1), (6, 2), (40, 1)])
def test_map_against_a_dict(seed: int, timeout: int | None, slide: int) -> None:
    rng = random.Random(seed)

    def function(key: str, value: int | None, state: State[int]) -> Any:
        if state.isTimingOut():
            return key, "out", state.get()
        assert value is not None
        before = state.getOption()
        if value < 3:
            if state.exists():
                state.remove()
        elif value < 9:
            state.update((before or 0) + value)
        return key, value, before

    step = mapped(function, timeout, slide)
    step.snapshots = True
    bucket = OneBucket(step, workers=3)
    model: dict[str, tuple[int, int]] = {}
    before = 0
    for now in times(rng, 60):
        if not due(before, now, slide):
            assert bucket.run(now, worker=rng.randrange(3)) == []
            before = now
            continue
        records = some_pairs(rng)
        results: list[Any] = []
        for key, value in records:
            state, _ = model.get(key, (None, 0))
            results.append((key, value, state))
            if value < 3:
                model.pop(key, None)
            elif value < 9 or state is not None:
                model.pop(key, None)
                model[key] = ((state or 0) + (value if value < 9 else 0), now)
        if timeout is not None:
            for key, (value, used) in list(model.items()):
                if used < now - timeout:
                    results.append((key, "out", value))
                    del model[key]
        out = played(bucket, rng, now, records)
        assert [what for result, what in out if result] == results
        assert [what for result, what in out if not result] == [(key, value) for key, (value, _) in model.items()]
        before = now


# ---------------------------------------------------------------------- errors


class TwoArguments(Exception):
    """An exception that cannot be made from a text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


def explode(what: Any) -> Any:
    raise what


def failing_update(news: list[Any], old: Any) -> Any:
    return explode(news[0]) if news and isinstance(news[0], Exception) else total(news, old)


def failing_map(key: Any, value: Any, state: State[Any]) -> Any:
    return explode(value) if isinstance(value, Exception) else running_total(key, value, state)


def failing_add(a: Any, b: Any) -> Any:
    return explode(next(v for v in (a, b) if isinstance(v, Exception)))


STEPS: dict[str, tuple[Callable[[], Step], Any, Any, str]] = {
    "update": (lambda: Update(failing_update, 1), ("k", 1), ("k", "?"), "the update function raised"),
    "map": (lambda: mapped(failing_map), ("k", 1), ("k", "?"), "the function raised"),
    "reduce": (
        lambda: ReducedWindow(
            lambda a, b: explode(b) if isinstance(b, Exception) else a + b, operator.sub, None, 3, 1, 1
        ),
        ("k", 1), ("k", "?"), "the reduce function raised",
    ),
    "reduce, long": (
        lambda: ReducedWindow(
            lambda a, b: explode(b) if isinstance(b, Exception) else a + b, operator.sub, None, 9, 1, 1
        ),
        ("k", 1), ("k", "?"), "the reduce function raised",
    ),
    "filter": (
        lambda: ReducedWindow(
            operator.add, operator.sub, lambda pair: not (pair[1] > 9 and explode(ValueError("boom"))), 9, 1, 1
        ),
        ("k", 1), ("k", 10), "filterFunc raised",
    ),
    "filter, short": (
        lambda: ReducedWindow(
            operator.add, operator.sub, lambda pair: not (pair[1] > 9 and explode(ValueError("boom"))), 3, 1, 1
        ),
        ("k", 1), ("k", 10), "filterFunc raised",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_an_error_names_operation_and_key_and_changes_nothing(name: str) -> None:
    make, good, (key, bad), what = STEPS[name]
    bucket, twin = OneBucket(named(make()), workers=2), OneBucket(make())
    for now in (1, 2):
        assert bucket.run(now, [("other", 0), good]) == twin.run(now, [("other", 0), good])
    committed = dict(bucket.pages.committed)
    bad = ValueError("boom") if bad == "?" else bad
    with pytest.raises(ValueError, match="boom") as caught:
        bucket.run(3, [("other", 1), (key, bad), ("new", 1)])
    assert str(caught.value) == f"boom [operation at app.py:3: {what}, for the key 'k']"
    assert bucket.pages.committed == committed
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "explode", "the traceback ends in the program's function"
    assert caught.value.__suppress_context__
    for now, worker in ((3, 0), (4, 1), (5, 0)):  # as if nothing had happened
        assert sorted(bucket.run(now, [("other", 1)], worker=worker)) == sorted(twin.run(now, [("other", 1)]))


def test_an_error_of_the_inverse_names_operation_and_key() -> None:
    step = named(ReducedWindow(operator.add, lambda a, b: explode(KeyError("x")), None, 5, 1, 1))
    bucket = OneBucket(step)
    bucket.run(1, [("k", 1)])
    for now in (2, 3, 4, 5):
        bucket.run(now)
    with pytest.raises(KeyError, match="the inverse function raised, for the key 'k'"):
        bucket.run(6)


def test_an_error_when_a_key_times_out_names_it() -> None:
    def function(key: str, value: Any, state: State[int]) -> None:
        if state.isTimingOut():
            raise ValueError("boom")
        state.update(1)

    bucket = OneBucket(named(mapped(function, timeout=1)), workers=2)
    bucket.run(1, [("a", 1), ("b", 1)])
    with pytest.raises(ValueError, match="for the key 'a'"):
        bucket.run(5, [("b", 1)])
    with pytest.raises(ValueError, match="for the key 'a'"):
        bucket.run(5, [("c", 1)], worker=1)


@pytest.mark.parametrize("make", [lambda: Update(failing_update, 1), lambda: mapped(failing_map)])
def test_an_error_keeps_its_class_whatever_its_constructor_takes(make: Callable[[], Step]) -> None:
    bucket = OneBucket(named(make()))
    with pytest.raises(TwoArguments, match=r"7: seven \[operation at app.py:3: .* raised, for the key \('k', 1\)\]"):
        bucket.run(1, [(("k", 1), TwoArguments(7, "seven"))])


TwoArguments.__reduce__ = lambda self: (TwoArguments, (7, "seven"))  # type: ignore[method-assign]


def test_a_long_key_is_cut_short() -> None:
    with pytest.raises(ValueError, match="boom") as caught:
        OneBucket(named(Update(failing_update, 1))).run(1, [("k" * 5000, ValueError("boom"))])
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "make", [lambda: Update(total, 1), lambda: mapped(running_total), lambda: sums(None, 3, 1, 1)]
)  # fmt: skip
@pytest.mark.parametrize("record", [5, "abc", (1, 2, 3), None])
def test_a_record_that_is_no_pair_is_named(make: Callable[[], Step], record: Any) -> None:
    bucket = OneBucket(named(make()))
    with pytest.raises(TypeError) as caught:
        bucket.run(1, [("a", 1), record])
    assert str(caught.value) == f"operation at app.py:3 needs (key, value) pairs, but got the record {record!r}"


@pytest.mark.parametrize(
    "make", [lambda: Update(total, 1), lambda: mapped(running_total), lambda: sums(None, 3, 1, 1)]
)  # fmt: skip
def test_an_error_before_the_step_is_not_blamed_on_it(make: Callable[[], Step]) -> None:
    def records() -> Iterable[Any]:
        yield "a", 1
        raise ZeroDivisionError("in an operation before")

    with pytest.raises(ZeroDivisionError) as caught:
        named(make()).run(Bucket(MemoryPages(), 1), records(), BatchTime(0, 0, 1))
    assert str(caught.value) == "in an operation before"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Update(lambda news, old: news and Lock(), 1),
        lambda: Update(lambda news, old: (1, Lock()), 1),
        lambda: mapped(lambda key, value, state: state.update(Lock())),
        lambda: ReducedWindow(lambda a, b: Lock(), operator.sub, None, 5, 1, 1),
        lambda: ReducedWindow(lambda a, b: Lock(), operator.sub, None, 3, 1, 1),
    ],
)
def test_a_state_that_cannot_be_pickled_is_named(make: Callable[[], Step]) -> None:
    bucket = OneBucket(named(make()))
    with pytest.raises(pickle.PicklingError, match=r"cannot be pickled: \('k', .*_thread\.lock.*return plain data"):
        bucket.run(1, [("k", 1)])
        bucket.run(2, [("k", 1)])
