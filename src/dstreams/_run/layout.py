"""What a query keeps where in its checkpoint location: sources in the offset log, state in the state store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark.sql import DataFrame

    from dstreams._plan.compiler import Plan
    from dstreams._plan.graph import Node

__all__ = ["TICK", "Layout", "Place", "layout_of"]

TICK = "tick"
"""Stands for the tick among the sources."""


@dataclass(frozen=True)
class Place:
    """Where the state of an operation is.

    Attributes
    ----------
    step, exchange : int
        Its numbers in the state store.
    buckets : list of int
        Id of the bucket of each partition.
    route : str
        How records are spread over the partitions.
    """

    step: int
    exchange: int
    buckets: list[int]
    route: str


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
    """

    sources: list[str]
    partitions: int
    operators: list[list[int]]
    state: dict[str, Place]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Layout:
        """Make a layout of what ``dataclasses.asdict`` gave for one."""
        return cls(**{**data, "state": {id: Place(**place) for id, place in data["state"].items()}})

    def same_state(self, other: Layout) -> bool:
        """Whether the state of both is at the same places, so that it need not be moved."""
        return (self.partitions, self.operators, self.state) == (other.partitions, other.operators, other.state) or (
            not self.operators and not other.operators
        )

    def operator_of(self, exchange: int) -> int:
        """Spark's number of the operator behind an exchange."""
        level = next(level for level, exchanges in enumerate(self.operators) if exchange in exchanges)
        return len(self.operators) - 1 - level

    @property
    def unique(self) -> list[str]:
        """Ids of the sources in the order in which Spark numbers them."""
        return list(dict.fromkeys(self.sources))


def layout_of(plan: Plan, nodes: Iterable[Node], frames: dict[str, DataFrame] | None = None) -> Layout:
    """Describe what a plan keeps where.

    Parameters
    ----------
    plan : Plan
        The plan.
    nodes : iterable of Node
        Its nodes.
    frames : dict of str to DataFrame, optional
        Frames of the sources by id; None for an exchange, whose sources all have the batch time as their offset.
    """
    leaves = _streams(plan.frame)
    if frames is None:
        sources = [TICK] * len(leaves)
    else:
        known = [(id, leaf) for id, frame in frames.items() for leaf in _streams(frame)]
        sources = [next(id for id, leaf in known if leaf.equals(found)) for found in leaves]
    state = {}
    for node in nodes:
        if node.step is not None and node.step in plan.steps:
            place = plan.steps[node.step]
            state[node.id] = Place(place.number, place.exchange, place.buckets, place.route)
    return Layout(sources, plan.partitions, plan.operators, state)


def _streams(frame: DataFrame) -> list[JavaObject]:
    """What a frame reads, in the order in which Spark meets it."""
    leaves = frame._jdf.queryExecution().analyzed().collectLeaves()
    found = (leaves.apply(i) for i in range(leaves.size()))
    return [leaf for leaf in found if leaf.isStreaming()]
