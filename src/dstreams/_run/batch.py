"""The batch side: what is done with the real RDDs of one micro-batch.

Two steps, as on the old engine: first the RDDs of all outputs are made, which calls the ``transform`` functions;
what fails there loses the batch. Then the outputs run one after the other; one that fails does not keep the
others from running.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from pyspark import RDD, StorageLevel

from dstreams._plan.graph import Graph, Missing, Node, Output
from dstreams._plan.plan import unpicklable
from dstreams._run.failures import as_user_error
from dstreams._run.frontier import Frontier
from dstreams._run.progress import BatchInfo, InputInfo, ListenerBus, OutputInfo, now_ms
from dstreams._sources.source import Read
from dstreams._spark.plan import row_decoder
from dstreams._spark.rdd import EmptyRDD, PipelinedRDD, parts_of

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

    from dstreams._plan.batch_time import BatchTime
    from dstreams._plan.functions import Functions
    from dstreams._plan.plan import Placement, Plan
    from dstreams._run.exchange import Exchange
    from dstreams._run.source_logs import SourceLogs
    from dstreams._spark.rdd import Partitioner
    from dstreams._spark.source import Reader

__all__ = ["Batch", "BatchSide"]

log = logging.getLogger("dstreams")

_PREVIEW_PARTITIONS = 32
"""An output that only looks asks at most so many partitions at once."""


class FixedRDD(RDD[Any]):
    """An RDD whose functions are pickled, so that nothing that the program changes from now on changes it."""


class Batch:
    """The RDDs of all nodes at one batch time, made when first asked for and then kept.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    when : BatchTime
        Batch time.
    frontier : Frontier
        RDDs of the streaming side.
    placement : Placement
        Which nodes those are.
    number : int
        Spark's number of the batch.
    reads : SourceLogs, optional
        What the batches of the query have read.
    """

    def __init__(
        self,
        sc: SparkContext,
        when: BatchTime,
        frontier: Frontier,
        placement: Placement,
        number: int,
        reads: SourceLogs | None,
    ) -> None:
        self.when = when
        self.time = datetime.fromtimestamp(when.now_ms / 1000)
        self._sc = sc
        self._placement = placement
        self._number = number
        self._reads = reads
        self._main = frontier
        self._frontiers = dict.fromkeys(placement.frontier, frontier)
        self._rdds: dict[Node, RDD[Any] | None] = {}
        self._partitioners: dict[Node, Partitioner | None] = {}
        self._persisted: list[RDD[Any]] = []

    def rdd(self, node: Node) -> RDD[Any] | None:
        """RDD of a node at this time, or None where it has none."""
        if node not in self._rdds:
            rdd = self._keep(node, self._make(node))
            if rdd is not None and (node.liftable or node.source is not None):
                # The program's functions get RDDs without one, as on the old engine: `lookup` looks at all partitions.
                self._partitioners[node], rdd.partitioner = rdd.partitioner, None
            self._rdds[node] = rdd
        return self._rdds[node]

    def fixed(self, node: Node) -> RDD[Any] | None:
        """The same for an output: all RDDs of a batch are as they are before its first output runs."""
        rdd = self.rdd(node)
        if isinstance(rdd, PipelinedRDD) and node not in self._frontiers:
            fixed = FixedRDD(*parts_of(rdd))
            fixed.is_cached = rdd.is_cached
            self._rdds[node] = rdd = fixed
        return rdd

    def exchange(self, exchange: Exchange) -> None:
        """Run operations with state whose input is on the batch side; from now on their nodes have RDDs."""
        frontier = exchange.run(self.when, {node: self.rdd(node) for node in exchange.placement.batch_inputs})
        self._frontiers.update(dict.fromkeys(exchange.placement.frontier, frontier))

    def forget(self) -> None:
        """Give back the memory of the RDDs that we persisted; they can still be computed again."""
        for rdd in self._persisted:
            rdd.unpersist()
        self._persisted.clear()
        for frontier in {id(frontier): frontier for frontier in self._frontiers.values()}.values():
            frontier.forget()

    def read(self, node: Node) -> Read:
        """What the batch reads of a source."""
        assert self._reads is not None
        span, entries = partial(self._reads.span, self._number, node), partial(self._reads.entries, node)
        return Read(span, partial(self._main.inputs, node), entries)

    def _make(self, node: Node) -> RDD[Any] | None:
        if not self.when.due(node.slide_ms):
            return None
        if node in self._frontiers:
            rdd = self._frontiers[node].rdd(node)
            return rdd if node.source is None else node.source.hand_over(rdd, self.read(node))
        parents = [self.rdd(parent) for parent in node.parents]
        if node.missing is Missing.SKIP and any(parent is None for parent in parents):
            return None
        if node.missing is Missing.EMPTY:
            parents = [EmptyRDD(self._sc, 0) if parent is None else parent for parent in parents]
        if not node.liftable:
            return node.evaluate(self.time, *parents)
        known = list(zip(node.parents, parents, strict=True))
        for parent, given in known:  # our own operations need no second shuffle where keys are together already
            if given is not None:
                given.partitioner = self._partitioners.get(parent)
        try:
            return node.evaluate(self.time, *parents)
        finally:
            for _, given in known:
                if given is not None:
                    given.partitioner = None

    def _keep(self, node: Node, rdd: RDD[Any] | None) -> RDD[Any] | None:
        """Persist what the user wants kept, and what several operations read and is ours to persist."""
        level = node.storage_level
        if level is None and node in self._placement.shared and node.liftable:
            level = StorageLevel.MEMORY_AND_DISK
        if rdd is not None and level is not None and not rdd.is_cached and not isinstance(rdd, EmptyRDD):
            rdd.persist(level)
            self._persisted.append(rdd)
        return rdd


class BatchSide:
    """Runs the batches of one query.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    graph : Graph
        The program.
    placement, plan : Placement, Plan
        What was planned, and where the batch finds it.
    readers : mapping
        Readers of the sources that are this package's own.
    functions : Functions
        The plan's functions.
    bus : ListenerBus
        Where events go.
    remember_ms : int
        How long the RDDs of a batch are kept for ``slice``, in ms.
    failed : callable
        Takes the exception of a batch or output that failed, and whether the program ends with it; None where it does
        whatever the settings say.
    watch : callable
        Gets each output with its RDD before the output runs.

    Attributes
    ----------
    reads : SourceLogs or None
        What the batches have read; set when the query starts.
    reports_inputs : bool
        Whether batches look up what Spark's own sources have read, also where no listener of the program's asks for it.
    label_jobs : callable
        ``(batch time in ms, number of an output)``: called before jobs of them start.
    """

    def __init__(
        self,
        sc: SparkContext,
        graph: Graph,
        placement: Placement,
        plan: Plan,
        readers: Mapping[Any, Reader],
        functions: Functions,
        bus: ListenerBus,
        remember_ms: int,
        failed: Callable[[BaseException, bool | None], None],
        watch: Callable[[Output, RDD[Any]], None],
    ) -> None:
        self._sc = sc
        self._graph = graph
        self._placement = placement
        self._plan = plan
        self._readers = readers
        self._functions = functions
        self._bus = bus
        self._remember_ms = remember_ms
        self._failed = failed
        self._watch = watch
        self._decoder = row_decoder(plan.frame, bool(plan.piped))
        self.exchanges: list[Exchange] = []
        self.reads: SourceLogs | None = None
        self.remembered: dict[int, Batch] = {}
        self.reports_inputs = False
        self.label_jobs: Callable[[int, int], None] = lambda time_ms, output: None

    def run(self, jdf: JavaObject, number: int, when: BatchTime, info: BatchInfo, strict: Callable[[], bool]) -> bool:
        """Run all outputs of one batch.

        Parameters
        ----------
        jdf : JavaObject
            The batch's DataFrame.
        number : int
            Spark's number of the batch.
        when : BatchTime
            Batch time.
        info : BatchInfo
            What listeners are told: when the batch came up and when work on it began (state is brought up to date and
            sources are planned before this call, and that is processing too), and what the receivers gave.
        strict : callable
            Asked when something of the program fails: true if the batch must not be committed then.

        Returns
        -------
        bool
            Whether the batch may be committed.
        """
        time_ms = when.now_ms
        self.label_jobs(time_ms, 0)  # jobs of state go with the batch
        computed = False  # the state of the batch, without which Spark refuses to commit it
        try:
            if (unpickled := self._functions.failure) is not None:
                raise unpicklable(self._placement, unpickled) or unpickled
            frontier = Frontier(self._sc, jdf, self._plan, self._decoder, self._readers)
            batch = Batch(self._sc, when, frontier, self._placement, number, self.reads)
            self.remembered[time_ms] = batch
            for exchange in self.exchanges:
                batch.exchange(exchange)
            computed = True
            jobs = [(output, rdd) for output in self._graph.outputs if (rdd := batch.fixed(output.node)) is not None]
        except BaseException as error:  # SystemExit too: a callback does not end the program, as on the old engine
            lost = not computed and bool(self._plan.piped or self.exchanges)
            may_commit = not lost and not strict()
            self._failed(as_user_error(error, f"batch {batch_name(time_ms)}"), None if lost else not may_commit)
            self._forget(time_ms)
            return may_commit and (not computed or self._complete(batch))
        if self._bus.listens or self.reports_inputs:
            info._streamIdToInputInfo.update(self._input_infos(batch))
        if not jobs:  # no stream that an output looks at is due
            return self._complete(batch)
        self._bus.post("onBatchSubmitted", "batchInfo", replace(info.copy(), _processingStartTime=-1))
        self._bus.post("onBatchStarted", "batchInfo", info.copy())
        outcomes = [self._run_output(output, rdd, batch, info) for output, rdd in jobs]
        info._processingEndTime = now_ms()
        self._bus.post("onBatchCompleted", "batchInfo", info)
        failures = [failure for failure in outcomes if failure is not None]
        ends = bool(failures) and strict()  # asked once, since the answer changes when somebody begins to wait
        for failure in failures:
            self._failed(failure, ends)
        if ends:
            self._forget(time_ms)
            return False
        return self._complete(batch)

    def forget_all(self) -> None:
        """Give back the memory of all remembered batches, at the end of the query; ``slice`` still finds them."""
        for batch in self.remembered.values():
            batch.forget()

    def _input_infos(self, batch: Batch) -> dict[int, InputInfo]:
        """What Spark's own sources have to tell listeners of a batch."""
        found = {}
        for number, node in enumerate(node for node in self._graph.nodes if node.source is not None):
            assert node.source is not None
            try:
                reported = node.source.input_info(batch.read(node))
            except Exception as error:  # which is no reason to fail the batch
                log.warning("%s: listeners do not get what the batch reads: %s", node.source.describe(), error)
                continue
            if reported is not None:
                found[number] = InputInfo(number, *reported)
        return found

    def _complete(self, batch: Batch) -> bool:
        """Let the exchanges commit; False if one cannot, so that the batch may not be committed either."""
        for exchange in self.exchanges:
            try:
                exchange.complete()
            except Exception as error:
                self._failed(as_user_error(error, f"batch {batch_name(batch.when.now_ms)}"), None)
                self._forget(batch.when.now_ms)
                return False
        for node in self._graph.nodes:
            if node.source is not None:
                try:
                    node.source.completed(self._sc, batch.read(node))
                except Exception as error:  # the batch has run, and its outputs have written
                    log.warning("%s: after the batch: %s", node.source.describe(), error)
        self._forget(batch.when.now_ms)
        return True

    def _run_output(self, output: Output, rdd: RDD[Any], batch: Batch, info: BatchInfo) -> BaseException | None:
        """Run an output, and return what it failed with."""
        failure: BaseException | None = None
        report = OutputInfo(info.batchTime(), output.number, output.op, str(output), now_ms())
        info._outputOperationInfos[output.number] = report
        self._bus.post("onOutputOperationStarted", "outputOperationInfo", replace(report))
        try:
            self.label_jobs(batch.when.now_ms, output.number)
            self._watch(output, rdd)
            if output.preview is None:
                output.run(batch.time, rdd)
            else:
                output.run(batch.time, _first(rdd, output.preview))
        except BaseException as error:  # see run()
            failure = as_user_error(error, f"{output} of batch {batch_name(batch.when.now_ms)}")
            report._failureReason = f"{type(failure).__name__}: {failure}"
        report._endTime = now_ms()
        self._bus.post("onOutputOperationCompleted", "outputOperationInfo", report)
        return failure

    def _forget(self, time_ms: int) -> None:
        for old in [old for old in self.remembered if old <= time_ms - self._remember_ms]:
            self.remembered.pop(old).forget()


def _first(rdd: RDD[Any], number: int) -> list[Any]:
    """First records of an RDD, in one job; ``take`` starts several, for few partitions at a time."""
    if isinstance(rdd, EmptyRDD) or rdd.getNumPartitions() > _PREVIEW_PARTITIONS:
        return rdd.take(number)
    # A worker whose input is not read to its end is thrown away, and starting one costs more than unpickling what is
    # left. Where functions of the program come in between, they are not called for records that nobody looks at.
    plain = not isinstance(rdd, PipelinedRDD | FixedRDD)

    def first(records: Iterable[Any]) -> list[Any]:
        records = iter(records)
        found = list(islice(records, number))
        if plain:
            deque(records, maxlen=0)
        return found

    return rdd.mapPartitions(first, True).collect()[:number]


def batch_name(time_ms: int) -> str:
    """Batch time as programs see it."""
    return str(datetime.fromtimestamp(time_ms / 1000))
