"""The environment of the Python workers that run our stages and readers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["worker_environment"]

_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker_path")


@contextmanager
def worker_environment(sc: SparkContext, pool: str | None = None) -> Iterator[None]:
    """Within this, PySpark wraps functions with our environment; afterwards the SparkContext has its own again.

    Parameters
    ----------
    sc : SparkContext
        The context whose ``environment`` PySpark copies into each function that it wraps.
    pool : str, optional
        Spark hands a worker only to functions with the same environment: those of one pool share workers that nobody
        else gets, and that so keep what they remember.
    """
    saved = sc.environment
    # Readers run beside the driver, where nothing but its own path has what --py-files brought.
    path = filter(None, [_PATH, saved.get("PYTHONPATH"), os.environ.get("PYTHONPATH")])
    sc.environment = {**saved, "PYTHONPATH": os.pathsep.join(path)}
    if pool is not None:
        sc.environment["DSTREAMS_POOL"] = pool
    try:
        yield
    finally:
        sc.environment = saved
