"""The hand-over: from the DataFrame of a batch to one real RDD per frontier node.

Everything that depends on the shape of Spark's physical plan is in this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark import RDD
from pyspark.serializers import AutoBatchedSerializer, CPickleSerializer

from dstreams._plan.chunks import apply
from dstreams._plan.graph import OnEmpty

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

    from dstreams._plan.compiler import Function, Plan
    from dstreams._plan.graph import Node

__all__ = ["EmptyRDD", "Frontier"]

_MARK = "CoalescedRDD"
"""Class of the RDD that ends each branch of the union; see ``compile_plan``."""


class EmptyRDD(RDD[Any]):
    """An RDD that is known to have no records, so that looking at it takes no Spark job."""

    def __init__(self, sc: SparkContext, partitions: int) -> None:
        assert sc._jsc is not None and sc._jvm is not None
        nothing = sc._jvm.java.util.ArrayList()
        jrdd = sc._jsc.parallelize(nothing, partitions) if partitions else sc._jsc.emptyRDD()
        super().__init__(jrdd, sc, AutoBatchedSerializer(CPickleSerializer()))

    def collect(self) -> list[Any]:
        """No records."""
        return []

    def take(self, num: int) -> list[Any]:
        """No records."""
        return []

    def count(self) -> int:
        """Zero."""
        return 0

    def isEmpty(self) -> bool:
        """Return True."""
        return True


@dataclass
class _Part:
    """What one frontier node has in the union: members, and their partitions from `start` to before `end`."""

    without_input: OnEmpty
    rest: tuple[Function, ...]
    members: list[JavaObject]
    start: int
    end: int


class _Chain:
    """Functions over a partition, one after the other, inside a generator (see :mod:`dstreams._plan.combine`)."""

    def __init__(self, functions: tuple[Function, ...]) -> None:
        self._functions = functions

    def __call__(self, records: Iterable[Any]) -> Iterator[Any]:
        yield from apply(self._functions, records)


class Frontier:
    """The RDDs of one batch.

    The DataFrame of the batch is a union, whose RDD keeps the RDDs of its members: those of the first frontier
    node, a mark, those of the second, a mark, and so on. A frontier node's RDD is the union's, reduced to the
    partitions of that node's members; nothing is computed until somebody asks for it.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    jdf : JavaObject
        The batch's DataFrame as ``foreachBatch`` gives it.
    plan : Plan
        What is where in the union.
    """

    def __init__(self, sc: SparkContext, jdf: JavaObject, plan: Plan) -> None:
        self._sc = sc
        self._jdf = jdf
        self._bytes: JavaObject | None = None
        # The batch's DataFrame wraps an RDD that Spark has planned; toRdd() would plan once more.
        logical = jdf.queryExecution().logical()
        union = logical.rdd() if logical.getClass().getSimpleName() == "LogicalRDD" else jdf.queryExecution().toRdd()
        while not union.getClass().getSimpleName().endswith("UnionRDD"):
            union = union.dependencies().head().rdd()
        rdds = union.rdds()
        members = (rdds.apply(i) for i in range(rdds.size()))
        self._parts: dict[Node, _Part] = {}
        partition = 0
        for branch in plan.branches:
            part = _Part(branch.without_input, branch.rest, [], partition, partition)
            for member in members:
                partition += member.getNumPartitions()
                if member.getClass().getSimpleName() == _MARK:
                    break
                part.members.append(member)
                part.end = partition
            self._parts[branch.node] = part

    def rdd(self, node: Node) -> RDD[Any]:
        """RDD of a frontier node in this batch, lazily computed."""
        part = self._parts[node]
        if part.without_input is not OnEmpty.PER_PARTITION and not any(map(_has_partitions, part.members)):
            return EmptyRDD(self._sc, part.end - part.start if part.without_input is OnEmpty.SHUFFLE else 0)
        rdd: RDD[Any] = RDD(self._pruned(part), self._sc, AutoBatchedSerializer(CPickleSerializer()))
        return rdd.mapPartitions(_Chain(part.rest)) if part.rest else rdd

    def _pruned(self, part: _Part) -> JavaObject:
        jvm = self._sc._jvm
        assert jvm is not None
        if self._bytes is None:
            # ``as`` is a keyword of Python.
            self._bytes = getattr(self._jdf, "as")(jvm.org.apache.spark.sql.Encoders.BINARY()).rdd()
        wanted = jvm.java.util.HashSet()
        for partition in range(part.start, part.end):
            wanted.add(partition)
        # A Scala set is a Scala predicate, the only one that can be made from here.
        predicate = jvm.scala.jdk.javaapi.CollectionConverters.asScala(wanted).toSet()
        return jvm.org.apache.spark.rdd.PartitionPruningRDD.create(self._bytes, predicate).toJavaRDD()


def _has_partitions(rdd: JavaObject) -> bool:
    """Whether any RDD without parents below this one has a partition.

    Spark puts an empty local relation in the place of a source without new data: no partition in Spark 4.3, one
    without rows (a ParallelCollectionRDD, which nothing else in our plans is) before.
    """
    parents = rdd.dependencies()
    if parents.isEmpty():
        return bool(rdd.getNumPartitions() > 0) and rdd.getClass().getSimpleName() != "ParallelCollectionRDD"
    return any(_has_partitions(parents.apply(i).rdd()) for i in range(parents.size()))
