"""Which nodes of a program run in the streaming plan, and the DataFrame that they become.

A node runs on the streaming side if it is a source, or if it is liftable, all its parents are on the streaming
side and none of them has to be materialised. A node is materialised, that is, becomes part of the *frontier*
where the streaming side hands over to the batch side, if an output or a batch-side operation reads it, if the
user asked for it to be kept (``cache``), or if several operations read it: then it is computed once per batch.
Sources are the exception: two operations may both read a source, since reading again is cheaper than a detour.

Operations with state run on the streaming side only, and so does what leads to one: in the *pipe*, a straight line
of stages in which a node with several readers is computed once, whether or not it is materialised as well. Where the
batch side comes before, an *exchange* has a plan of its own for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark import cloudpickle
from pyspark.sql import DataFrame

from dstreams._plan.chunks import Decode, read_chunks
from dstreams._plan.graph import Graph, Node, OnEmpty
from dstreams._plan.pipe import BucketIds, Pipe, Place
from dstreams._plan.stages import (
    BatchInput,
    Narrow,
    Scan,
    Shuffle,
    Stage,
    Stateful,
    UnionOf,
    ancestors,
    has_state,
    parents_of,
)
from dstreams._plan.streaming_rdd import PlanContext, StreamingRDD
from dstreams._plan.worker import ROUTED, ChunkWriter, Encode, Router, StageFunction
from dstreams._plan.worker_errors import one_line
from dstreams._spark.python_stage import map_in_arrow
from dstreams._spark.rdd import Partitioner
from dstreams.errors import DStreamError, DStreamTypeError, StreamingSideError

if TYPE_CHECKING:
    from dstreams._plan.functions import Functions
    from dstreams._plan.steps.step import Step
    from dstreams._sources.source import Source

__all__ = ["Branch", "Placement", "Plan", "compile_plan", "lower", "place", "unpicklable"]


# ---------------------------------------------------------------------- which nodes


@dataclass(frozen=True)
class Placement:
    """Which nodes are lifted into the streaming plan, and where the plan hands over to the batch side.

    Attributes
    ----------
    lifted : dict of Node to StreamingRDD
        Nodes of the streaming side with their stages.
    frontier : list of Node
        Nodes of the streaming side whose RDDs the batch side gets, in order of definition.
    shared : set of Node
        Nodes with several readers.
    batch_inputs : list of Node
        Nodes of the batch side whose RDDs this plan reads; only for an exchange.
    exchanges : list of Placement
        Plans for the operations with state that follow the batch side, each for those that can run in one, in the
        order in which they run.
    """

    lifted: dict[Node, StreamingRDD]
    frontier: list[Node]
    shared: set[Node]
    batch_inputs: list[Node] = field(default_factory=list)
    exchanges: list[Placement] = field(default_factory=list)

    def side(self, node: Node) -> str:
        """Where a node runs, in words."""
        if node in self.lifted:
            return "streaming plan"
        for number, exchange in enumerate(self.exchanges, 1):
            if node in exchange.lifted and node not in exchange.batch_inputs:
                return f"exchange {number}"
        return "batch side"


def place(graph: Graph, context: PlanContext) -> Placement:
    """Decide for every live node on which side it runs.

    Parameters
    ----------
    graph : Graph
        The program.
    context : PlanContext
        Stand-in for the SparkContext of the streaming side.
    """
    uses = graph.uses()
    shared = {node for node, n in uses.items() if n > 1}
    cut = {node for node in graph.nodes if node.storage_level or (node in shared and not node.source)}
    could: set[Node] = set()
    for node in graph.live():
        if node.source or (_liftable(node) and all(parent in could for parent in node.parents)):
            could.add(node)
    toward_state = _leading_to_state(could)
    lifted: dict[Node, StreamingRDD] = {}
    for node in graph.live():
        if node.source:
            lifted[node] = StreamingRDD(Scan(node.source), context)
        elif _liftable(node) and all(
            parent in lifted and (parent not in cut or node in toward_state) for parent in node.parents
        ):
            try:
                rdd = node.evaluate(None, *(lifted[parent] for parent in node.parents))
            except StreamingSideError:
                continue
            assert isinstance(rdd, StreamingRDD)
            if node in toward_state or not (isinstance(rdd.stage, UnionOf) and has_state(rdd.stage)):
                lifted[node] = rdd  # a union at the end is cheaper, and keeps its partitions, on the batch side
    handed_over = {output.node for output in graph.outputs} | {node for node in lifted if node.storage_level}
    # An input that nothing reads is opened all the same, as on the old engine: its sender is not held up.
    handed_over |= {node for node in lifted if node.source and node not in uses}
    for node in graph.live():
        if node not in lifted:
            handed_over.update(parent for parent in node.parents if parent in lifted)
    exchanges = _exchanges(graph, set(lifted), shared, context)
    frontier = [node for node in lifted if node in handed_over]
    return Placement(lifted, frontier, shared, exchanges=exchanges)


def _exchanges(graph: Graph, lifted: set[Node], shared: set[Node], context: PlanContext) -> list[Placement]:
    """Place the operations with state that the batch side comes before, as many as possible in each exchange."""
    found: list[Placement] = []
    placed, live = set(lifted), graph.live()
    while any(node.step is not None and node not in placed for node in live):
        later: set[Node] = set()  # what can only be computed when this exchange, or a later one, has run
        inside: dict[Node, None] = {}
        for node in live:
            if node in placed:
                continue
            fed = node.step is not None and not any(parent in later for parent in node.parents)
            within = _liftable(node) and node.parents and all(parent in inside for parent in node.parents)
            if fed or within:
                inside[node] = None
            elif any(parent in later or parent in inside for parent in node.parents):
                later.add(node)
        leading = _leading_to_state(inside.keys())
        inside = {node: None for node in inside if node in leading}
        inputs = [node for node in live if node not in inside and any(node in reader.parents for reader in inside)]
        rdds = {node: StreamingRDD(Scan(BatchInput(node)), context) for node in inputs}
        for node in inside:
            rdd = node.evaluate(None, *(rdds[parent] for parent in node.parents))
            assert isinstance(rdd, StreamingRDD)
            rdds[node] = rdd
        wanted = {output.node for output in graph.outputs} | {node for node in inside if node.storage_level}
        wanted |= {parent for node in live if node not in inside for parent in node.parents}
        found.append(Placement(rdds, [node for node in inside if node in wanted], shared, inputs))
        placed |= inside.keys()
    return found


def _liftable(node: Node) -> bool:
    # Where slides differ, one parent has no RDD at some times, which the plan does not know of.
    return node.liftable and len({parent.slide_ms for parent in node.parents}) <= 1


def _leading_to_state(could: Collection[Node]) -> set[Node]:
    """Of the nodes that can be lifted, those that lead to an operation with state, itself included."""
    found: set[Node] = set()
    stack = [node for node in could if node.step is not None]
    while stack:
        node = stack.pop()
        if node in could and node not in found:
            found.add(node)
            stack.extend(node.parents)
    return found


# ---------------------------------------------------------------------- the DataFrame

Frames = Callable[["Source | BatchInput"], DataFrame]
Function = Callable[[Any], Iterable[Any]]


@dataclass(frozen=True)
class Branch:
    """Where the batch side finds a frontier node: in a branch of the union that it has to itself, or in the pipe.

    Attributes
    ----------
    node : Node
        The frontier node.
    without_input : OnEmpty
        What the node has in a batch in which none of its sources has a record: no partition (``EMPTY``), its
        partitions without records (``SHUFFLE``), or possibly records (``PER_PARTITION``).
    rest : tuple of callables
        Narrow functions that follow the plan's last shuffle. They are applied to the RDD that is handed over, where
        PySpark runs them in one Python worker with what the batch side does next.
    tag : int, optional
        In the pipe: which rows are the node's.
    partitions : int, optional
        In the pipe: number of partitions that have rows of the node; None for all.
    partitioner : Partitioner, optional
        How keys are spread over them.
    sources : tuple of Source or BatchInput
        What it is computed from.
    """

    node: Node
    without_input: OnEmpty
    rest: tuple[Function, ...]
    tag: int | None = None
    partitions: int | None = None
    partitioner: Partitioner | None = None
    sources: tuple[Source | BatchInput, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What the query runs: one DataFrame of chunks, the branches one after the other, each followed by a tick.

    Attributes
    ----------
    frame : DataFrame
        Chunks; where there is a pipe, ``(tag, chunk)``, and the pipe comes first.
    branches : list of Branch
        Branches of the union, in their order.
    piped : list of Branch
        Nodes of the pipe.
    partitions : int
        Partitions of the stateful operators; Spark takes them from a setting.
    steps : dict of Step to Place
        Where the steps have their state.
    operators : list of list of int
        Exchanges of each stateful operator.
    """

    frame: DataFrame
    branches: list[Branch]
    piped: list[Branch]
    partitions: int
    steps: dict[Step, Place]
    operators: list[list[int]]


def compile_plan(
    placement: Placement, frames: Frames, tick: DataFrame, bucket_ids: BucketIds, functions: Functions
) -> Plan:
    """Build the streaming DataFrame of all frontier nodes.

    Parameters
    ----------
    placement : Placement
        Result of :func:`place`.
    frames : callable
        The streaming DataFrame of a source; called once per source.
    tick : DataFrame
        The frame that makes every batch happen.
    bucket_ids : callable
        ``(exchange, partitions) -> ids`` that Spark hashes, with the exchange, to partitions 0, 1, ...
    functions : Functions
        Takes the stages, whose functions each batch has as they are then.

    Notes
    -----
    Each branch is followed by the tick, coalesced, which always has one partition and whose RDD has a class that
    no other member has: a mark by which the branches are told apart, since Spark's union may leave out members
    that have no partitions. (By position alone, a batch without data for one output would give it another's.)
    """
    lowering = _Lowering(frames, functions)
    piped, delivered = _piped(placement)
    columns = ["0 as tag", "chunk"] if piped else ["chunk"]
    mark = tick.selectExpr(*columns).coalesce(1)
    members: list[DataFrame] = []
    pipe = Pipe(delivered)
    if piped:
        try:
            members += [pipe.frame(lowering.read, tick, bucket_ids, functions), mark]
        except Exception as error:
            if (named := unpicklable(placement, error)) is None:
                raise
            raise named from error
    branches: list[Branch] = []
    for node in placement.frontier:
        if any(branch.node is node for branch in piped):
            continue
        stage, rest = _split(placement.lifted[node].stage)
        _check_picklable(rest, node)
        members += [*(frame.selectExpr(*columns) for frame in lowering.members(stage, node)), mark]
        sources = tuple(found.source for found in ancestors([stage]) if isinstance(found, Scan))
        branches.append(Branch(node, _without_input(node, placement), rest, sources=sources))
    frame = reduce(DataFrame.union, members)
    return Plan(frame, branches, piped, pipe.partitions, pipe.places(bucket_ids), pipe.operators())


def unpicklable(placement: Placement, error: Exception) -> DStreamError | None:
    """Error that names the operation of a plan whose function cannot be pickled; None if there is none."""
    suspects = (node for node in placement.lifted if not node.source and node not in placement.batch_inputs)
    culprit = next((node for node in suspects if not _pickles(node.evaluate)), None)
    return None if culprit is None else _cannot_pickle(culprit, error)


def lower(stage: Stage, frames: Frames, encode: Encode, node: Node) -> DataFrame:
    """Build the streaming DataFrame of one stage without state.

    Parameters
    ----------
    stage : Stage
        The stage.
    frames : callable
        The streaming DataFrame of a source.
    encode : callable
        Records to Arrow batches; has their schema as an attribute.
    node : Node
        The node whose stage it is.
    """
    return _Lowering(frames, None).stage(stage, encode, node)


def _piped(placement: Placement) -> tuple[list[Branch], dict[Stage, int]]:
    """Frontier nodes that are in the pipe, and the stages it delivers, with their tags."""
    every = ancestors(rdd.stage for rdd in placement.lifted.values())
    core = ancestors(stage for stage in every if isinstance(stage, Stateful))
    inside = {parent for stage in core for parent in parents_of(stage)}
    tags: dict[Stage, int] = {}
    branches = []
    for node in placement.frontier:
        rdd = placement.lifted[node]
        if isinstance(rdd.stage, Scan) or not (rdd.stage in core or has_state(rdd.stage)):
            continue
        stage: Stage = rdd.stage
        rest: list[Function] = []
        # Narrow functions at the end run on the batch side, unless something in the pipe needs their result too.
        while isinstance(stage, Narrow) and stage not in inside:
            rest.append(stage.function)
            stage = stage.parent
        rest.reverse()
        _check_picklable(tuple(rest), node)
        tag = tags.setdefault(stage, len(tags))
        empty = _without_input(node, placement)
        branches.append(Branch(node, empty, tuple(rest), tag, rdd._partitions, rdd.partitioner))
    return branches, tags


def _check_picklable(functions: tuple[Function, ...], node: Node) -> None:
    try:
        cloudpickle.dumps(functions)
    except Exception as error:
        raise _unpicklable(node, error) from error


def _without_input(node: Node, placement: Placement) -> OnEmpty:
    """What comes out of a frontier node when no source has a record."""
    state: dict[Node, OnEmpty] = {}
    for lifted in placement.lifted:
        before = [state[parent] for parent in lifted.parents if parent in state]
        # Before the first shuffle there are no partitions without input; after it, empty ones.
        asks_partitions = lifted.on_empty in (OnEmpty.PER_PARTITION, OnEmpty.COUNT)
        if OnEmpty.PER_PARTITION in before or (asks_partitions and OnEmpty.SHUFFLE in before):
            state[lifted] = OnEmpty.PER_PARTITION
        elif OnEmpty.SHUFFLE in before or lifted.on_empty in (OnEmpty.SHUFFLE, OnEmpty.COUNT):
            state[lifted] = OnEmpty.SHUFFLE
        else:
            state[lifted] = OnEmpty.EMPTY
    return state[node]


def _split(stage: Stage) -> tuple[Stage, tuple[Function, ...]]:
    """Take the narrow functions that follow a last shuffle off a stage."""
    functions: list[Function] = []
    below = stage
    while isinstance(below, Narrow):
        functions.append(below.function)
        below = below.parent
    return (below, tuple(reversed(functions))) if isinstance(below, Shuffle) else (stage, ())


class _Lowering:
    """Stages to DataFrames; a stage that several others read is lowered once."""

    def __init__(self, frames: Frames, functions: Functions | None) -> None:
        self._frames = frames
        self._functions = functions
        self._reads: dict[Source | BatchInput, DataFrame] = {}

    def read(self, source: Source | BatchInput) -> DataFrame:
        """Frame of a source, which is opened once."""
        if source not in self._reads:
            self._reads[source] = self._frames(source)
        return self._reads[source]

    def members(self, stage: Stage, node: Node) -> list[DataFrame]:
        """Chunk frames of a frontier node: one, or several where a union is all that is left to do.

        A union is handed over in its parts because ``DataFrame.union`` would merge it with ours.
        """
        if isinstance(stage, UnionOf):
            return [frame for parent in stage.parents for frame in self.members(parent, node)]
        return [self.stage(stage, ChunkWriter(), node)]

    def stage(self, stage: Stage, encode: Encode, node: Node) -> DataFrame:
        """One Python stage: all narrow functions down to the next source, shuffle or union."""
        functions: list[Function] = []
        while isinstance(stage, Narrow):
            functions.append(stage.function)
            stage = stage.parent
        functions.reverse()
        if isinstance(stage, Scan):
            return self._map(self.read(stage.source), stage.source.decode, functions, encode, node)
        if isinstance(stage, UnionOf):
            frame = reduce(DataFrame.union, (self.stage(parent, ChunkWriter(), node) for parent in stage.parents))
        else:
            assert isinstance(stage, Shuffle)
            routed = self.stage(stage.parent, Router(stage.partitions, stage.route), node)
            frame = routed.repartitionById(stage.partitions, "part").select("chunk")
        return self._map(frame, read_chunks, functions, encode, node)

    def _map(
        self, frame: DataFrame, decode: Decode, functions: list[Function], encode: Encode, node: Node
    ) -> DataFrame:
        if decode is read_chunks and not functions and isinstance(encode, ChunkWriter):
            return frame
        schema = ROUTED if isinstance(encode, Router) else encode.schema  # type: ignore[attr-defined]
        stage = StageFunction(decode, tuple(functions), encode)
        try:
            return map_in_arrow(frame, stage, schema, node.op, self._functions)
        except Exception as error:
            raise _unpicklable(node, error) from error


def _unpicklable(node: Node, error: Exception) -> DStreamError:
    """Find the operation whose function cannot be pickled, for the message."""
    return _cannot_pickle(next((suspect for suspect in _lineage(node) if not _pickles(suspect.evaluate)), node), error)


def _cannot_pickle(culprit: Node, error: Exception) -> DStreamError:
    return DStreamTypeError(
        f"{culprit}: the function cannot be pickled and sent to the workers: {one_line(error)}. It (or something it "
        "closes over) holds a thing that lives in this process only, such as a SparkContext, an RDD, a "
        "DStream, a lock, a file or a connection. Make it inside the function, or use foreachRDD; an RDD can be joined "
        "in transform, or its records be sent with sc.broadcast(rdd.collectAsMap())."
    )


def _lineage(node: Node) -> list[Node]:
    """Return a node and what it is computed from, without sources, in order of definition."""
    found, stack = {node}, [node]
    while stack:
        new = [parent for parent in stack.pop().parents if parent not in found and not parent.source]
        found.update(new)
        stack.extend(new)
    return sorted(found, key=lambda found: found.number)


def _pickles(function: Any) -> bool:
    try:
        cloudpickle.dumps(function)
    except Exception:
        return False
    return True
