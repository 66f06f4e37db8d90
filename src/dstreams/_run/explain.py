"""``ssc.explain()``: where each operation of a program runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dstreams._spark.plan import plan_text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from dstreams._plan.graph import Graph
    from dstreams._plan.plan import Placement

__all__ = ["explain"]


def explain(graph: Graph, placement: Placement, frames: Sequence[DataFrame]) -> str:
    """Describe a program.

    Parameters
    ----------
    graph : Graph
        The program.
    placement : Placement
        Where its nodes run.
    frames : sequence of DataFrame
        The streaming DataFrames, whose plans are shown too: the program's, then those of its exchanges. None before
        the start.

    Returns
    -------
    str
        One line per operation and output, then Spark's plan.
    """
    live = set(graph.live())
    lines = ["== DStream program =="]
    for node in graph.nodes:
        name = node.source.describe() if node.source else node.op
        reads = f" of {', '.join(f'[{parent.number}]' for parent in node.parents)}" if node.parents else ""
        where = placement.side(node) if node in live else "not used by any output"
        notes = [where]
        if any(node in plan.frontier for plan in (placement, *placement.exchanges)):
            notes.append("handed over to the batch side")
        if node in placement.shared and not node.source:
            notes.append("computed once for several readers")
        if node.storage_level is not None:
            notes.append("cached")
        if node.name:
            notes.append(f"named {node.name!r}")
        lines.append(f"[{node.number}] {name}{reads}  ({node.site}): {', '.join(notes)}")
    for output in graph.outputs:
        lines.append(f"output {output.number}: {output.op} of [{output.node.number}]  ({output.site}): batch side")
    for number, frame in enumerate(frames):
        title = (
            f"Exchange {number}, an inner query"
            if number
            else "Streaming plan (dstreams-tick makes every batch happen)"
        )
        lines += ["", f"== {title} ==", plan_text(frame)]
    return "\n".join(lines)
