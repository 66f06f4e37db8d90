"""Which node of a program runs where.

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

from collections.abc import Collection
from dataclasses import dataclass, field

from dstreams._plan.graph import Graph, Node
from dstreams._plan.stages import BatchInput, Scan, UnionOf, has_state
from dstreams._plan.streaming_rdd import PlanContext, StreamingRDD
from dstreams.errors import StreamingSideError

__all__ = ["Placement", "place"]


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
