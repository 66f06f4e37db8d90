"""What runs in Spark's Python workers: stages over chunks, the pipe's rows, and the stateful operator.

A stage without state decodes the rows of a partition, applies functions, and encodes what comes out. A program with
state is one straight line of stages, the *pipe*, since Spark would plan a stage that feeds two branches twice, its
state too. Every row of the pipe says where it goes: to an *exchange* (a shuffle, behind which steps with state may
follow) or, all exchanges behind it, to the batch side. A stage does what is to be done with the rows of its own
exchanges and passes the others on.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import Row
from pyspark.sql.types import BinaryType, IntegerType, LongType, StructField, StructType

from dstreams._plan.batch_time import BatchTime
from dstreams._plan.bucket import CACHE_BYTES, CACHE_VARIABLE, Bucket, BucketCache, Pages
from dstreams._plan.chunks import CHUNK_BYTES, Chunks, Decode, Records, write_chunk, write_chunks
from dstreams._plan.stages import KEEP
from dstreams._plan.steps.step import Step
from dstreams._spark.rdd import CHUNK

if TYPE_CHECKING:
    from pyspark.sql.streaming.stateful_processor import StatefulProcessorHandle

__all__ = [
    "DATA",
    "INITIAL",
    "PASS",
    "PIPE",
    "ROUTED",
    "TICK",
    "Addresses",
    "ChunkWriter",
    "Deliver",
    "Encode",
    "Flow",
    "Line",
    "Operator",
    "Router",
    "Send",
    "ShuffledFlows",
    "SourceFlow",
    "StageFunction",
    "StepCall",
    "apply",
    "declare_state",
    "follow",
]


# ---------------------------------------------------------------------- stages without state

ROUTED = "part int, chunk binary"
"""Schema of chunks on their way through a shuffle, each with the partition it goes to."""
_CHUNK_SCHEMA = pa.schema([("chunk", pa.binary())])
_ROUTED_SCHEMA = pa.schema([("part", pa.int32()), ("chunk", pa.binary())])

Encode = Callable[[Records], Iterator[pa.RecordBatch]]


class ChunkWriter:
    """Records to Arrow batches of chunks."""

    schema = CHUNK

    def __call__(self, records: Records) -> Iterator[pa.RecordBatch]:
        """Yield batches of one chunk, of growing size, so that who wants few records waits for few."""
        for data in write_chunks(records, 64):
            yield pa.RecordBatch.from_arrays([pa.array([data], pa.binary())], schema=_CHUNK_SCHEMA)


def split(records: Records, partitions: int, route: Callable[[Any], int] | None) -> Iterator[list[tuple[int, bytes]]]:
    """Records to chunks for the partitions of a shuffle, block by block.

    Parameters
    ----------
    records : iterable
        Pairs where `route` is given.
    partitions : int
        Number of target partitions.
    route : callable, optional
        Key of a pair to an int; None deals records out one after the other.

    Yields
    ------
    list of tuple of int and bytes
        Partition and chunk, once enough records wait; the amount adapts to their size in bytes.
    """
    source, limit = iter(records), 1000
    while block := list(islice(source, limit)):
        targets: list[list[Any]] = [[] for _ in range(partitions)]
        if route is None:
            for part, target in enumerate(targets):
                target.extend(block[part::partitions])
        else:
            _by_key(block, targets, route)
        full = [(part, write_chunk(target)) for part, target in enumerate(targets) if target]
        yield full
        size = sum(len(data) for _, data in full) // len(full)
        if size < CHUNK_BYTES:
            limit *= 4
        elif size > 4 * CHUNK_BYTES:
            limit = max(1, limit // 4)


def _by_key(block: list[Any], targets: list[list[Any]], route: Callable[[Any], int]) -> None:
    n = len(targets)
    for pair in block:
        try:
            key, value = pair
        except (TypeError, ValueError):
            raise TypeError(f"a keyed operation needs (key, value) pairs, but got the record {pair!r:.200}") from None
        targets[route(key) % n].append((key, value))


class Router:
    """Records to Arrow batches of chunks, each with the partition that the shuffle brings it to; see :func:`split`."""

    schema = ROUTED

    def __init__(self, partitions: int, route: Callable[[Any], int] | None) -> None:
        self.partitions = partitions
        self.route = route

    def __call__(self, records: Records) -> Iterator[pa.RecordBatch]:
        """Yield one batch whenever enough records wait."""
        for full in split(records, self.partitions, self.route):
            parts, chunks = zip(*full, strict=True)
            yield pa.RecordBatch.from_arrays(
                [pa.array(parts, pa.int32()), pa.array(chunks, pa.binary())], schema=_ROUTED_SCHEMA
            )


def apply(functions: tuple[Callable[[Any], Records], ...], records: Records) -> Iterator[Any]:
    """Apply functions over a partition, one after the other; to be called inside a generator (see ``combine``)."""
    for function in functions:
        records = function(iter(records))
    return iter(records)


class StageFunction:
    """What one Python stage of the streaming plan does to the Arrow batches of a partition.

    Parameters
    ----------
    decode : callable
        Arrow batches to records.
    functions : sequence of callables
        Iterator of records to iterable of records, applied in order.
    encode : ChunkWriter or Router
        Records to Arrow batches.
    """

    def __init__(self, decode: Decode, functions: tuple[Callable[[Any], Records], ...], encode: Encode) -> None:
        self.decode = decode
        self.functions = functions
        self.encode = encode

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Run the stage; input that no function asked for is read to its end, so that the worker lives on."""
        yield from self.encode(apply(self.functions, self.decode(batches)))
        for _ in batches:
            pass


# ---------------------------------------------------------------------- the pipe

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


# ---------------------------------------------------------------------- the stateful operator

_ROW = Row(*Line._fields)
_SLOT = StructType([StructField("step", IntegerType()), StructField("slot", LongType())])
_DATA = StructType([StructField("data", BinaryType())])
_cache = BucketCache(int(os.environ.get(CACHE_VARIABLE, CACHE_BYTES)))


def declare_state(handle: StatefulProcessorHandle) -> Any:
    """Declare the state of an operator: bytes by step and slot.

    As types, since each task would ask the JVM to parse a text.
    """
    return handle.getMapState("state", _SLOT, _DATA)


class Operator:
    """All exchanges of one level of the pipe that have steps with state behind them, and those beside them.

    Parameters
    ----------
    plan : str
        Identifies this start of the program; what a worker remembers of another one is of no use.
    flows : dict of int to Flow
        What becomes of the records of each exchange.
    addresses : dict
        Where rows go.
    """

    def __init__(self, plan: str, flows: dict[int, Flow], addresses: Addresses) -> None:
        self._plan = plan
        self._flows = flows
        self._addresses = addresses

    def handle(self, pages: Pages, key: Any, rows: Iterator[Row]) -> Iterator[Row]:
        """Handle the rows of one bucket: one of them is the tick, whether or not there are data.

        Parameters
        ----------
        pages : Pages
            The state that :func:`declare_state` gave.
        key : tuple of int
            Number of the exchange, and id of the bucket.
        rows : iterator of Row
            Lines of the pipe.
        """
        op, _ = key
        flow = self._flows.get(op)
        if flow is None:  # on the way to a later exchange, or to the batch side
            yield from rows
            return
        data: list[bytes] = []
        initial: dict[int, list[bytes]] = {}
        tick = part = None
        for row in rows:
            if row.kind == DATA:
                data.append(bytes(row.chunk))
            elif row.kind == TICK:
                tick, part = BatchTime(*pickle.loads(row.chunk)), row.part
            else:
                initial.setdefault(row.kind - INITIAL, []).append(bytes(row.chunk))
        assert tick is not None and part is not None
        steps = _Steps(self._plan, pages, part, tick, initial)
        for line in follow(flow, Chunks(data), part, self._addresses, steps):
            yield _ROW(*line)


class _Steps:
    """Runs the steps of one bucket in one batch."""

    def __init__(self, plan: str, pages: Any, part: int, time: BatchTime, initial: dict[int, list[bytes]]) -> None:
        self._plan = plan
        self._pages = pages
        self._part = part
        self._time = time
        self._initial = initial

    def __call__(self, call: StepCall, records: Iterable[Any]) -> Chunks:
        key = (self._plan, call.number, self._part)
        bucket = Bucket(self._pages, call.number, _cache.take(key))
        if call.number in self._initial:
            call.step.start(bucket, Chunks(self._initial[call.number]), self._time)
        if call.number in self._time.absent:
            out = call.step.idle(bucket, self._time)
        else:
            out = call.step.run(bucket, records, self._time)
        bucket.close()
        _cache.keep(key, bucket.cached, bucket.length)
        return out
