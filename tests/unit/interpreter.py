"""Runs the stages of a plan in memory, with plain lists for partitions: what Spark should make of them."""

from __future__ import annotations

from typing import Any

from dstreams._plan.stages import Narrow, Scan, Shuffle, Stage, UnionOf
from dstreams._plan.streaming_rdd import PlanContext, StreamingRDD

__all__ = ["Given", "count_stages", "rdd_of", "run"]

Parts = list[list[Any]]


class Given:
    """A source that stands for partitions that are given."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts


def rdd_of(*parts: list[Any], parallelism: int = 2) -> StreamingRDD:
    """A StreamingRDD over partitions that are given."""
    return StreamingRDD(Scan(Given(list(parts))), PlanContext(parallelism, {"spark.python.worker.memory": "512m"}))  # type: ignore[arg-type]


def run(stage: Stage) -> Parts:
    """Partitions that a stage gives."""
    if isinstance(stage, Scan):
        return [list(part) for part in stage.source.parts]  # type: ignore[attr-defined]
    if isinstance(stage, UnionOf):
        return [part for parent in stage.parents for part in run(parent)]
    if isinstance(stage, Narrow):
        return [list(stage.function(iter(part))) for part in run(stage.parent)]
    assert isinstance(stage, Shuffle)
    targets: Parts = [[] for _ in range(stage.partitions)]
    for part in run(stage.parent):
        for n, record in enumerate(part):
            number = n if stage.route is None else stage.route(record[0])
            targets[number % stage.partitions].append(record)
    return targets


def count_stages(stage: Stage, kind: type) -> int:
    """How many stages of a kind there are on the way to a stage, itself included."""
    if isinstance(stage, Scan):
        parents: tuple[Stage, ...] = ()
    else:
        parents = stage.parents if isinstance(stage, UnionOf) else (stage.parent,)
    return isinstance(stage, kind) + sum(count_stages(parent, kind) for parent in parents)
