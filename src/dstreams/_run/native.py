"""A stream as a streaming DataFrame, on which a program goes on with Structured Streaming itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from dstreams._plan.plan import lower
from dstreams._plan.stages import Scan, has_state
from dstreams._plan.streaming_rdd import StreamingRDD
from dstreams._sources.dataframe import RowWriter
from dstreams._sources.source import NativeSource
from dstreams._sources.start import FRESH
from dstreams.errors import StreamingSideError, UnsupportedDStreamOperation

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from dstreams._plan.graph import Node
    from dstreams._plan.streaming_rdd import PlanContext

__all__ = ["native_frame"]


def native_frame(node: Node, context: PlanContext, session: SparkSession, schema: StructType) -> DataFrame:
    """Build the streaming DataFrame of a node.

    Parameters
    ----------
    node : Node
        What the DataFrame has the records of.
    context : PlanContext
        Stand-in for the SparkContext of the streaming side.
    session : SparkSession
        The session that the DataFrame belongs to.
    schema : StructType
        Its schema.

    Raises
    ------
    UnsupportedDStreamOperation
        If the stream is not one that a query of Spark's can compute by itself; names the operation.
    """
    made: dict[Node, StreamingRDD] = {}
    rdd = _streamed(node, context, made)
    if has_state(rdd.stage):
        raise _cannot(next(up for up in made if up.step is not None), "it has a state that depends on batch times")
    return lower(rdd.stage, lambda source: cast(NativeSource, source).frame(session, FRESH), RowWriter(schema), node)


def _streamed(node: Node, context: PlanContext, made: dict[Node, StreamingRDD]) -> StreamingRDD:
    """Stages of a node, also where a program would compute it once for several readers."""
    if node not in made:
        parents = [_streamed(parent, context, made) for parent in node.parents]
        if node.source is not None and not isinstance(node.source, NativeSource):
            raise _cannot(node, f"{node.source.describe()} is read by a reader of this package's own")
        if node.source is not None:
            made[node] = StreamingRDD(Scan(node.source), context)
        elif not node.liftable:
            raise _cannot(node, "it needs the real RDD of each batch")
        else:
            try:
                made[node] = cast(StreamingRDD, node.evaluate(None, *parents))
            except StreamingSideError as error:
                raise _cannot(node, str(error)) from None
    return made[node]


def _cannot(node: Node, why: str) -> UnsupportedDStreamOperation:
    return UnsupportedDStreamOperation(
        f"toDF: {node} cannot be part of a streaming DataFrame: {why}. Call toDF on a stream before it, or make "
        "DataFrames of the batches: stream.foreachRDD(lambda rdd: rdd.toDF(schema)...)."
    )
