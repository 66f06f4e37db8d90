"""Plans of DataFrames: logical ones of a streaming query, and the physical one of a batch, as RDDs of the JVM.

Everything that depends on the shape of Spark's plans is in this file.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError
from pyspark.sql import DataFrame

from dstreams._spark.jvm import any_class, java, java_in, jvm_of

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject, JVMView
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

__all__ = [
    "BatchRows", "Member", "Pipe", "frame_of", "has_partitions", "input_partitions", "moved", "plan_text",
    "row_decoder", "row_encoder", "rows_of", "stateful_operators", "streaming_leaves",
]  # fmt: skip

_CATALYST = "org.apache.spark.sql.catalyst."
_MARK = "CoalescedRDD"
"""Class of the RDD that ends each branch of the union; see ``compile_plan``."""
_STATEFUL = {
    "Aggregate", "Deduplicate", "DeduplicateWithinWatermark", "FlatMapGroupsWithState", "TransformWithState",
    "FlatMapGroupsInPandasWithState", "TransformWithStateInPySpark", "GlobalLimit",
}  # fmt: skip
"""Operators that keep state where they read a stream."""
_SECRET = re.compile(
    r"((?:password|secret|token|credential)[\w.]*\s*(?:=|->)\s*)(\"[^\"]*\"|[^\s,;)\]]+)", re.IGNORECASE
)


# ---------------------------------------------------------------------- logical plans


def frame_of(plan: JavaObject, session: SparkSession) -> DataFrame:
    """DataFrame of a logical plan."""
    of_rows = java(session.sparkContext, "org.apache.spark.sql.classic.Dataset.ofRows")
    return DataFrame(of_rows(session._jsparkSession, plan), session)


def moved(frame: DataFrame, session: SparkSession) -> DataFrame:
    """Return a DataFrame that is the same in another session."""
    return frame_of(_analyzed(frame), session)


def plan_text(frame: DataFrame) -> str:
    """The logical plan, for people: Spark 4.1 shows a source's options in it, secrets and all."""
    return _SECRET.sub(r"\1***", str(_analyzed(frame).toString())).rstrip()


def streaming_leaves(frame: DataFrame) -> list[JavaObject]:
    """What a frame reads, in the order in which Spark meets it."""
    leaves = _analyzed(frame).collectLeaves()
    found = (leaves.apply(i) for i in range(leaves.size()))
    return [leaf for leaf in found if leaf.isStreaming()]


def stateful_operators(frame: DataFrame) -> list[str]:
    """Names of the operators of a streaming DataFrame that keep state."""
    return list(_with_state(_analyzed(frame)))


def _with_state(plan: JavaObject) -> Iterator[str]:
    name = str(plan.getClass().getSimpleName())
    below = [plan.children().apply(i) for i in range(plan.children().size())]
    streams = [child for child in below if child.isStreaming()]
    if (name in _STATEFUL and streams) or (name == "Join" and len(streams) > 1):
        yield name
    for child in streams:
        yield from _with_state(child)


def _analyzed(frame: DataFrame) -> JavaObject:
    return frame._jdf.queryExecution().analyzed()


# ---------------------------------------------------------------------- rows


def rows_of(frame: DataFrame) -> JavaObject:
    """RDD of Spark's rows."""
    return frame._jdf.queryExecution().toRdd()


def row_encoder(sc: SparkContext) -> JavaObject:
    """Function of the JVM from bytes to a row; ``Dataset.as`` would plan it anew for each batch."""
    return _row_encoder(jvm_of(sc))


@cache
def _row_encoder(jvm: JVMView) -> JavaObject:
    encoder = java_in(jvm, "org.apache.spark.sql.Encoders.BINARY")()
    return java_in(jvm, f"{_CATALYST}encoders.ExpressionEncoder.apply")(encoder).createSerializer()


def row_decoder(frame: DataFrame, tagged: bool) -> JavaObject:
    """Make the function of the JVM that turns the rows of a batch into chunks, or pairs of a tag and a chunk.

    ``Dataset.as(...).rdd()`` would do the same, and plan it anew for each batch: some 80 ms.
    """
    sc = frame.sparkSession.sparkContext
    encoders = jvm_of(sc).org.apache.spark.sql.Encoders
    row = encoders.tuple(encoders.INT(), encoders.BINARY()) if tagged else encoders.BINARY()
    schema = frame.sparkSession._jsparkSession.parseDataType(frame.schema.json())
    attributes = java(sc, f"{_CATALYST}types.DataTypeUtils.toAttributes")(schema)
    encoder = java(sc, f"{_CATALYST}encoders.ExpressionEncoder.apply")(row)
    analyzer = java(sc, f"{_CATALYST}analysis.SimpleAnalyzer$.MODULE$")
    return encoder.resolveAndBind(attributes, analyzer).createDeserializer()


@dataclass
class Member:
    """What lies between two marks of the union: RDDs, and their partitions."""

    rdds: list[JavaObject]
    partitions: range


class BatchRows:
    """The rows of one batch, whose DataFrame is a union of branches.

    The union's RDD keeps the RDDs of its members: those of the first branch, a mark, those of the second, a mark, and
    so on. What a branch gives is the union's RDD, reduced to the partitions of the branch; nothing is computed until
    somebody asks for it.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    jdf : JavaObject
        The batch's DataFrame as ``foreachBatch`` gives it.
    decoder : JavaObject
        What :func:`row_decoder` gave.
    tagged : bool
        Whether it gives pairs of a tag and a chunk.
    """

    def __init__(self, sc: SparkContext, jdf: JavaObject, decoder: JavaObject, tagged: bool) -> None:
        self._sc = sc
        self._decoder = decoder
        self._tagged = tagged
        self._decoded: JavaObject | None = None
        # The batch's DataFrame wraps an RDD that Spark has planned; toRdd() would plan once more.
        logical = jdf.queryExecution().logical()
        union = logical.rdd() if _class_of(logical) == "LogicalRDD" else jdf.queryExecution().toRdd()
        self._rows = union
        while not _class_of(union).endswith("UnionRDD"):
            union = union.dependencies().head().rdd()
        self._union = union.rdds()

    def members(self) -> Iterator[Member]:
        """Give the branches, in their order."""
        start = at = 0
        found: list[JavaObject] = []
        for rdd in (self._union.apply(i) for i in range(self._union.size())):
            count = rdd.getNumPartitions()
            if _class_of(rdd) == _MARK:
                yield Member(found, range(start, at))
                start, found = at + count, []
            else:
                found.append(rdd)
            at += count

    def chunks(self, partitions: range) -> JavaObject:
        """Java's RDD of the chunks in some partitions."""
        return self._pairs(partitions).values() if self._tagged else self._pruned(partitions).toJavaRDD()

    def pipe(self, partitions: range) -> Pipe:
        """Compute some partitions, which are those of stateful operators, as a whole."""
        return Pipe(self._sc, self._pairs(partitions), len(partitions))

    def _pairs(self, partitions: range) -> JavaObject:
        return _pairs(self._sc, self._pruned(partitions))

    def _pruned(self, partitions: range) -> JavaObject:
        if self._decoded is None:
            self._decoded = self._rows.map(self._decoder, any_class(self._sc))
        return _pruned(self._sc, self._decoded, partitions)


class Pipe:
    """What stateful operators gave: Spark asks that each runs for every partition, and once.

    Attributes
    ----------
    tags : Counter
        Number of chunks by tag.
    partitions : int
        Number of partitions.
    """

    def __init__(self, sc: SparkContext, pairs: JavaObject, partitions: int) -> None:
        self._sc = sc
        self.partitions = partitions
        self._pairs: JavaObject | None = pairs.persist(
            java(sc, "org.apache.spark.storage.StorageLevel.MEMORY_AND_DISK")()
        )
        # As text, in one call: each element of a list of the JVM's would be a call of its own.
        self.tags = Counter(json.loads(pairs.keys().collect().toString()))

    def chunks(self, tag: int, partitions: int | None) -> JavaObject:
        """Java's RDD of the chunks with a tag, in the first so many partitions."""
        pairs = self._pairs
        assert pairs is not None
        if partitions is not None and partitions < self.partitions:
            pairs = _pairs(self._sc, _pruned(self._sc, pairs.rdd(), range(partitions)))
        return pairs.filterByRange(tag, tag).values()

    def forget(self) -> None:
        """Give back its memory; what has been made of it can not be computed again."""
        if self._pairs is not None:
            self._pairs.unpersist(False)
            self._pairs = None


def has_partitions(rdd: JavaObject) -> bool:
    """Whether any RDD of one of Spark's own sources below this one has a partition.

    Spark puts an empty local relation in the place of a source without new data: no partition in Spark 4.3, one
    without rows (a ParallelCollectionRDD, which none of its own sources gives) before.
    """
    parents = rdd.dependencies()
    if parents.isEmpty():
        return bool(rdd.getNumPartitions() > 0) and _class_of(rdd) != "ParallelCollectionRDD"
    return any(has_partitions(parents.apply(i).rdd()) for i in range(parents.size()))


def input_partitions(rdd: JavaObject) -> list[JavaObject]:
    """What each partition of a source reads, as its data source has planned it."""
    while not rdd.dependencies().isEmpty():
        rdd = rdd.dependencies().head().rdd()
    if _class_of(rdd) != "DataSourceRDD":  # of an empty relation, which stands for no new data
        return []
    found = []
    for partition in rdd.partitions():
        try:
            planned = partition.inputPartition()  # an Option in Spark 4.3
        except Py4JError:
            planned = partition.inputPartitions()  # a Seq before
        found.append(planned.iterator().next())
    return found


def _pairs(sc: SparkContext, rdd: JavaObject) -> JavaObject:
    tag = any_class(sc)
    return java(sc, "org.apache.spark.api.java.JavaPairRDD.fromRDD")(rdd, tag, tag)


def _pruned(sc: SparkContext, rdd: JavaObject, partitions: range) -> JavaObject:
    wanted = java(sc, "scala.collection.immutable.Range$.MODULE$").inclusive(partitions.start, partitions.stop - 1)
    # A Scala set is a Scala predicate, the only one that can be made from here.
    return java(sc, "org.apache.spark.rdd.PartitionPruningRDD.create")(rdd, wanted.toSet())


def _class_of(thing: JavaObject) -> str:
    return str(thing.getClass().getSimpleName())
