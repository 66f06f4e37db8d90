"""The hand-over: from the DataFrame of a batch to one real RDD per frontier node.

Everything that depends on the shape of Spark's physical plan is in this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import RDD
from pyspark.serializers import AutoBatchedSerializer, CPickleSerializer

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

    from dstreams._plan.compiler import Branch, Plan
    from dstreams._plan.graph import Node

__all__ = ["EmptyRDD", "Frontier"]


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


class Frontier:
    """The RDDs of one batch.

    The DataFrame of the batch is a union, whose RDD keeps the RDDs of its members. A frontier node's RDD is the
    union's, reduced to the partitions of that node's members; nothing is computed until somebody asks for it.

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
        self._branches = {branch.node: branch for branch in plan.branches}
        self._bytes: JavaObject | None = None
        union = jdf.queryExecution().toRdd()
        while not union.getClass().getSimpleName().endswith("UnionRDD"):
            union = union.dependencies().head().rdd()
        members = union.rdds()
        self._members = [members.apply(i) for i in range(members.size())]
        self._sizes = [member.getNumPartitions() for member in self._members]

    def rdd(self, node: Node) -> RDD[Any]:
        """RDD of a frontier node in this batch, lazily computed."""
        branch = self._branches[node]
        if branch.empty_without_input and not any(_has_input(self._members[i]) for i in branch.members):
            return EmptyRDD(self._sc, sum(self._sizes[i] for i in branch.members))
        return RDD(self._pruned(branch), self._sc, AutoBatchedSerializer(CPickleSerializer()))

    def _pruned(self, branch: Branch) -> JavaObject:
        jvm = self._sc._jvm
        assert jvm is not None
        if self._bytes is None:
            # ``as`` is a keyword of Python.
            self._bytes = getattr(self._jdf, "as")(jvm.org.apache.spark.sql.Encoders.BINARY()).rdd()
        wanted = jvm.java.util.HashSet()
        first = sum(self._sizes[: branch.members.start])
        for partition in range(first, first + sum(self._sizes[i] for i in branch.members)):
            wanted.add(partition)
        # A Scala set is a Scala predicate, the only one that can be made from here.
        predicate = jvm.scala.jdk.javaapi.CollectionConverters.asScala(wanted).toSet()
        return jvm.org.apache.spark.rdd.PartitionPruningRDD.create(self._bytes, predicate).toJavaRDD()


def _has_input(rdd: JavaObject) -> bool:
    """Whether any RDD without parents below this one has a partition."""
    parents = rdd.dependencies()
    if parents.isEmpty():
        return bool(rdd.getNumPartitions() > 0)
    return any(_has_input(parents.apply(i).rdd()) for i in range(parents.size()))
