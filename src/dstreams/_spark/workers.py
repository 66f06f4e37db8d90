"""The Python workers of a program: all of its stages run in the same ones, which start quickly and answer at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["leave_workers", "prepare_workers"]

_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker_path")
_own: WeakKeyDictionary[SparkContext, tuple[dict[str, str | None], WeakSet[object]]] = WeakKeyDictionary()
"""What each SparkContext has had in its workers' environment where it was changed, and who has prepared them."""


def prepare_workers(sc: SparkContext, user: object, variables: dict[str, str]) -> None:
    """Let the functions that PySpark wraps from now on run in workers that begin with our hook (``worker_path``).

    Spark hands a worker only to functions with the same environment, which PySpark copies from the SparkContext: the
    stages of the plan and of the batch side share their workers if it is one for both.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    user : object
        Who asks for it; see :func:`leave_workers`.
    variables : dict of str to str
        Variables of the workers' environment besides.
    """
    before = {name: sc.environment.get(name) for name in ("PYTHONPATH", *variables)}
    own, users = _own.setdefault(sc, (before, WeakSet()))
    users.add(user)
    # A stateful operator is asked for its schema beside the driver, where only its path has what --py-files brought.
    path = filter(None, [_PATH, own["PYTHONPATH"], os.environ.get("PYTHONPATH")])
    sc.environment = {**sc.environment, "PYTHONPATH": os.pathsep.join(path), **variables}


def leave_workers(sc: SparkContext, user: object) -> None:
    """Give a SparkContext its own environment back, where nobody else has prepared its workers."""
    own, users = _own.get(sc, ({}, WeakSet()))
    users.discard(user)
    if sc in _own and not users:
        del _own[sc]
        sc.environment = {key: value for key, value in {**sc.environment, **own}.items() if value is not None}
