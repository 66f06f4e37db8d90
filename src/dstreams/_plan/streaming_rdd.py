"""The streaming side of an RDD: PySpark's own RDD algorithms, recorded as stages instead of run.

PySpark writes ``join``, ``cogroup``, ``groupByKey``, ``combineByKey`` and the rest as plain Python over a few
primitives. :class:`StreamingRDD` overrides just those primitives, so that all the others build a tree of
stages for us. Nothing here needs a SparkContext or a JVM; the compiler turns the stages into DataFrames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from pyspark import RDD

from dstreams._plan.stages import KEEP, Narrow, Shuffle, Stage, Stateful, UnionOf
from dstreams._spark.combine import Combiner
from dstreams._spark.rdd import Partitioner, portable_hash, record_serializer
from dstreams.errors import DStreamValueError, StreamingSideError

if TYPE_CHECKING:
    from dstreams._plan.steps.step import Step

__all__ = ["PlanContext", "StreamingRDD"]


class _Conf:
    """The two settings that PySpark's RDD algorithms ask their context for."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._settings = settings

    def get(self, key: str, default: str | None = None) -> str | None:
        return self._settings.get(key, default)

    def contains(self, key: str) -> bool:
        return key in self._settings


class PlanContext:
    """What stands in for the SparkContext while RDD algorithms build a plan.

    Parameters
    ----------
    parallelism : int
        ``sc.defaultParallelism``.
    settings : dict of str to str
        Spark settings (``spark.python.worker.memory`` is the one that is asked for).
    """

    def __init__(self, parallelism: int, settings: dict[str, str]) -> None:
        self.defaultParallelism = parallelism
        self.serializer = record_serializer()
        self._conf = _Conf(settings)

    def __getattr__(self, name: str) -> Any:
        """Say what to do where an algorithm wants more of a SparkContext than the plan needs."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise StreamingSideError.needs_batch(f"context.{name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return PlanContext, (self.defaultParallelism, dict(self._conf._settings))


class StreamingRDD(RDD[Any]):
    """An RDD on the streaming side.

    Parameters
    ----------
    stage : Stage
        How its data come about.
    context : PlanContext
        Stand-in for the SparkContext.
    partitions : int, optional
        Number of partitions where the plan fixes it (after a shuffle); None behind a source.
    partitioner : Partitioner, optional
        Set where the data are partitioned by key, so that a second shuffle of the same kind is saved.
    """

    def __init__(
        self,
        stage: Stage,
        context: PlanContext,
        partitions: int | None = None,
        partitioner: Partitioner | None = None,
    ) -> None:
        # RDD.__init__ is left out on purpose: it asks the JVM for an id.
        self.stage = stage
        self.ctx = context  # type: ignore[assignment]
        self.is_cached = False
        self.is_checkpointed = False
        self.has_resource_profile = False
        self._jrdd_deserializer = context.serializer
        self.partitioner = partitioner
        self._partitions = partitions

    def _next(self, stage: Stage, partitions: int | None, partitioner: Partitioner | None) -> StreamingRDD:
        return StreamingRDD(stage, self.ctx, partitions, partitioner)  # type: ignore[arg-type]

    def mapPartitionsWithIndex(
        self, f: Callable[[int, Iterable[Any]], Iterable[Any]], preservesPartitioning: bool = False
    ) -> StreamingRDD:
        """Add a narrow function. No lifted operation looks at the index, so a constant is passed."""
        stage = Narrow(self.stage, lambda records: f(0, records))
        return self._next(stage, self._partitions, self.partitioner if preservesPartitioning else None)

    def partitionBy(
        self, numPartitions: int | None, partitionFunc: Callable[[Any], int] = portable_hash
    ) -> StreamingRDD:
        """Add a shuffle by key."""
        n = self.ctx.defaultParallelism if numPartitions is None else numPartitions
        partitioner = Partitioner(n, partitionFunc)
        if self.partitioner == partitioner:
            return self
        return self._next(Shuffle(self.stage, _positive(n), partitionFunc), n, partitioner)

    def combineByKey(
        self,
        createCombiner: Callable[[Any], Any],
        mergeValue: Callable[[Any, Any], Any],
        mergeCombiners: Callable[[Any, Any], Any],
        numPartitions: int | None = None,
        partitionFunc: Callable[[Any], int] = portable_hash,
    ) -> StreamingRDD:
        """Combine before and after a shuffle (``reduceByKey`` and others call this); see :mod:`.combine`."""
        combiner = Combiner(createCombiner, mergeValue, mergeCombiners, self._memory_limit(), self.ctx.serializer)
        local = self.mapPartitionsWithIndex(lambda _, records: combiner.values(records), True)
        shuffled = local.partitionBy(numPartitions, partitionFunc)
        return shuffled.mapPartitionsWithIndex(lambda _, records: combiner.combiners(records), True)

    def by_key(self, step: Step, numPartitions: int, initial: StreamingRDD | None = None) -> StreamingRDD:
        """Add a step that has its state by key.

        Parameters
        ----------
        step : Step
            The step.
        numPartitions : int
            Number of buckets, which are the partitions of the result.
        initial : StreamingRDD, optional
            Pairs that the state starts from.
        """
        shuffled = self.partitionBy(numPartitions)
        first = None if initial is None else initial.partitionBy(numPartitions).stage
        return self._next(Stateful(shuffled.stage, step, first), numPartitions, shuffled.partitioner)

    def in_place(self, step: Step) -> StreamingRDD:
        """Add a step that has its state by partition; the partitions stay, or become the default number of them."""
        below = self.stage
        while isinstance(below, Narrow | Stateful):
            below = below.parent
        if isinstance(below, Shuffle):
            return self._next(Stateful(self.stage, step), self._partitions, self.partitioner)
        n = self.ctx.defaultParallelism
        return self._next(Stateful(Shuffle(self.stage, n, KEEP), step), n, None)

    def coalesce(self, numPartitions: int, shuffle: bool = False) -> StreamingRDD:
        """Add a shuffle that deals records out evenly (``repartition`` calls this)."""
        if not shuffle:
            raise StreamingSideError.needs_batch("coalesce")
        return self._next(Shuffle(self.stage, _positive(numPartitions), None), numPartitions, None)

    def union(self, other: RDD[Any]) -> StreamingRDD:
        """Put two streams side by side."""
        if not isinstance(other, StreamingRDD):
            raise StreamingSideError.needs_batch("union with an RDD of the batch side")
        return self._next(UnionOf((self.stage, other.stage)), None, None)

    def getNumPartitions(self) -> int:
        """Return the number of partitions where the plan fixes it."""
        if self._partitions is None:
            raise StreamingSideError.needs_batch("getNumPartitions")
        return self._partitions

    def __repr__(self) -> str:
        return f"StreamingRDD({type(self.stage).__name__})"

    def __reduce__(self) -> tuple[Any, ...]:
        # RDD forbids pickling; algorithms close over themselves (``self.ctx``), and we carry nothing of the driver.
        return StreamingRDD, (self.stage, self.ctx, self._partitions, self.partitioner)

    @property
    def _jrdd(self) -> NoReturn:
        raise StreamingSideError.needs_batch("<action>")


def _positive(partitions: int) -> int:
    if isinstance(partitions, bool) or not isinstance(partitions, int) or partitions < 1:
        raise DStreamValueError(f"Number of partitions must be positive. Got {partitions!r}.")
    return partitions
