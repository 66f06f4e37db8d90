"""Which Python workers run with: in local mode that of this program; PySpark would take ``python3`` from PATH."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["use_this_python", "use_this_python_in"]

_NAME = "PYSPARK_PYTHON"
_OF_A_CLUSTER = "python3"
"""What PySpark takes on executors where nobody has named an interpreter."""
_ours = ""


def use_this_python() -> None:
    """Let the SparkContexts of this process use it, unless the user chose an interpreter."""
    global _ours
    if _NAME not in os.environ and "PYSPARK_DRIVER_PYTHON" not in os.environ:
        os.environ[_NAME] = _ours = sys.executable


def use_this_python_in(sc: SparkContext) -> None:
    """Let a SparkContext that exists use it if it is a local one, unless the user chose an interpreter.

    On the nodes of a cluster this program's interpreter need not be where it is here.
    """
    chosen = os.environ.get(_NAME, "")
    if sc._conf.contains("spark.pyspark.python") or chosen != _ours:
        return
    sc.pythonExec = sys.executable if str(sc.master).startswith("local") else _OF_A_CLUSTER
