"""What a query keeps where in its checkpoint location: sources in the offset log, state in the state store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dstreams._plan.pipe import Place
from dstreams._spark.plan import streaming_leaves
from dstreams._spark.source import reader_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from dstreams._plan.graph import Node
    from dstreams._plan.plan import Plan
    from dstreams._spark.source import Reader

__all__ = ["TICK", "Layout", "Place", "layout_of"]

TICK = "tick"
"""Stands for the tick among the sources."""


@dataclass(frozen=True)
class Layout:
    """What a query keeps where.

    Attributes
    ----------
    sources : list of str
        Ids of the sources, in the order of the lines of the offset log; a source that is read twice is there twice.
    partitions : int
        Partitions of the stateful operators.
    operators : list of list of int
        Exchanges of each stateful operator, in the order in which rows come through them; Spark numbers them from
        the last to the first.
    state : dict of str to Place
        Operations by id.
    numbered : list of str
        Ids of the sources that have a folder of their own, with the number of their place here.
    """

    sources: list[str]
    partitions: int
    operators: list[list[int]]
    state: dict[str, Place]
    numbered: list[str]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Layout:
        """Make a layout of what ``dataclasses.asdict`` gave for one."""
        every = list(dict.fromkeys(data["sources"]))  # in files of before, which do not say
        return cls(**{"numbered": every, **data, "state": {id: Place(**place) for id, place in data["state"].items()}})

    def same_state(self, other: Layout) -> bool:
        """Whether the state of both is at the same places, so that it need not be moved."""
        return (self.partitions, self.operators, self.state) == (other.partitions, other.operators, other.state) or (
            not self.operators and not other.operators
        )

    def operator_of(self, exchange: int) -> int:
        """Spark's number of the operator behind an exchange."""
        level = next(level for level, exchanges in enumerate(self.operators) if exchange in exchanges)
        return len(self.operators) - 1 - level


def layout_of(
    plan: Plan, nodes: Iterable[Node], readers: dict[Reader, str], frames: dict[str, DataFrame] | None = None
) -> Layout:
    """Describe what a plan keeps where.

    Parameters
    ----------
    plan : Plan
        The plan.
    nodes : iterable of Node
        Its nodes.
    readers : dict of Reader to str
        Ids of the sources that are this package's own.
    frames : dict of str to DataFrame, optional
        Frames of the others by id.
    """
    known = [(id, leaf) for id, frame in (frames or {}).items() for leaf in streaming_leaves(frame)]
    sources, numbered = [], []
    for leaf in streaming_leaves(plan.frame):
        if (reader := reader_of(leaf, readers)) is not None:
            sources.append(readers[reader])
        else:
            sources.append(next(id for id, other in known if other.equals(leaf)))
            numbered.append(sources[-1])
    state = {}
    for node in nodes:
        if node.step is not None and node.step in plan.steps:
            state[node.id] = plan.steps[node.step]
    return Layout(sources, plan.partitions, plan.operators, state, list(dict.fromkeys(numbered)))
