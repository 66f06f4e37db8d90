"""Functions as Python stages of a plan, without the pandas that PySpark's own methods ask for and do not use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from pyspark.sql import DataFrame
from pyspark.sql.streaming.stateful_processor_util import TransformWithStateInPandasUdfUtils
from pyspark.sql.types import StructType
from pyspark.sql.udf import UserDefinedFunction
from pyspark.util import PythonEvalType

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark.sql.streaming.stateful_processor import StatefulProcessor

__all__ = ["map_in_arrow", "transform_with_state"]


class Functions(Protocol):
    """Puts something into the place of a function of a plan; see :class:`dstreams._plan.functions.Functions`."""

    def stage(self, function: Any, apply: Callable[[Any], tuple[DataFrame, JavaObject]]) -> DataFrame:
        """Get the frame of what is there in its place."""


def map_in_arrow(
    frame: DataFrame, function: Any, schema: str | StructType, name: str, functions: Functions | None = None
) -> DataFrame:
    """``frame.mapInArrow(function, schema)``.

    Parameters
    ----------
    frame : DataFrame
        What it reads.
    function : object
        Called with the Arrow batches of each partition.
    schema : str or StructType
        Schema of what it gives.
    name : str
        Name in plans.
    functions : Functions, optional
        Takes the function, so that each batch has it as it is then; without, it stays as it is now.
    """

    def apply(stand_in: Any) -> tuple[DataFrame, JavaObject]:
        udf = _udf(stand_in.__call__, schema, PythonEvalType.SQL_MAP_ARROW_ITER_UDF, name)
        jdf = frame._jdf.mapInArrow(udf(*frame.columns)._jc, False, None)
        return DataFrame(jdf, frame.sparkSession), udf._judf.func()

    return _planned(function, apply, functions)


def transform_with_state(frame: DataFrame, operator: Any, schema: str, functions: Functions | None = None) -> DataFrame:
    """``frame.groupBy("op", "bucket").transformWithState``; parameters as above, rows by rows of each group."""

    def apply(stand_in: StatefulProcessor) -> tuple[DataFrame, JavaObject]:
        run = TransformWithStateInPandasUdfUtils(stand_in, "None").transformWithStateUDF
        udf = _udf(run, schema, PythonEvalType.SQL_TRANSFORM_WITH_STATE_PYTHON_ROW_UDF, "state")
        column = udf(*frame.columns)
        grouped: Any = frame.groupBy("op", "bucket")
        parsed = frame.sparkSession._jsparkSession.parseDataType(frame.schema.json())
        # No time mode: the batch time comes with the tick, and there are no timers of Spark's.
        jdf = grouped._jgd.transformWithStateInPySpark(column._jc, parsed, "Append", "None", None, "")
        return DataFrame(jdf, frame.sparkSession), udf._judf.func()

    return _planned(operator, apply, functions)


def _planned(
    function: Any, apply: Callable[[Any], tuple[DataFrame, JavaObject]], functions: Functions | None
) -> DataFrame:
    return apply(function)[0] if functions is None else functions.stage(function, apply)


def _udf(function: Callable[..., Any], schema: str | StructType, kind: int, name: str) -> UserDefinedFunction:
    return UserDefinedFunction(function, returnType=schema, evalType=kind, name=name)
