"""Which Python local workers run with: that of this program; PySpark would take ``python3`` from PATH."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["use_this_python", "use_this_python_in"]


def use_this_python() -> None:
    """Let the SparkContexts of this process use it, unless the user chose an interpreter."""
    if "PYSPARK_PYTHON" not in os.environ and "PYSPARK_DRIVER_PYTHON" not in os.environ:
        os.environ["PYSPARK_PYTHON"] = sys.executable


def use_this_python_in(sc: SparkContext) -> None:
    """Let a local SparkContext that exists use it, unless the user chose an interpreter."""
    if (
        str(sc.master).startswith("local")
        and "PYSPARK_PYTHON" not in os.environ
        and not sc._conf.contains("spark.pyspark.python")
    ):
        sc.pythonExec = sys.executable
