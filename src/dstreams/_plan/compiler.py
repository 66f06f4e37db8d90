"""From the graph to one streaming DataFrame: which node runs where, and the plan of those that are lifted.

A node runs on the streaming side if it is a source, or if it is liftable, all its parents are on the streaming
side and none of them has to be materialised. A node is materialised, that is, becomes part of the *frontier*
where the streaming side hands over to the batch side, if an output or a batch-side operation reads it, if the
user asked for it to be kept (``cache``), or if several operations read it: then it is computed once per batch.
Sources are the exception: two operations may both read a source, since reading again is cheaper than a detour.

Operations with state run on the streaming side only, and so does what leads to one: in the *pipe*, a straight line
of stages in which a node with several readers is computed once, whether or not it is materialised as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark import cloudpickle
from pyspark.core.rdd import Partitioner
from pyspark.sql import DataFrame

from dstreams._plan.chunks import ROUTED, ChunkWriter, Decode, Encode, Router, StageFunction, read_chunks
from dstreams._plan.graph import Graph, Node, OnEmpty
from dstreams._plan.pipe import Pipe, ancestors, has_state
from dstreams._plan.python_stage import map_in_arrow
from dstreams._plan.streaming_rdd import (
    Narrow,
    PlanContext,
    Read,
    Shuffle,
    Stage,
    Stateful,
    StreamingRDD,
    UnionOf,
    parents_of,
)
from dstreams.errors import DStreamError, DStreamTypeError, StreamingSideError

if TYPE_CHECKING:
    from dstreams._plan.steps.step import Step
    from dstreams._sources.source import Source

__all__ = ["Branch", "Placement", "Plan", "compile_plan", "place"]

Frames = Callable[["Source | Handed"], DataFrame]
BucketIds = Callable[[int, int], Sequence[int]]
Function = Callable[[Any], Iterable[Any]]


class Handed:
    """What an exchange reads in the place of a source: the RDDs that a node has on the batch side.

    Parameters
    ----------
    node : Node
        The node.
    """

    decode: Decode = staticmethod(read_chunks)

    def __init__(self, node: Node) -> None:
        self.node = node


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
    handed : list of Node
        Nodes of the batch side whose RDDs this plan reads; only for an exchange.
    exchanges : list of Placement
        Plans for the operations with state that follow the batch side, each for those that can run in one, in the
        order in which they run.
    """

    lifted: dict[Node, StreamingRDD]
    frontier: list[Node]
    shared: set[Node]
    handed: list[Node] = field(default_factory=list)
    exchanges: list[Placement] = field(default_factory=list)

    def side(self, node: Node) -> str:
        """Where a node runs, in words."""
        if node in self.lifted:
            return "streaming plan"
        for number, exchange in enumerate(self.exchanges, 1):
            if node in exchange.lifted and node not in exchange.handed:
                return f"exchange {number}"
        return "batch side"


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
    """

    node: Node
    without_input: OnEmpty
    rest: tuple[Function, ...]
    tag: int | None = None
    partitions: int | None = None
    partitioner: Partitioner | None = None


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
    steps : dict of Step to int
        Numbers of the steps with state.
    """

    frame: DataFrame
    branches: list[Branch]
    piped: list[Branch]
    partitions: int
    steps: dict[Step, int]


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
            lifted[node] = StreamingRDD(Read(node.source), context)
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
        handed = [node for node in live if node not in inside and any(node in reader.parents for reader in inside)]
        rdds = {node: StreamingRDD(Read(Handed(node)), context) for node in handed}
        for node in inside:
            rdd = node.evaluate(None, *(rdds[parent] for parent in node.parents))
            assert isinstance(rdd, StreamingRDD)
            rdds[node] = rdd
        wanted = {output.node for output in graph.outputs} | {node for node in inside if node.storage_level}
        wanted |= {parent for node in live if node not in inside for parent in node.parents}
        found.append(Placement(rdds, [node for node in inside if node in wanted], shared, handed))
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


def compile_plan(placement: Placement, frames: Frames, tick: DataFrame, bucket_ids: BucketIds) -> Plan:
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

    Notes
    -----
    Each branch is followed by the tick, coalesced, which always has one partition and whose RDD has a class that
    no other member has: a mark by which the branches are told apart, since Spark's union may leave out members
    that have no partitions. (By position alone, a batch without data for one output would give it another's.)
    """
    lowering = _Lowering(frames)
    piped, delivered = _piped(placement)
    columns = ["0 as tag", "chunk"] if piped else ["chunk"]
    mark = tick.selectExpr(*columns).coalesce(1)
    members: list[DataFrame] = []
    pipe = Pipe(delivered)
    if piped:
        members += [pipe.frame(lowering.read, tick, bucket_ids), mark]
    branches: list[Branch] = []
    for node in placement.frontier:
        if any(branch.node is node for branch in piped):
            continue
        stage, rest = _split(placement.lifted[node].stage)
        _check_picklable(rest, node)
        members += [*(frame.selectExpr(*columns) for frame in lowering.members(stage, node)), mark]
        branches.append(Branch(node, _without_input(node, placement), rest))
    return Plan(reduce(DataFrame.union, members), branches, piped, pipe.partitions, pipe.steps)


def _piped(placement: Placement) -> tuple[list[Branch], dict[Stage, int]]:
    """Frontier nodes that are in the pipe, and the stages it delivers, with their tags."""
    every = ancestors(rdd.stage for rdd in placement.lifted.values())
    core = ancestors(stage for stage in every if isinstance(stage, Stateful))
    inside = {parent for stage in core for parent in parents_of(stage)}
    tags: dict[Stage, int] = {}
    branches = []
    for node in placement.frontier:
        rdd = placement.lifted[node]
        if isinstance(rdd.stage, Read) or not (rdd.stage in core or has_state(rdd.stage)):
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

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._reads: dict[Source | Handed, DataFrame] = {}

    def read(self, source: Source | Handed) -> DataFrame:
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
        return [self._stage(stage, ChunkWriter(), node)]

    def _stage(self, stage: Stage, encode: ChunkWriter | Router, node: Node) -> DataFrame:
        """One Python stage: all narrow functions down to the next source, shuffle or union."""
        functions: list[Function] = []
        while isinstance(stage, Narrow):
            functions.append(stage.function)
            stage = stage.parent
        functions.reverse()
        if isinstance(stage, Read):
            return _map(self.read(stage.source), stage.source.decode, functions, encode, node)
        if isinstance(stage, UnionOf):
            frame = reduce(DataFrame.union, (self._stage(parent, ChunkWriter(), node) for parent in stage.parents))
        else:
            assert isinstance(stage, Shuffle)
            routed = self._stage(stage.parent, Router(stage.partitions, stage.route), node)
            frame = routed.repartitionById(stage.partitions, "part").select("chunk")
        return _map(frame, read_chunks, functions, encode, node)


def _map(frame: DataFrame, decode: Decode, functions: list[Function], encode: Encode, node: Node) -> DataFrame:
    """One Python stage."""
    if decode is read_chunks and not functions and isinstance(encode, ChunkWriter):
        return frame
    schema = ROUTED if isinstance(encode, Router) else encode.schema  # type: ignore[attr-defined]
    try:
        return map_in_arrow(frame, StageFunction(decode, tuple(functions), encode), schema, node.op)
    except Exception as error:
        raise _unpicklable(node, error) from error


def _unpicklable(node: Node, error: Exception) -> DStreamError:
    """Find the operation whose function cannot be pickled, for the message."""
    culprit = next((suspect for suspect in _lineage(node) if not _pickles(suspect.evaluate)), node)
    reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    return DStreamTypeError(
        f"{culprit}: the function cannot be pickled and sent to the workers: {reason}. It (or something it "
        "closes over) holds a thing that lives in this process only, such as a SparkContext, a DStream, a lock, "
        "a file or a connection. Make it inside the function, or use foreachRDD."
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
