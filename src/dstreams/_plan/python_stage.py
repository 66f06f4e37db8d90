"""Functions as Python stages of a plan, without the pandas that PySpark's own methods ask for and do not use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql.types import StructType
from pyspark.sql.udf import UserDefinedFunction
from pyspark.util import PythonEvalType

__all__ = ["map_in_arrow", "python_column"]


def python_column(
    frame: DataFrame, function: Callable[..., Any], schema: str | StructType, kind: int, name: str
) -> Column:
    """Wrap a function over all columns of a frame.

    Parameters
    ----------
    frame : DataFrame
        What it reads.
    function : callable
        Picklable; what it gets depends on `kind`.
    schema : str or StructType
        Schema of what it gives.
    kind : int
        One of ``PythonEvalType``.
    name : str
        Name in plans.
    """
    return UserDefinedFunction(function, returnType=schema, evalType=kind, name=name)(*frame.columns)


def map_in_arrow(frame: DataFrame, function: Any, schema: str | StructType, name: str) -> DataFrame:
    """``frame.mapInArrow(function, schema)``; `function` is an object that is called with the Arrow batches."""
    column = python_column(frame, function.__call__, schema, PythonEvalType.SQL_MAP_ARROW_ITER_UDF, name)
    return DataFrame(frame._jdf.mapInArrow(column._jc, False, None), frame.sparkSession)
