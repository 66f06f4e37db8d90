"""Backpressure: how many records per second the program can follow, measured on the batches that have run.

The controller is the old engine's ``PIDRateEstimator``, with its settings ``spark.streaming.backpressure.pid.*``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from dstreams.errors import DStreamValueError

__all__ = ["Backpressure", "RateEstimator", "backpressure_of"]

ENABLED = "spark.streaming.backpressure.enabled"
_NAMES = {
    "initial": "spark.streaming.backpressure.initialRate",
    "proportional": "spark.streaming.backpressure.pid.proportional",
    "integral": "spark.streaming.backpressure.pid.integral",
    "derived": "spark.streaming.backpressure.pid.derived",
    "minimum": "spark.streaming.backpressure.pid.minRate",
}


@dataclass(frozen=True)
class Backpressure:
    """Settings of the controller.

    Attributes
    ----------
    interval_ms : int
        Batch interval in ms.
    initial : float
        Records per second before anything has been measured; 0 for as many as come.
    proportional, integral, derived : float
        How much the error of now counts, that which has piled up as waiting, and its change.
    minimum : float
        The least rate, in records per second.
    """

    interval_ms: int
    initial: float = 0
    proportional: float = 1.0
    integral: float = 0.2
    derived: float = 0.0
    minimum: float = 100.0


def backpressure_of(get: Callable[[str, str], str | None], interval_ms: int) -> Backpressure | None:
    """Read the settings; None where ``spark.streaming.backpressure.enabled`` is not true.

    Parameters
    ----------
    get : callable
        Value of a setting of Spark's, by its name and default.
    interval_ms : int
        Batch interval in ms.

    Raises
    ------
    DStreamValueError
        If a value is no number that can be meant.
    """
    if str(get(ENABLED, "false")).lower() != "true":
        return None
    found: dict[str, float] = {}
    for field, name in _NAMES.items():
        default = getattr(Backpressure, field)
        value = get(name, str(default))
        try:
            found[field] = float(str(value))
        except ValueError:
            found[field] = -1
        if not 0 <= found[field] < inf or (field == "minimum" and not found[field]):
            raise DStreamValueError(f"{name}: must be a positive number, got {value!r}")
    return Backpressure(interval_ms, **found)


class RateEstimator:
    """Finds the rate for one input.

    Parameters
    ----------
    settings : Backpressure
        The settings.
    """

    def __init__(self, settings: Backpressure) -> None:
        self._settings = settings
        self._time_ms: int | None = None
        self._rate = 0.0
        self._error = 0.0

    def measured(self, time_ms: int, records: int, processing_ms: int, waiting_ms: int) -> float | None:
        """Rate to go on with after a batch; None where it tells nothing.

        Parameters
        ----------
        time_ms : int
            When the batch ended, in ms.
        records : int
            What it had of the input.
        processing_ms, waiting_ms : int
            How long it ran, and how long it had waited for the batch before, in ms.
        """
        settings = self._settings
        if records <= 0 or processing_ms <= 0 or (self._time_ms is not None and time_ms <= self._time_ms):
            return None
        speed = records / processing_ms * 1000
        if self._time_ms is None:
            self._time_ms, self._rate = time_ms, speed
            return None
        error = self._rate - speed
        piled_up = waiting_ms * speed / settings.interval_ms
        change = (error - self._error) * 1000 / (time_ms - self._time_ms)
        rate = self._rate - settings.proportional * error - settings.integral * piled_up - settings.derived * change
        self._time_ms, self._rate, self._error = time_ms, max(rate, settings.minimum), error
        return self._rate
