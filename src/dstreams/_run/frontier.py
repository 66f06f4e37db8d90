"""The hand-over: from the DataFrame of a batch to one real RDD per frontier node.

Everything that depends on the shape of Spark's physical plan is in this file.
"""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JError
from pyspark import RDD
from pyspark.serializers import AutoBatchedSerializer, CPickleSerializer

from dstreams._java import java
from dstreams._plan.chunks import apply
from dstreams._plan.functions import Snapshot, snapshot_of
from dstreams._plan.graph import OnEmpty

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    from dstreams._plan.compiler import Branch, Plan
    from dstreams._plan.graph import Node
    from dstreams._sources.reader import Reader

__all__ = ["EmptyRDD", "Frontier", "row_decoder"]

_MARK = "CoalescedRDD"
"""Class of the RDD that ends each branch of the union; see ``compile_plan``."""


def row_decoder(session: SparkSession, plan: Plan) -> JavaObject:
    """Make the function of the JVM that turns the rows of a batch into chunks, or pairs of a tag and a chunk.

    ``Dataset.as(...).rdd()`` would do the same, and plan it anew for each batch: some 80 ms.
    """
    jvm = session.sparkContext._jvm
    assert jvm is not None
    encoders, catalyst = jvm.org.apache.spark.sql.Encoders, jvm.org.apache.spark.sql.catalyst
    row = encoders.tuple(encoders.INT(), encoders.BINARY()) if plan.piped else encoders.BINARY()
    schema = session._jsparkSession.parseDataType(plan.frame.schema.json())
    analyzer = getattr(getattr(catalyst.analysis, "SimpleAnalyzer$"), "MODULE$")
    encoder = catalyst.encoders.ExpressionEncoder.apply(row)
    bound = encoder.resolveAndBind(catalyst.types.DataTypeUtils.toAttributes(schema), analyzer)
    return bound.createDeserializer()


class EmptyRDD(RDD[Any]):
    """An RDD that is known to have no records, so that looking at it takes no Spark job."""

    def __init__(self, sc: SparkContext, partitions: int) -> None:
        assert sc._jsc is not None
        nothing = java(sc._jvm, "java.util.ArrayList")()
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
    """What a branch has in the union: members, and their partitions from `start` to before `end`."""

    members: list[JavaObject]
    start: int
    end: int


class _Chain:
    """Functions over a partition, one after the other, inside a generator (see :mod:`dstreams._plan.combine`).

    They are as they were when the batch began, also where an output changes something before another one is run.
    """

    def __init__(self, functions: Snapshot) -> None:
        self._functions = functions

    def __call__(self, records: Iterable[Any]) -> Iterator[Any]:
        yield from apply(pickle.loads(self._functions.data), records)


class Frontier:
    """The RDDs of one batch.

    The DataFrame of the batch is a union, whose RDD keeps the RDDs of its members: those of the first frontier
    node, a mark, those of the second, a mark, and so on. A frontier node's RDD is the union's, reduced to the
    partitions of that node's members; nothing is computed until somebody asks for it.

    The pipe, where there is one, is the first member. It is computed as a whole when the frontier is made, and kept
    until the end of the batch: Spark asks that a stateful operator runs for every partition, and once.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    jdf : JavaObject
        The batch's DataFrame as ``foreachBatch`` gives it.
    plan : Plan
        What is where in the union.
    decoder : JavaObject
        What :func:`row_decoder` gave for the plan.
    readers : mapping
        Readers of the sources that are this package's own.
    """

    def __init__(
        self,
        sc: SparkContext,
        jdf: JavaObject,
        plan: Plan,
        decoder: JavaObject,
        readers: Mapping[Any, Reader],
    ) -> None:
        self._sc = sc
        self._given = {source: reader.has_data for source, reader in readers.items()}  # the next batch asks them again
        self._decoder = decoder
        self._tagged = bool(plan.piped)
        self._chunks: JavaObject | None = None
        self._pipe: JavaObject | None = None
        self._branches = {branch.node: branch for branch in (*plan.branches, *plan.piped)}
        # The batch's DataFrame wraps an RDD that Spark has planned; toRdd() would plan once more.
        logical = jdf.queryExecution().logical()
        union = logical.rdd() if logical.getClass().getSimpleName() == "LogicalRDD" else jdf.queryExecution().toRdd()
        self._rows = union
        while not union.getClass().getSimpleName().endswith("UnionRDD"):
            union = union.dependencies().head().rdd()
        rdds = union.rdds()
        members = (rdds.apply(i) for i in range(rdds.size()))
        self._parts: dict[Node, _Part] = {}
        partition = 0
        for node in [None] * bool(plan.piped) + [branch.node for branch in plan.branches]:
            part = _Part([], partition, partition)
            for member in members:
                partition += member.getNumPartitions()
                if member.getClass().getSimpleName() == _MARK:
                    break
                part.members.append(member)
                part.end = partition
            if node is None:
                self._compute_pipe(part)
            else:
                self._parts[node] = part

    def rdd(self, node: Node) -> RDD[Any]:
        """RDD of a frontier node in this batch, lazily computed."""
        branch = self._branches[node]
        jrdd = self._piped(branch) if branch.tag is not None else self._branched(branch)
        if isinstance(jrdd, EmptyRDD):
            return jrdd
        rdd: RDD[Any] = RDD(jrdd, self._sc, AutoBatchedSerializer(CPickleSerializer()))
        rdd = rdd.mapPartitions(_Chain(snapshot_of(self._sc, branch.rest))) if branch.rest else rdd
        rdd.partitioner = branch.partitioner
        return rdd

    def inputs(self, node: Node) -> list[JavaObject]:
        """What each partition of a frontier node that is a source reads, as its data source has planned it."""
        part = self._parts.get(node)
        if part is None or len(part.members) != 1:
            return []
        (rdd,) = part.members
        while not rdd.dependencies().isEmpty():
            rdd = rdd.dependencies().head().rdd()
        if rdd.getClass().getSimpleName() != "DataSourceRDD":  # of an empty relation, which stands for no new data
            return []
        found = []
        for partition in rdd.partitions():
            try:
                planned = partition.inputPartition()  # an Option in Spark 4.3
            except Py4JError:
                planned = partition.inputPartitions()  # a Seq before
            found.append(planned.iterator().next())
        return found

    def forget(self) -> None:
        """Give back the memory of the pipe; what has been made of it can not be computed again."""
        if self._pipe is not None:
            self._pipe.unpersist(False)
            self._pipe = None

    def _branched(self, branch: Branch) -> JavaObject | EmptyRDD:
        part = self._parts[branch.node]
        if branch.without_input is not OnEmpty.PER_PARTITION and not self._has_input(branch, part):
            partitions = part.end - part.start if branch.without_input is OnEmpty.SHUFFLE else 0
            return EmptyRDD(self._sc, partitions)
        chunks = self._prune(self._all_chunks(), range(part.start, part.end))
        return self._pairs(chunks).values() if self._tagged else chunks.toJavaRDD()

    def _has_input(self, branch: Branch, part: _Part) -> bool:
        """Whether any source of a branch has a partition in this batch: our own say so, Spark's are looked for."""
        own = [self._given[source] for source in branch.sources if source in self._given]
        if any(own):
            return True
        return len(own) < len(branch.sources) and any(map(_has_partitions, part.members))

    def _piped(self, branch: Branch) -> JavaObject | EmptyRDD:
        assert branch.tag is not None
        if not self._tags[branch.tag] and branch.without_input is not OnEmpty.PER_PARTITION:
            known = self._tags[-1 - branch.tag] > 0 or branch.without_input is not OnEmpty.EMPTY
            return EmptyRDD(self._sc, (branch.partitions or self._partitions) if known else 0)
        pipe = self._pipe
        assert pipe is not None
        if branch.partitions is not None and branch.partitions < self._partitions:
            pipe = self._prune(pipe.rdd(), range(branch.partitions))
            pipe = self._pairs(pipe)
        return pipe.filterByRange(branch.tag, branch.tag).values()

    def _compute_pipe(self, part: _Part) -> None:
        """Run the stateful operators, keep what comes out, and note which nodes have any records."""
        self._partitions = part.end - part.start
        pairs = self._pairs(self._prune(self._all_chunks(), range(part.start, part.end)))
        self._pipe = pairs.persist(java(self._sc._jvm, "org.apache.spark.storage.StorageLevel.MEMORY_AND_DISK")())
        # As text, in one call: each element of a list of the JVM's would be a call of its own.
        self._tags = Counter(json.loads(self._pipe.keys().collect().toString()))

    def _all_chunks(self) -> JavaObject:
        if self._chunks is None:
            self._chunks = self._rows.map(self._decoder, self._any_class())
        return self._chunks

    def _pairs(self, rdd: JavaObject) -> JavaObject:
        tag = self._any_class()
        return java(self._sc._jvm, "org.apache.spark.api.java.JavaPairRDD.fromRDD")(rdd, tag, tag)

    def _prune(self, rdd: JavaObject, partitions: range) -> JavaObject:
        jvm = self._sc._jvm
        wanted = java(jvm, "scala.collection.immutable.Range$.MODULE$").inclusive(partitions.start, partitions.stop - 1)
        # A Scala set is a Scala predicate, the only one that can be made from here.
        return java(jvm, "org.apache.spark.rdd.PartitionPruningRDD.create")(rdd, wanted.toSet())

    def _any_class(self) -> JavaObject:
        return java(self._sc._jvm, "scala.reflect.ClassTag.Object")()


def _has_partitions(rdd: JavaObject) -> bool:
    """Whether any RDD of one of Spark's own sources below this one has a partition.

    Spark puts an empty local relation in the place of a source without new data: no partition in Spark 4.3, one
    without rows (a ParallelCollectionRDD, which none of its own sources gives) before.
    """
    parents = rdd.dependencies()
    if parents.isEmpty():
        return bool(rdd.getNumPartitions() > 0) and rdd.getClass().getSimpleName() != "ParallelCollectionRDD"
    return any(_has_partitions(parents.apply(i).rdd()) for i in range(parents.size()))
