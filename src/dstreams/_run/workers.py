"""What the program's Python workers run with: which Python, and how much of the state they keep.

In local mode it is the program's own interpreter; PySpark would take ``python3`` from PATH.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dstreams._plan.bucket import CACHE_VARIABLE
from dstreams._spark import workers
from dstreams._spark.context import jvm_conf, settings
from dstreams.errors import DStreamValueError

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["prepare_workers", "use_this_python"]

CACHE = "spark.streaming.dstreams.stateCache"
"""Conf: how much each Python worker keeps of the state that it has unpickled, in bytes as they are stored."""

_NAME = "PYSPARK_PYTHON"
_OF_A_CLUSTER = "python3"
"""What PySpark takes on executors where nobody has named an interpreter."""
_ours = ""


def use_this_python() -> None:
    """Let the SparkContexts of this process use it, unless the user chose an interpreter."""
    global _ours
    if _NAME not in os.environ and "PYSPARK_DRIVER_PYTHON" not in os.environ:
        os.environ[_NAME] = _ours = sys.executable


def prepare_workers(sc: SparkContext, user: object) -> None:
    """Prepare the workers of a SparkContext for a program, until that leaves them.

    On the nodes of a cluster this program's interpreter need not be where it is here.

    Raises
    ------
    DStreamValueError
        If the size of the cache is none.
    """
    try:
        cache = int(jvm_conf(sc).getSizeAsBytes(CACHE, "128m"))
    except Exception:
        raise DStreamValueError(f"{CACHE}: must be a size such as 256m, got {settings(sc).get(CACHE)!r}") from None
    if not settings(sc).contains("spark.pyspark.python") and os.environ.get(_NAME, "") == _ours:
        sc.pythonExec = sys.executable if str(sc.master).startswith("local") else _OF_A_CLUSTER
    workers.prepare_workers(sc, user, {CACHE_VARIABLE: str(cache)})
