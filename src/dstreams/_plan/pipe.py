"""The pipe, as the driver builds it: from the stages of a program with state to one straight line of DataFrames.

Exchanges get a level each: one more than the highest level of an exchange whose records they get. All exchanges of
a level are one shuffle, and one stateful operator if any of them has a step with state behind it.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from dstreams._plan.graph import function_name
from dstreams._plan.stages import BatchInput, Narrow, Scan, Shuffle, Stage, Stateful, UnionOf, ancestors, parents_of
from dstreams._plan.worker import (
    DATA,
    INITIAL,
    PASS,
    PIPE,
    TICK,
    Addresses,
    Deliver,
    Flow,
    Operator,
    Send,
    ShuffledFlows,
    SourceFlow,
    StepCall,
)
from dstreams._spark.python_stage import map_in_arrow, transform_with_state

if TYPE_CHECKING:
    from dstreams._plan.functions import Functions
    from dstreams._plan.steps.step import Step
    from dstreams._sources.source import Source

__all__ = ["Pipe", "Place"]

BucketIds = Callable[[int, int], Sequence[int]]
"""``(exchange, partitions) -> ids`` that Spark hashes, with the exchange, to partitions 0, 1, ..."""


@dataclass(frozen=True)
class Place:
    """Where the state of an operation is.

    Attributes
    ----------
    step : int
        Number of its step.
    exchange : int
        Number of the exchange behind which it runs; with a bucket's id, the key of a group of the state store.
    buckets : list of int
        Id of the bucket of each partition.
    route : str
        What spreads the records over the partitions.
    """

    step: int
    exchange: int
    buckets: list[int]
    route: str


class Pipe:
    """The straight line of stages of a program with state.

    Parameters
    ----------
    delivered : dict of Stage to int
        Stages whose records the batch side gets, with their tags.

    Attributes
    ----------
    partitions : int
        Partitions of every shuffle, and of what the batch side gets.
    """

    def __init__(self, delivered: dict[Stage, int]) -> None:
        self._tags = delivered
        self._stages = ancestors(delivered)
        self._consumers: dict[Stage, list[Stage]] = defaultdict(list)
        for stage in self._stages:
            for parent in parents_of(stage):
                self._consumers[parent].append(stage)
        exchanges = [stage for stage in self._stages if isinstance(stage, Shuffle)]
        self._exchanges: dict[Shuffle, int] = {stage: number for number, stage in enumerate(exchanges)}
        states = [stage for stage in self._stages if isinstance(stage, Stateful)]
        self._steps: dict[Stateful, int] = {stage: number for number, stage in enumerate(states)}
        self.partitions = max((stage.partitions for stage in exchanges), default=1)

    def places(self, bucket_ids: BucketIds) -> dict[Step, Place]:
        """Where the steps have their state."""
        found = {}
        for stage, number in self._steps.items():
            below = _exchange_below(stage)
            exchange = self._exchanges[below]
            buckets = list(bucket_ids(exchange, self.partitions))[: below.partitions]
            found[stage.step] = Place(number, exchange, buckets, function_name(below.route))
        return found

    def operators(self) -> list[list[int]]:
        """Exchanges of each stateful operator, in the order in which rows come through them."""
        return [
            [self._exchanges[stage] for stage in level]
            for level in self._levels() if any(self._steps_behind(stage) for stage in level)
        ]  # fmt: skip

    def frame(
        self,
        source_frame: Callable[[Source | BatchInput], DataFrame],
        tick: DataFrame,
        bucket_ids: BucketIds,
        functions: Functions,
    ) -> DataFrame:
        """Build the DataFrame ``(tag, chunk)``.

        Parameters
        ----------
        source_frame : callable
            The streaming DataFrame of a source.
        tick : DataFrame
            Frame of one chunk per batch, with the batch time.
        bucket_ids : callable
            ``(exchange, partitions) -> ids`` that Spark hashes, with the exchange, to partitions 0, 1, ...
        functions : Functions
            Takes the stages.
        """
        addresses: Addresses = {
            op: bucket_ids(op, self.partitions) for op in (PASS, *self._exchanges.values())
        }  # fmt: skip
        scans = [stage for stage in self._stages if isinstance(stage, Scan)]
        starts = []
        for scan in scans:
            rows = source_frame(scan.source)  # first: a source may know only then how its rows are decoded
            work = SourceFlow(scan.source.decode, Flow(None, self._readers(scan)), self.partitions, addresses)
            starts.append(map_in_arrow(rows, work, PIPE, "source", functions))
        frame = reduce(DataFrame.union, starts)
        plan = uuid.uuid4().hex
        for level in self._levels():
            flows = {self._exchanges[stage]: Flow(None, self._readers(stage)) for stage in level}
            if any(self._steps_behind(stage) for stage in level):
                frame = frame.union(self._ticks(tick, level, addresses))
                frame = transform_with_state(frame, Operator(plan, flows, addresses), PIPE, functions)
            else:
                sized = {self._exchanges[stage]: (stage.partitions, flows[self._exchanges[stage]]) for stage in level}
                frame = frame.repartitionById(self.partitions, "part")
                frame = map_in_arrow(frame, ShuffledFlows(sized, addresses), PIPE, "shuffle", functions)
        return frame.selectExpr("kind as tag", "chunk")

    def _readers(self, stage: Stage) -> list[Flow | Deliver | Send]:
        """Who gets the records of a stage, up to the next exchanges."""
        found: list[Flow | Deliver | Send] = [Deliver(self._tags[stage])] if stage in self._tags else []
        for consumer in self._consumers[stage]:
            if isinstance(consumer, Narrow):
                found.append(Flow(consumer.function, self._readers(consumer)))
            elif isinstance(consumer, Stateful):
                if consumer.parent is stage:
                    found.append(Flow(StepCall(self._steps[consumer], consumer.step), self._readers(consumer)))
            elif isinstance(consumer, UnionOf):
                # What follows is done to each partition alone, so it is done to each parent of the union alone.
                found.extend(self._readers(consumer))
            else:
                assert isinstance(consumer, Shuffle)
                exchange, kind = self._target(consumer)
                found.append(Send(exchange, consumer.partitions, consumer.route, kind))
        return found

    def _target(self, shuffle: Shuffle) -> tuple[int, int]:
        """Exchange that a shuffle's records go to: its own, or for initial state that of the step which takes them."""
        for consumer in self._consumers[shuffle]:
            if isinstance(consumer, Stateful) and consumer.initial is shuffle:
                return self._exchanges[_exchange_below(consumer)], INITIAL + self._steps[consumer]
        return self._exchanges[shuffle], DATA

    def _levels(self) -> list[list[Shuffle]]:
        """Exchanges by level; those of initial state are part of another one."""
        level: dict[Stage, int] = {}
        levels: dict[int, list[Shuffle]] = defaultdict(list)
        for stage in self._stages:
            before = max((level[parent] for parent in parents_of(stage)), default=0)
            if isinstance(stage, Shuffle) and self._target(stage)[1] == DATA:
                before += 1
                levels[before].append(stage)
            level[stage] = before
        return [levels[number] for number in sorted(levels)]

    def _steps_behind(self, stage: Stage) -> bool:
        """Whether a step with state follows before the next exchange."""
        return any(
            isinstance(consumer, Stateful) or (not isinstance(consumer, Shuffle) and self._steps_behind(consumer))
            for consumer in self._consumers[stage]
        )

    def _ticks(self, tick: DataFrame, level: list[Shuffle], addresses: Addresses) -> DataFrame:
        """One row for every bucket of a level."""
        rows = [
            f"named_struct('op', {op}, 'bucket', {addresses[op][part]}, 'part', {part})"
            for stage in level
            for op in [self._exchanges[stage]]
            for part in range(stage.partitions)
        ]
        every = tick.select(sf.expr(f"inline(array({', '.join(rows)}))"), "chunk")
        return every.selectExpr("op", "bucket", "part", f"{TICK} as kind", "chunk")


def _exchange_below(stage: Stage) -> Shuffle:
    while not isinstance(stage, Shuffle):
        assert isinstance(stage, Narrow | Stateful)
        stage = stage.parent
    return stage
