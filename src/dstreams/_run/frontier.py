"""The hand-over: from the DataFrame of a batch to one real RDD per frontier node."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dstreams._plan.graph import OnEmpty
from dstreams._plan.worker import apply
from dstreams._spark.broadcasts import Snapshot, snapshot_of
from dstreams._spark.plan import BatchRows, Member, Pipe, has_partitions, input_partitions
from dstreams._spark.rdd import EmptyRDD, rdd_of_chunks

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import RDD, SparkContext

    from dstreams._plan.graph import Node
    from dstreams._plan.plan import Branch, Plan
    from dstreams._spark.source import Reader

__all__ = ["Frontier"]


class _Chain:
    """Functions over a partition, one after the other, inside a generator (see :mod:`dstreams._spark.combine`).

    They are as they were when the batch began, also where an output changes something before another one is run.
    """

    def __init__(self, functions: Snapshot) -> None:
        self._functions = functions

    def __call__(self, records: Iterable[Any]) -> Iterator[Any]:
        yield from apply(pickle.loads(self._functions.data), records)


class Frontier:
    """The RDDs of one batch, lazily computed.

    But for the pipe, where there is one, which is the first member of the batch's union: it is computed as a whole when
    the frontier is made, and kept until the end of the batch.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    jdf : JavaObject
        The batch's DataFrame as ``foreachBatch`` gives it.
    plan : Plan
        What is where in the union.
    decoder : JavaObject
        What :func:`dstreams._spark.plan.row_decoder` gave for the plan.
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
        self._branches = {branch.node: branch for branch in (*plan.branches, *plan.piped)}
        self._rows = BatchRows(sc, jdf, decoder, bool(plan.piped))
        members = self._rows.members()
        self._pipe: Pipe | None = self._rows.pipe(next(members).partitions) if plan.piped else None
        self._members = dict(zip((branch.node for branch in plan.branches), members, strict=True))

    def rdd(self, node: Node) -> RDD[Any]:
        """RDD of a frontier node in this batch, lazily computed."""
        branch = self._branches[node]
        jrdd = self._piped(branch) if branch.tag is not None else self._branched(branch)
        if isinstance(jrdd, EmptyRDD):
            return jrdd
        rdd = rdd_of_chunks(jrdd, self._sc)
        rdd = rdd.mapPartitions(_Chain(snapshot_of(self._sc, branch.rest))) if branch.rest else rdd
        rdd.partitioner = branch.partitioner
        return rdd

    def inputs(self, node: Node) -> list[JavaObject]:
        """What each partition of a frontier node that is a source reads, as its data source has planned it."""
        member = self._members.get(node)
        return input_partitions(member.rdds[0]) if member is not None and len(member.rdds) == 1 else []

    def forget(self) -> None:
        """Give back the memory of the pipe; what has been made of it can not be computed again."""
        if self._pipe is not None:
            self._pipe.forget()

    def _branched(self, branch: Branch) -> JavaObject | EmptyRDD:
        member = self._members[branch.node]
        if branch.without_input is not OnEmpty.PER_PARTITION and not self._has_input(branch, member):
            return EmptyRDD(self._sc, len(member.partitions) if branch.without_input is OnEmpty.SHUFFLE else 0)
        return self._rows.chunks(member.partitions)

    def _has_input(self, branch: Branch, member: Member) -> bool:
        """Whether any source of a branch has a partition in this batch: our own say so, Spark's are looked for."""
        own = [self._given[source] for source in branch.sources if source in self._given]
        if any(own):
            return True
        return len(own) < len(branch.sources) and any(map(has_partitions, member.rdds))

    def _piped(self, branch: Branch) -> JavaObject | EmptyRDD:
        assert branch.tag is not None and self._pipe is not None
        if not self._pipe.tags[branch.tag] and branch.without_input is not OnEmpty.PER_PARTITION:
            known = self._pipe.tags[-1 - branch.tag] > 0 or branch.without_input is not OnEmpty.EMPTY
            return EmptyRDD(self._sc, (branch.partitions or self._pipe.partitions) if known else 0)
        return self._pipe.chunks(branch.tag, branch.partitions)
