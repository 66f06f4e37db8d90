from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import pytest

from dstreams._plan.callbacks import with_time
from dstreams.errors import DStreamTypeError


class Methods:
    def one(self, rdd: Any) -> Any:
        return ("rdd", rdd)

    def two(self, time: Any, rdd: Any) -> Any:
        return ("time, rdd", time, rdd)

    @staticmethod
    def static(rdd: Any) -> Any:
        return ("rdd", rdd)

    @classmethod
    def of_class(cls, time: Any, rdd: Any) -> Any:
        return ("time, rdd", time, rdd)

    def __call__(self, rdd: Any) -> Any:
        return ("rdd", rdd)


class CallableWithTime:
    def __call__(self, time: Any, rdd: Any, more: int = 1) -> Any:
        return ("time, rdd", time, rdd)


def three(a: Any, b: Any, c: Any) -> Any:
    return (a, b, c)


WITHOUT = ("rdd", "R")
WITH = ("time, rdd", "T", "R")

ONE_RDD: list[tuple[str, Callable[..., Any], Any]] = [
    ("one argument", lambda rdd: ("rdd", rdd), WITHOUT),
    ("two arguments", lambda time, rdd: ("time, rdd", time, rdd), WITH),
    ("a default after the RDD is not the time", lambda rdd, x=1: ("rdd", rdd), WITHOUT),
    ("two and a default", lambda time, rdd, x=1: ("time, rdd", time, rdd), WITH),
    ("only a default", lambda rdd=None: ("rdd", rdd), WITHOUT),
    ("keyword-only arguments do not count", lambda rdd, *, x=1: ("rdd", rdd), WITHOUT),
    ("two and **options", lambda time, rdd, **options: ("time, rdd", time, rdd), WITH),
    ("positional only", lambda rdd, /: ("rdd", rdd), WITHOUT),
    ("one and *args", lambda rdd, *args: ("rdd", rdd), WITHOUT),
    ("only *args get both", lambda *args: ("time, rdd", *args), WITH),
    ("bound method with one", Methods().one, WITHOUT),
    ("bound method with two", Methods().two, WITH),
    ("static method", Methods.static, WITHOUT),
    ("class method", Methods.of_class, WITH),
    ("callable object", Methods(), WITHOUT),
    ("callable object with the time", CallableWithTime(), WITH),
    ("partial that leaves one", functools.partial(lambda x, rdd: ("rdd", rdd), 5), WITHOUT),
    ("partial that leaves two", functools.partial(lambda x, time, rdd: ("time, rdd", time, rdd), 5), WITH),
    ("partial with a keyword", functools.partial(lambda rdd, x: ("rdd", rdd), x=5), WITHOUT),
    ("partial of a partial", functools.partial(functools.partial(three, 1), 2), (1, 2, "R")),
    ("builtin type", str, "R"),
    ("builtin with a default", sorted, ["R"]),
]


@pytest.mark.parametrize(("func", "expected"), [row[1:] for row in ONE_RDD], ids=[row[0] for row in ONE_RDD])
def test_functions_of_one_rdd(func: Callable[..., Any], expected: Any) -> None:
    assert with_time(func, 1, "foreachRDD")("T", "R") == expected


@pytest.mark.parametrize(
    ("func", "expected"),
    [
        (lambda a, b: (a, b), ("A", "B")),
        (lambda time, a, b: (time, a, b), ("T", "A", "B")),
        (lambda a, b, x=1: (a, b, x), ("A", "B", 1)),
        (lambda a, b, x=1, y=2: (a, b, x, y), ("A", "B", 1, 2)),
        (lambda a, b=None: (a, b), ("A", "B")),
        (lambda *args: args, ("T", "A", "B")),
        (functools.partial(lambda x, a, b: (x, a, b), 5), (5, "A", "B")),
        (max, "B"),
    ],
)
def test_functions_of_two_rdds(func: Callable[..., Any], expected: Any) -> None:
    assert with_time(func, 2, "transformWith")("T", "A", "B") == expected


def test_print_is_given_the_rdd(capsys: pytest.CaptureFixture[str]) -> None:
    with_time(print, 1, "foreachRDD")("T", "R")
    # Before Python 3.11 it has no signature; since then it is a function of ``*args``.
    assert capsys.readouterr().out.split() == (["T", "R"] if sys.version_info >= (3, 11) else ["R"])


@pytest.mark.parametrize(
    "func", [lambda: None, lambda a, b, c: None, three, functools.partial(three), lambda *, x: None]
)
def test_wrong_number_of_arguments_for_one_rdd(func: Callable[..., Any]) -> None:
    with pytest.raises(DStreamTypeError) as caught:
        with_time(func, 1, "transform")
    text = str(caught.value)
    assert text.startswith("func should take one or two arguments: transform calls it with (rdd)")
    assert "needs " in text


@pytest.mark.parametrize("func", [lambda: None, lambda a: None, lambda a, b, c, d: None])
def test_wrong_number_of_arguments_for_two_rdds(func: Callable[..., Any]) -> None:
    with pytest.raises(
        DStreamTypeError, match=r"func should take two or three arguments: transformWith .*\(rdd_a, rdd_b\)"
    ):
        with_time(func, 2, "transformWith")


def test_the_error_names_the_function_and_what_it_needs() -> None:
    with pytest.raises(DStreamTypeError, match=r"before that; three needs 3$"):
        with_time(three, 1, "foreachRDD")


@pytest.mark.parametrize("func", [None, 5, "function", [print]])
def test_what_is_not_callable_is_refused(func: Any) -> None:
    with pytest.raises(DStreamTypeError, match=r"foreachRDD: func must be a function, got .* of type"):
        with_time(func, 1, "foreachRDD")
