from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from dstreams import DStreamError, Duration, Milliseconds, Minutes, Seconds
from dstreams.duration import to_milliseconds
from dstreams.errors import DStreamTypeError, DStreamValueError


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [
        (1, 1000),
        (0.5, 500),
        (0.001, 1),
        (0.0015, 1),
        (1.9999, 1999),
        # The four that truncation of the binary float would make one less.
        (2.01, 2010),
        (2.03, 2030),
        (4.02, 4020),
        (4.06, 4060),
        (3600, 3_600_000),
        (Fraction(1, 4), 250),
        (Seconds(2), 2000),
        (Milliseconds(250), 250),
        (Minutes(1.5), 90_000),
    ],
)
def test_seconds_to_milliseconds(seconds: Any, milliseconds: int) -> None:
    result = to_milliseconds(seconds, "batchDuration")
    assert result == milliseconds
    assert type(result) is int


def test_every_whole_millisecond_up_to_ten_seconds_is_exact() -> None:
    assert [to_milliseconds(ms / 1000, "d") for ms in range(1, 10_001)] == list(range(1, 10_001))


@pytest.mark.parametrize("wrong", [True, False, "1", b"1", None, [1], Decimal("1"), 1j])
def test_what_is_no_number_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(DStreamTypeError, match="windowDuration must be a number of seconds") as caught:
        to_milliseconds(wrong, "windowDuration")
    assert f"of type {type(wrong).__name__}" in str(caught.value)
    assert isinstance(caught.value, DStreamError)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("wrong", [0, 0.0, -0.0, -1, 0.0009, math.nan, math.inf, -math.inf])
def test_less_than_a_millisecond_is_a_value_error(wrong: float) -> None:
    with pytest.raises(DStreamValueError, match="at least one millisecond") as caught:
        to_milliseconds(wrong, "batchDuration")
    assert str(caught.value).startswith("batchDuration")
    assert isinstance(caught.value, ValueError)


def test_durations_are_numbers_of_seconds() -> None:
    assert Seconds(2) == 2
    assert Milliseconds(500) == 0.5
    assert Minutes(2) == 120
    assert Seconds(1) + Milliseconds(500) == 1.5
    assert isinstance(Seconds(1), float)
    assert isinstance(Minutes(1), Duration)
    assert Seconds(1.5).milliseconds() == 1500
    assert Milliseconds(1).milliseconds() == 1
    assert repr(Milliseconds(500)) == "Seconds(0.5)"
    assert repr(Seconds(10)) == "Seconds(10)"
