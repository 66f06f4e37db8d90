"""The pipe, as its workers see it: rows, and what becomes of the records that they carry.

A program with state is one straight line of stages, since Spark would plan a stage that feeds two branches twice,
its state too. Every row says where it goes: to an *exchange* (a shuffle, behind which steps with state may follow)
or, all exchanges behind it, to the batch side. A stage does what is to be done with the rows of its own exchanges
and passes the others on. Everything in this file runs in Spark's Python workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark import TaskContext

from dstreams._plan.chunks import Chunks, Decode, split
from dstreams._plan.stages import KEEP
from dstreams._plan.steps.step import Step

__all__ = [
    "DATA",
    "INITIAL",
    "PASS",
    "PIPE",
    "TICK",
    "Addresses",
    "Deliver",
    "Flow",
    "Line",
    "Send",
    "ShuffledFlows",
    "SourceFlow",
    "StepCall",
    "follow",
]

PIPE = "op int, bucket int, part int, kind int, chunk binary"
"""Schema of the pipe: an exchange, or `PASS`; the id that Spark hashes to partition `part`; what the chunk is."""
_ARROW = pa.schema(
    [("op", pa.int32()), ("bucket", pa.int32()), ("part", pa.int32()), ("kind", pa.int32()), ("chunk", pa.binary())]
)
PASS = -1
"""In place of an exchange: the row is for the batch side, its kind is the tag of the node it belongs to.

A kind below zero is a row without records, which tells that the node has partitions: ``-1 - tag``.
"""
DATA, TICK, INITIAL = 0, 1, 2
"""Kinds of rows for an exchange: records; the batch time; and from `INITIAL` on, initial state of a step."""

Addresses = dict[int, Sequence[int]]
"""For each exchange, and for `PASS`, the bucket id of each partition."""


class Line(NamedTuple):
    """One row of the pipe."""

    op: int
    bucket: int
    part: int
    kind: int
    chunk: bytes


@dataclass(frozen=True)
class Deliver:
    """To the batch side, as the records of the node with this tag."""

    tag: int


@dataclass(frozen=True)
class Send:
    """To an exchange."""

    exchange: int
    partitions: int
    route: Callable[[Any], int] | None
    kind: int = DATA


@dataclass(frozen=True)
class StepCall:
    """A step with state."""

    number: int
    step: Step


@dataclass(frozen=True)
class Flow:
    """Something that is done to records, and who reads the result."""

    work: Callable[[Any], Iterable[Any]] | StepCall | None
    readers: Sequence[Flow | Deliver | Send]


Steps = Callable[[StepCall, Iterable[Any]], Chunks]


def follow(flow: Flow, records: Iterable[Any], part: int, addresses: Addresses, steps: Steps) -> Iterator[Line]:
    """Do what a flow says with the records of one partition, and give the rows that come out.

    Parameters
    ----------
    flow : Flow
        What to do.
    records : iterable
        The records.
    part : int
        Number of the partition in the pipe.
    addresses : dict
        Where the rows go.
    steps : callable
        Runs a step with its state; not called where the partition has none.
    """
    if isinstance(flow.work, StepCall):
        records = steps(flow.work, records)
    elif flow.work is not None:
        records = flow.work(iter(records))
    if len(flow.readers) > 1:
        records = Chunks.of(records)  # pickled once: no reader can change what another one gets
    for reader in flow.readers:
        if isinstance(reader, Flow):
            yield from follow(reader, records, part, addresses, steps)
        elif isinstance(reader, Deliver):
            yield Line(PASS, addresses[PASS][part], part, -1 - reader.tag, b"")
            for chunk in Chunks.of(records).chunks:
                yield Line(PASS, addresses[PASS][part], part, reader.tag, chunk)
        else:
            ids, exchange, kind = addresses[reader.exchange], reader.exchange, reader.kind
            if reader.route is KEEP:
                to = part % reader.partitions
                for chunk in Chunks.of(records).chunks:
                    yield Line(exchange, ids[to], to, kind, chunk)
            else:
                for block in split(records, reader.partitions, reader.route):
                    for to, chunk in block:
                        yield Line(exchange, ids[to], to, kind, chunk)


class SourceFlow:
    """First stage of the pipe: the rows of a source.

    Parameters
    ----------
    decode : callable
        Arrow batches to records.
    flow : Flow
        What becomes of them.
    partitions : int
        Number of partitions of the pipe.
    addresses : dict
        Where rows go.
    """

    def __init__(self, decode: Decode, flow: Flow, partitions: int, addresses: Addresses) -> None:
        self._decode = decode
        self._flow = flow
        self._partitions = partitions
        self._addresses = addresses

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Run the stage on one partition of the source."""
        part = _partition() % self._partitions
        yield from _write(follow(self._flow, self._decode(batches), part, self._addresses, _no_steps))
        for _ in batches:
            pass


class ShuffledFlows:
    """A stage behind exchanges without state.

    Parameters
    ----------
    flows : dict of int to (int, Flow)
        Exchanges that end here, with their number of partitions.
    addresses : dict
        Where rows go.
    """

    def __init__(self, flows: dict[int, tuple[int, Flow]], addresses: Addresses) -> None:
        self._flows = flows
        self._addresses = addresses

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Run the stage on one partition of the pipe."""
        yield from _write(self._lines(batches))

    def _lines(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Line]:
        mine: dict[int, list[bytes]] = {op: [] for op in self._flows}
        for batch in batches:
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                line = Line(*values)
                if line.op in mine:
                    mine[line.op].append(line.chunk)
                else:
                    yield line
        part = _partition()
        for op, (partitions, flow) in self._flows.items():
            if part < partitions:
                yield from follow(flow, Chunks(mine[op]), part, self._addresses, _no_steps)


def _partition() -> int:
    context = TaskContext.get()
    assert context is not None
    return context.partitionId()


def _no_steps(call: StepCall, records: Iterable[Any]) -> Chunks:
    raise AssertionError(f"{call.step.where} is not behind an exchange")


def _write(lines: Iterable[Line]) -> Iterator[pa.RecordBatch]:
    for line in lines:
        arrays = [pa.array([value], field.type) for value, field in zip(line, _ARROW, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=_ARROW)
