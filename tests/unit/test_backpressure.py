"""The controller of receivers' rates: figures worked out by hand, and what settings it takes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from dstreams import DStreamError
from dstreams._run.backpressure import Backpressure, RateEstimator, backpressure_of
from dstreams.errors import DStreamValueError

Measurement = tuple[int, int, int, int]
"""When a batch ended, how many records it had, how long it ran, and how long it had waited; times in ms."""


def rates(estimator: RateEstimator, *measurements: Measurement) -> list[Any]:
    """Rate after each batch, to the sixth decimal place."""
    found = (estimator.measured(*each) for each in measurements)
    return [None if rate is None else round(rate, 6) for rate in found]


def test_defaults() -> None:
    """The rate is the speed of the last batch, less a fifth of what has piled up."""
    assert rates(
        RateEstimator(Backpressure(1_000)),
        (1_000, 1_000, 500, 0),  # 2,000 per second; only the first measurement
        (2_000, 1_000, 1_000, 0),  # speed 1,000, error 1,000: 2,000 - 1,000
        (3_000, 1_000, 800, 500),  # speed 1,250, error -250, piled up 625: 1,000 + 250 - 0.2 * 625
        (4_000, 10, 1_000, 0),  # speed 10, error 1,115: 1,125 - 1,115, which is below the minimum
        (5_000, 3_000, 1_000, 0),  # speed 3,000, error 100 - 3,000: 100 + 2,900
        (5_500, 0, 0, 0),
        (6_000, 4_500, 1_500, 30_000),  # speed 3,000, error 0, piled up 90,000: 3,000 - 18,000
    ) == [None, 1_000, 1_125, 100, 3_000, None, 100]


def test_every_term() -> None:
    settings = Backpressure(2_000, proportional=0.5, integral=0.1, derived=0.2, minimum=1)
    assert rates(
        RateEstimator(settings),
        (10_000, 400, 1_000, 7_000),  # the first: speed 400, error 0, whatever it has waited
        (12_000, 300, 1_000, 1_000),  # error 100, piled up 150, change 50: 400 - 50 - 15 - 10
        (12_500, 600, 2_000, 0),  # speed 300, error 25, change -75 in half a second: 325 - 12.5 + 30
        (16_500, 137, 400, 200),  # speed 342.5, error 0, piled up 34.25, change -6.25: 342.5 - 3.425 + 1.25
    ) == [None, 325, 342.5, 340.325]


def test_a_batch_that_tells_nothing_changes_nothing() -> None:
    first, second = (10_000, 500, 1_000, 0), (12_000, 600, 1_000, 300)
    settings = Backpressure(1_000, derived=0.5)
    plain = rates(RateEstimator(settings), first, second)
    assert plain == [None, 589]  # speed 600, error -100, piled up 180, change -50: 500 + 100 - 36 + 25
    empty, instant, negative = (11_000, 0, 100, 0), (11_000, 5, 0, 0), (11_000, 5, -1, 0)
    same_time, earlier = (10_000, 5, 5, 0), (9_999, 5, 5, 0)
    some = (empty, instant, negative)
    told = rates(RateEstimator(settings), *some, first, *some, same_time, earlier, second)
    assert told == [None] * 9 + plain[1:]


def test_without_waiting_the_rate_follows_the_speed() -> None:
    """And with it it stays below, down to the minimum; so the old engine's own tests have it."""
    chance = random.Random(0)
    for waits in (False, True):
        estimator = RateEstimator(Backpressure(20, minimum=10))
        for time in range(1, 200):
            records, ran = chance.randint(1, 1_000), chance.randint(1, 100)
            speed = records / ran * 1_000
            rate = estimator.measured(time, records, ran, chance.randint(1, 19) if waits else 0)
            if time == 1:
                assert rate is None
            elif waits:
                assert rate is not None and (10 <= rate < speed or rate == 10)
            else:
                assert rate == pytest.approx(max(speed, 10))


def test_inputs_are_measured_by_themselves() -> None:
    settings = Backpressure(1_000)
    one, other = RateEstimator(settings), RateEstimator(settings)
    assert rates(one, (1_000, 1_000, 1_000, 0), (2_000, 500, 1_000, 0)) == [None, 500]
    assert rates(other, (1_000, 300, 1_000, 0), (2_000, 200, 1_000, 0)) == [None, 200]


# ---------------------------------------------------------------------- settings

ON = {"spark.streaming.backpressure.enabled": "true"}


def settings_of(**given: str) -> Backpressure | None:
    """Read settings that are given by the end of their names, with two underscores for the point."""
    named = {f"spark.streaming.backpressure.{name.replace('__', '.')}": value for name, value in given.items()}
    return backpressure_of({**ON, **named}.get, 500)


@pytest.mark.parametrize("value", [None, "false", "False", "0", "yes"])
def test_it_is_off_unless_it_is_asked_for(value: str | None) -> None:
    """Whatever else is set."""
    conf = {"spark.streaming.backpressure.initialRate": "none"}
    if value is not None:
        conf["spark.streaming.backpressure.enabled"] = value
    assert backpressure_of(conf.get, 500) is None


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_the_old_engines_defaults(value: str) -> None:
    assert settings_of(enabled=value) == Backpressure(
        interval_ms=500, initial=0, proportional=1, integral=0.2, derived=0, minimum=100
    )


def test_every_setting_is_read() -> None:
    found = settings_of(
        initialRate="250", pid__proportional="0.5", pid__integral="0", pid__derived="1e-2", pid__minRate="0.5"
    )
    assert found == Backpressure(interval_ms=500, initial=250, proportional=0.5, integral=0, derived=0.01, minimum=0.5)
    assert settings_of(initialRate="0", pid__proportional="0", pid__derived="0") == Backpressure(500, proportional=0)


@pytest.mark.parametrize("name", ["initialRate", "pid.proportional", "pid.integral", "pid.derived", "pid.minRate"])
@pytest.mark.parametrize("value", ["-1", "-0.001", "many", "", "1,5", "nan", "inf", "-inf"])
def test_a_setting_that_cannot_be_meant_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(DStreamValueError) as raised:
        settings_of(**{name.replace(".", "__"): value})
    assert str(raised.value) == f"spark.streaming.backpressure.{name}: must be a positive number, got {value!r}"
    assert isinstance(raised.value, DStreamError)


def test_a_minimum_of_nothing_would_be_the_end_of_it() -> None:
    with pytest.raises(DStreamValueError, match=r"^spark\.streaming\.backpressure\.pid\.minRate: .* got '0'$"):
        settings_of(pid__minRate="0")
