"""A source of Spark's that is an object in the driver: each batch is an RDD that we give it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from py4j.protocol import Py4JError
from pyspark.sql import DataFrame, SparkSession

from dstreams._java import java

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject

__all__ = ["rdd_frame"]


def rdd_frame(
    session: SparkSession, schema: str, latest: Callable[[], int], rows: Callable[[int], JavaObject]
) -> DataFrame:
    """Streaming frame of rows that RDDs of the JVM have, another one in each batch.

    Parameters
    ----------
    session : SparkSession
        The query's session.
    schema : str
        Schema of the rows.
    latest : callable
        Offset of the batch that is due, waiting for it; below zero where none has been yet.
    rows : callable
        ``(offset) -> RDD[InternalRow]`` of the batch that ends there; after a restart Spark also asks for the batch
        that was committed last, and throws that away.
    """
    jvm = session.sparkContext._jvm
    assert jvm is not None
    source = _RddSource(session, schema, latest, rows)
    runtime = jvm.org.apache.spark.sql.execution.streaming.runtime
    attributes = jvm.org.apache.spark.sql.catalyst.types.DataTypeUtils.toAttributes(source.schema())
    relation = runtime.StreamingExecutionRelation
    arguments = [source, attributes, jvm.scala.Option.empty()]
    with suppress(Py4JError):  # Spark 4.3 names sources; before, there is no such parameter
        arguments.append(getattr(relation, "apply$default$4")())
    plan = relation(*arguments, session._jsparkSession)
    return DataFrame(jvm.org.apache.spark.sql.classic.Dataset.ofRows(session._jsparkSession, plan), session)


class _RddSource:
    def __init__(
        self, session: SparkSession, schema: str, latest: Callable[[], int], rows: Callable[[int], JavaObject]
    ) -> None:
        self._jsession = session._jsparkSession
        self._latest = latest
        self._rows = rows
        self._jvm = session.sparkContext._jvm
        self._schema = session._jsparkSession.parseDataType(session._parse_ddl(schema).json())

    def schema(self) -> JavaObject:
        """Return the schema of the rows."""
        return self._schema

    def getOffset(self) -> JavaObject:
        """Return where the next batch ends, waiting for it."""
        latest = self._latest()
        if latest < 0:
            return java(self._jvm, "scala.Option.empty")()
        offset = java(self._jvm, "org.apache.spark.sql.execution.streaming.runtime.LongOffset")(latest)
        return java(self._jvm, "scala.Some")(offset)

    def getBatch(self, start: JavaObject, end: JavaObject) -> JavaObject:
        """Return the rows of the batch."""
        return self._jsession.internalCreateDataFrame(self._rows(int(end.json())), self._schema, True)

    def commit(self, end: JavaObject) -> None:
        """Nothing is kept of a batch that is done."""

    def stop(self) -> None:
        """Nothing is open."""

    def toString(self) -> str:
        """Name in plans."""
        return "dstreams-exchange"

    def hashCode(self) -> int:
        """Identity."""
        return id(self) & 0x7FFFFFFF

    def equals(self, other: Any) -> bool:
        """Identity."""
        return other is self

    class Java:
        """Tells py4j which interface this is."""

        implements: ClassVar = ["org.apache.spark.sql.execution.streaming.Source"]
