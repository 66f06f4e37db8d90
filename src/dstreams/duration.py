"""Durations: plain numbers of seconds everywhere, plus the helpers that the streaming guide uses."""

from __future__ import annotations

import math
from numbers import Real

from dstreams.errors import DStreamTypeError, DStreamValueError

__all__ = ["Duration", "Milliseconds", "Minutes", "Seconds", "to_milliseconds"]


class Duration(float):
    """A length of time; a ``float`` of seconds, so that it goes wherever PySpark takes a number.

    ``Duration(2)`` is two seconds long.

    Examples
    --------
    >>> Seconds(2) == 2 and Milliseconds(500) == 0.5 and Minutes(1) == 60
    True
    >>> Seconds(2).milliseconds()
    2000
    """

    def milliseconds(self) -> int:
        """Length in milliseconds."""
        return to_milliseconds(self, "duration")

    def __repr__(self) -> str:
        return f"Seconds({float(self):g})"


def Milliseconds(milliseconds: float) -> Duration:
    """Duration of so many milliseconds."""
    return Duration(milliseconds / 1000)


def Seconds(seconds: float) -> Duration:
    """Duration of so many seconds."""
    return Duration(seconds)


def Minutes(minutes: float) -> Duration:
    """Duration of so many minutes."""
    return Duration(minutes * 60)


def to_milliseconds(seconds: float, what: str) -> int:
    """Return a duration in whole milliseconds.

    Parameters
    ----------
    seconds : float
        Duration in seconds.
    what : str
        Name of the argument, for the error.

    Returns
    -------
    int
        Milliseconds, at least 1.

    Raises
    ------
    DStreamTypeError
        If it is not a number.
    DStreamValueError
        If it is less than a millisecond or not finite.

    Notes
    -----
    The old engine truncates ``seconds * 1000``, which turns 2.01 s into 2009 ms; we round binary-float noise
    away first. It also takes 0 and then never runs a batch; we refuse.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, Real):
        raise DStreamTypeError(
            f"{what} must be a number of seconds (int, float or Seconds(...)), got {seconds!r} "
            f"of type {type(seconds).__name__}"
        )
    if not math.isfinite(seconds) or (milliseconds := int(round(float(seconds) * 1000, 3))) < 1:
        raise DStreamValueError(f"{what} must be at least one millisecond (0.001 seconds), got {seconds!r}")
    return milliseconds
