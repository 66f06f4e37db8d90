"""The Python workers of a program: all of its stages run in the same ones, which start quickly and answer at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

from dstreams._plan.bucket import CACHE_VARIABLE
from dstreams.errors import DStreamValueError

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["leave_workers", "prepare_workers"]

_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker_path")
CACHE = "spark.streaming.dstreams.stateCache"
"""Conf: how much each Python worker keeps of the state that it has unpickled, in bytes as they are stored."""
_own: WeakKeyDictionary[SparkContext, tuple[str | None, WeakSet[object]]] = WeakKeyDictionary()
"""What each SparkContext has had as ``PYTHONPATH`` of its workers, and who has prepared them."""


def prepare_workers(sc: SparkContext, user: object) -> None:
    """Let the functions that PySpark wraps from now on run in workers that begin with our hook (``worker_path``).

    Spark hands a worker only to functions with the same environment, which PySpark copies from the SparkContext: the
    stages of the plan and of the batch side share their workers if it is one for both.
    """
    own, users = _own.setdefault(sc, (sc.environment.get("PYTHONPATH"), WeakSet()))
    users.add(user)
    # A stateful operator is asked for its schema beside the driver, where only its path has what --py-files brought.
    path = filter(None, [_PATH, own, os.environ.get("PYTHONPATH")])
    sc.environment = {
        **sc.environment, "PYTHONPATH": os.pathsep.join(path), CACHE_VARIABLE: str(_cache_bytes(sc)),
    }  # fmt: skip


def leave_workers(sc: SparkContext, user: object) -> None:
    """Give a SparkContext its own environment back, where nobody else has prepared its workers."""
    own, users = _own.get(sc, (None, WeakSet()))
    users.discard(user)
    if sc not in _own or users:
        return
    del _own[sc]
    sc.environment = {key: value for key, value in sc.environment.items() if key not in ("PYTHONPATH", CACHE_VARIABLE)}
    if own is not None:
        sc.environment["PYTHONPATH"] = own


def _cache_bytes(sc: SparkContext) -> int:
    assert sc._jsc is not None
    try:
        return int(sc._jsc.sc().conf().getSizeAsBytes(CACHE, "128m"))
    except Exception:
        raise DStreamValueError(f"{CACHE}: must be a size such as 256m, got {sc._conf.get(CACHE)!r}") from None
