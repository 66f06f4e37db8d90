"""Helpers that programs import from ``pyspark.streaming.util``."""

from __future__ import annotations

import time
from datetime import datetime

from dstreams._insides import Inside

__all__ = ["rddToFileName"]

TransformFunction = Inside("TransformFunction")
TransformFunctionSerializer = Inside("TransformFunctionSerializer")


def rddToFileName(prefix: str, suffix: str | None, timestamp: datetime | int) -> str:
    """Return the name of the directory of one batch: ``prefix-<ms>`` or ``prefix-<ms>.suffix``.

    Parameters
    ----------
    prefix : str
        First part of the path.
    suffix : str, optional
        Ending; an empty string gives a trailing dot, as on the old engine.
    timestamp : datetime.datetime or int
        Batch time, naive local or in ms since the epoch.

    Examples
    --------
    >>> rddToFileName("spark", None, 12345678910)
    'spark-12345678910'
    >>> rddToFileName("spark", "tmp", 12345678910)
    'spark-12345678910.tmp'
    """
    if isinstance(timestamp, datetime):
        timestamp = int(time.mktime(timestamp.timetuple()) * 1000) + timestamp.microsecond // 1000
    return f"{prefix}-{timestamp}" if suffix is None else f"{prefix}-{timestamp}.{suffix}"
