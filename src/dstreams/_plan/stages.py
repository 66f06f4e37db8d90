"""What an operation becomes on the streaming side: a tree of stages, and nothing about who builds or runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dstreams._plan.chunks import Decode, read_chunks

if TYPE_CHECKING:
    from dstreams._plan.graph import Node
    from dstreams._plan.steps.step import Step
    from dstreams._sources.source import Source

__all__ = [
    "KEEP",
    "BatchInput",
    "Narrow",
    "Scan",
    "Shuffle",
    "Stage",
    "Stateful",
    "UnionOf",
    "ancestors",
    "has_state",
    "parents_of",
]


def KEEP(key: Any) -> int:
    """Route of a shuffle that leaves records together that are in one partition; a mark, never called."""
    raise NotImplementedError


class BatchInput:
    """What an exchange reads in the place of a source: the RDDs that a node has on the batch side.

    Parameters
    ----------
    node : Node
        The node.
    """

    decode: Decode = staticmethod(read_chunks)

    def __init__(self, node: Node) -> None:
        self.node = node


@dataclass(frozen=True, eq=False)
class Scan:
    """The rows of a source, or for an exchange of what stands for one."""

    source: Source | BatchInput


@dataclass(frozen=True, eq=False)
class Narrow:
    """A function over each partition on its own; consecutive ones become one Python stage."""

    parent: Stage
    function: Callable[[Any], Iterable[Any]]


@dataclass(frozen=True, eq=False)
class Shuffle:
    """Records to `partitions` partitions, by key, or dealt out evenly where `route` is None."""

    parent: Stage
    partitions: int
    route: Callable[[Any], int] | None


@dataclass(frozen=True, eq=False)
class UnionOf:
    """All partitions of all parents."""

    parents: tuple[Stage, ...]


@dataclass(frozen=True, eq=False)
class Stateful:
    """A step with state over each partition; below it, up to the next shuffle, all is done to each partition alone.

    `initial` gives the records that the state starts from, partitioned as those of `parent`.
    """

    parent: Stage
    step: Step
    initial: Stage | None = None


Stage = Scan | Narrow | Shuffle | UnionOf | Stateful


def parents_of(stage: Stage) -> tuple[Stage, ...]:
    """Stages that a stage reads."""
    if isinstance(stage, Scan):
        return ()
    if isinstance(stage, UnionOf):
        return stage.parents
    if isinstance(stage, Stateful) and stage.initial is not None:
        return stage.parent, stage.initial
    return (stage.parent,)


def ancestors(stages: Iterable[Stage]) -> list[Stage]:
    """Stages and all that they are computed from, parents first."""
    found: dict[Stage, None] = {}

    def visit(stage: Stage) -> None:
        if stage not in found:
            for parent in parents_of(stage):
                visit(parent)
            found[stage] = None

    for stage in stages:
        visit(stage)
    return list(found)


def has_state(stage: Stage) -> bool:
    """Whether a step with state is on the way to a stage."""
    return any(isinstance(found, Stateful) for found in ancestors([stage]))
