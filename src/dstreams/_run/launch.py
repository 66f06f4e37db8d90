"""Around the start of a JVM, wherever the program starts it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from pyspark import SparkConf
from pyspark.core import context as _context

__all__ = ["around_launch"]

_spark: Any = _context
"""The module in which SparkContext looks for the function; it does not say so to type checkers."""


def around_launch(within: Callable[[SparkConf | None], AbstractContextManager[None]]) -> Callable[[], None]:
    """Have the SparkContexts of this process start their JVM within a context.

    Only there is it known with which settings, and that there is not one yet.

    Parameters
    ----------
    within : callable
        Gets the settings and gives the context.

    Returns
    -------
    callable
        Takes that back.
    """
    launch = _spark.launch_gateway

    def launch_within(conf: SparkConf | None = None, popen_kwargs: dict[str, Any] | None = None) -> Any:
        with within(conf):
            return launch(conf, popen_kwargs)

    def undo() -> None:
        _spark.launch_gateway = launch

    _spark.launch_gateway = launch_within
    return undo
