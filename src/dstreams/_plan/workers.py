"""The Python workers of a program: all of its stages run in the same ones, which start quickly and answer at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["leave_workers", "prepare_workers"]

_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker_path")


def prepare_workers(sc: SparkContext) -> None:
    """Let the functions that PySpark wraps from now on run in workers that begin with our hook (``worker_path``).

    Spark hands a worker only to functions with the same environment, which PySpark copies from the SparkContext: the
    stages of the plan and of the batch side share their workers if it is one for both.
    """
    rest = [entry for entry in _entries(sc) if entry != _PATH]
    sc.environment = {**sc.environment, "PYTHONPATH": os.pathsep.join([_PATH, *rest])}


def leave_workers(sc: SparkContext) -> None:
    """Give a SparkContext its own environment back."""
    rest = [entry for entry in _entries(sc) if entry != _PATH]
    sc.environment = {**sc.environment, "PYTHONPATH": os.pathsep.join(rest)}
    if not rest:
        del sc.environment["PYTHONPATH"]


def _entries(sc: SparkContext) -> list[str]:
    return [entry for entry in sc.environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
