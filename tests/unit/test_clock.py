from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dstreams._run.clock import Clock, first_batch_time, next_batch_time


class FakeTime:
    """A clock on the wall that the test moves."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def started(now: FakeTime, logical: bool = False, paced: bool = True) -> Clock:
    """A clock of one second whose first batch time, 101 s, has come."""
    now.seconds = 100.5
    clock = Clock(1000, logical, paced, now)
    clock.start()
    now.seconds = 101.0
    clock.wait_for_first()
    return clock


class StepForward(threading.Condition):  # type: ignore[misc]
    """A condition on which waiting takes no time, but moves the fake time."""

    def __init__(self, now: FakeTime) -> None:
        super().__init__()
        self.now = now
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waited.append(timeout)
        self.now.seconds += timeout
        return False


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Start a call in a thread; its result appears in the list."""
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(call()), daemon=True)
    thread.start()
    return thread, result


@pytest.mark.parametrize(
    ("now", "interval", "first"),
    [(0, 1000, 1000), (999, 1000, 1000), (1000, 1000, 2000), (1001, 1000, 2000), (100_500, 300, 100_800), (7, 1, 8)],
)
def test_first_batch_is_the_first_multiple_after_now(now: int, interval: int, first: int) -> None:
    assert first_batch_time(now, interval) == first


@pytest.mark.parametrize(
    ("last", "now", "following"),
    [
        (5000, 5010, 6000),  # early: the trigger fired before the boundary
        (5000, 6003, 6000),  # on time
        (5000, 6999, 6000),
        (5000, 9400, 9000),  # late: takes the data of 6000, 7000 and 8000 too
        (5000, 3000, 6000),  # the wall clock was set back
    ],
)
def test_next_batch_on_the_real_clock(last: int, now: int, following: int) -> None:
    assert next_batch_time(last, now, 1000) == following


def test_waiting_for_the_first_batch() -> None:
    now = FakeTime(100.25)
    clock = Clock(1000, logical=False, now=now)
    clock._changed = waits = StepForward(now)  # type: ignore[assignment]
    clock.start()
    clock.wait_for_first()
    assert clock.zero_ms == 100_000
    assert sum(waits.waited) == pytest.approx(0.75)
    assert clock.due() == 101_000


def test_nothing_is_waited_for_before_the_start() -> None:
    """A query may be prepared, and its sources looked at, without being started."""
    now = FakeTime(100.25)
    clock = Clock(1000, logical=False, now=now)
    clock._changed = waits = StepForward(now)  # type: ignore[assignment]
    clock.wait_for_first()
    assert (clock.zero_ms, waits.waited) == (None, [])


def test_the_first_batch_time_counts_from_the_start_however_long_the_preparation_takes() -> None:
    now = FakeTime(100.25)
    clock = Clock(1000, logical=True, now=now)
    clock.start()
    now.seconds = 104.5
    clock.wait_for_first()
    assert clock.due() == 101_000


def test_due_stays_the_same_until_the_batch_is_completed() -> None:
    now = FakeTime(0)
    clock = started(now)
    assert [clock.due(), clock.due()] == [101_000, 101_000]
    now.seconds = 102.3
    assert clock.due() == 101_000
    clock.complete()
    assert clock.last_ms == 101_000
    assert clock.due_ms is None
    assert clock.due() == 102_000


def test_real_clock_jumps_over_missed_batches_and_never_repeats_one() -> None:
    now = FakeTime(0)
    clock = started(now)
    clock._changed = waits = StepForward(now)  # type: ignore[assignment]
    seen = []
    for moment in (101.01, 102.01, 106.7, 106.8, 107.5, 104.0):
        now.seconds = moment
        seen.append(clock.due())
        clock.complete()
    assert seen == [101_000, 102_000, 106_000, 107_000, 108_000, 109_000]
    assert waits.waited == pytest.approx([0.2, 0.5, 5.0]), "who asks before a batch time has come waits for it"


def test_logical_clock_is_contiguous_however_late_a_batch_is() -> None:
    now = FakeTime(0)
    clock = started(now, logical=True)
    seen = []
    for moment in (101.0, 109.0, 109.1, 109.2):
        now.seconds = moment
        seen.append(clock.due())
        clock.complete()
    assert seen == [101_000, 102_000, 103_000, 104_000]


def test_paced_logical_clock_waits_for_each_batch_time() -> None:
    now = FakeTime(0)
    clock = started(now, logical=True)
    clock._changed = waits = StepForward(now)  # type: ignore[assignment]
    for _ in range(3):
        clock.due()
        clock.complete()
    assert now.seconds == pytest.approx(103.0)
    assert sum(waits.waited) == pytest.approx(2.0)


def test_unpaced_logical_clock_never_waits() -> None:
    now = FakeTime(100.25)
    clock = Clock(1000, logical=True, paced=False, now=now)
    clock._changed = waits = StepForward(now)  # type: ignore[assignment]
    clock.start()
    clock.wait_for_first()
    seen = []
    for _ in range(3):
        seen.append(clock.due())
        clock.complete()
    assert seen == [101_000, 102_000, 103_000]
    assert waits.waited == []
    assert now.seconds == 100.25


def test_only_the_logical_clock_can_drop_the_pacing() -> None:
    assert Clock(1000, logical=False, paced=False).paced
    assert not Clock(1000, logical=True, paced=False).paced
    assert Clock(1000, logical=True, paced=True).paced


def test_after_close_no_new_time_is_handed_out() -> None:
    now = FakeTime(0)
    clock = started(now)
    clock.close()
    assert clock.due() is None
    assert clock.ended
    assert clock.wait_for_end(0)


def test_close_during_a_batch_lets_all_sources_have_its_time() -> None:
    now = FakeTime(0)
    clock = started(now)
    assert clock.due() == 101_000
    clock.close()
    assert clock.due() == 101_000, "the second source of the same trigger"
    assert not clock.wait_for_end(0), "the batch has not run yet"
    clock.complete()
    assert clock.wait_for_end(0)
    assert clock.due() is None


def test_close_wakes_who_waits_for_the_first_batch() -> None:
    clock = Clock(3_600_000, logical=False, now=FakeTime(1))
    clock.start()
    thread, result = in_thread(clock.wait_for_first)
    clock.close()
    thread.join(10)
    assert result == [None]


@pytest.mark.parametrize("logical", [True, False])
def test_close_wakes_who_waits_for_the_next_batch(logical: bool) -> None:
    now = FakeTime(0)
    clock = started(now, logical)
    clock.due()
    clock.complete()
    thread, result = in_thread(clock.due)
    clock.close()
    thread.join(10)
    assert result == [None]


def test_finish_lets_the_batch_of_the_running_interval_be_the_last() -> None:
    now = FakeTime(0)
    clock = started(now)
    clock.due()
    clock.complete()
    now.seconds = 101.4
    clock.finish()
    assert not clock.ended
    assert not clock.wait_for_end(0)
    now.seconds = 102.01
    assert clock.due() == 102_000
    clock.complete()
    assert clock.ended
    now.seconds = 103.01
    assert clock.due() is None
    assert clock.wait_for_end(0)


def test_a_second_finish_does_not_move_the_end() -> None:
    """A program may ask for it in every batch, from inside an output."""
    now = FakeTime(0)
    clock = started(now)
    times = []
    while (time_ms := clock.due()) is not None and len(times) < 5:
        times.append(time_ms)
        now.seconds = time_ms / 1000 + 0.25
        clock.finish()
        clock.complete()
        now.seconds += 1
    assert len(times) == 2


def test_finish_without_pacing_ends_with_the_batch_that_runs() -> None:
    now = FakeTime(0)
    clock = started(now, logical=True, paced=False)
    clock.due()
    clock.complete()
    assert clock.due() == 102_000
    clock.finish()
    assert clock.due() == 102_000
    clock.complete()
    assert clock.due() is None


def test_waiting_for_the_end_returns_when_the_last_batch_is_completed() -> None:
    now = FakeTime(0)
    clock = started(now)
    clock.due()
    clock.close()
    thread, result = in_thread(lambda: clock.wait_for_end(10))
    clock.complete()
    thread.join(10)
    assert result == [True]


# ---------------------------------------------------------------------- going on after a restart


def resumed(logical: bool, now: FakeTime, pending: int | None = None, interval_ms: int = 1000) -> Clock:
    clock = Clock(interval_ms, logical, now=now)
    clock._changed = StepForward(now)  # type: ignore[assignment]
    clock.resume(100_000, 105_000, pending)
    clock.start()
    return clock


def test_a_pending_batch_comes_first_and_at_once() -> None:
    now = FakeTime(500.25)
    clock = resumed(False, now, pending=106_000)
    clock.wait_for_first()
    assert now.seconds == 500.25, "nothing to wait for"
    when = clock.batch_time()
    assert when is not None
    assert (when.zero_ms, when.before_ms, when.now_ms) == (100_000, 105_000, 106_000)
    clock.complete()
    assert clock.due() == 500_000, "then the present: downtime is not replayed"


def test_the_logical_clock_goes_on_contiguously_and_keeps_its_pace_behind_the_time_of_day() -> None:
    now = FakeTime(500.25)
    clock = resumed(True, now)
    seen = []
    for _ in range(3):
        seen.append((clock.due(), round(now.seconds, 3)))
        clock.complete()
    assert seen == [(106_000, 501.25), (107_000, 502.25), (108_000, 503.25)]
    clock.finish()
    assert clock.due() == 109_000
    clock.complete()
    assert clock.ended


def test_batch_times_are_on_the_grid_of_a_new_interval() -> None:
    for logical in (True, False):
        clock = resumed(logical, FakeTime(105.5), interval_ms=3000)
        assert clock.due() == 108_000


def test_an_end_before_the_next_batch_is_handed_out() -> None:
    clock = resumed(False, FakeTime(500.25))
    clock.may_go_on = lambda: False
    assert clock.due() is None


def test_a_batch_waits_for_the_one_before_it() -> None:
    """The old engine's scheduling delay: from the batch time to the beginning of the work."""
    now = FakeTime(0)
    clock = started(now)
    clock._changed = StepForward(now)  # type: ignore[assignment]
    assert clock.begun() is None
    now.seconds = 101.02
    clock.due()
    now.seconds = 102.7
    assert clock.due() == 101_000 and clock.begun() == (101_000, 101_020)
    clock.complete()
    assert clock.begun() is None
    assert clock.due() == 102_000 and clock.begun() == (102_000, 102_700)
    clock.complete()
    assert clock.due() == 103_000 and clock.begun() == (103_000, 103_000), "one that comes in time has not waited"


def test_without_a_pace_no_batch_waits() -> None:
    clock = started(FakeTime(0), logical=True, paced=False)
    clock.due()
    assert clock.begun() == (101_000, 101_000)
    clock.complete()
    clock.due()
    assert clock.begun() == (101_000, 101_000)


def test_a_batch_that_is_run_again_was_begun_by_another_run() -> None:
    clock = Clock(1000, logical=False, now=FakeTime(200))
    clock.resume(100_000, 101_000, 102_000)
    assert clock.due() == 102_000 and clock.begun() is None
