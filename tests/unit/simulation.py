"""Plays Spark's part around the stateful operator: state that is committed or lost, workers that remember or forget."""

from __future__ import annotations

import pickle
import random
import re
from ast import literal_eval
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyspark import cloudpickle
from pyspark.sql import Row

from dstreams._plan import pipe as pipe_module
from dstreams._plan import worker as worker_module
from dstreams._plan.bucket import BucketCache
from dstreams._plan.chunks import read_chunks, write_chunk
from dstreams._plan.pipe import Pipe
from dstreams._plan.stages import Scan
from dstreams._plan.steps.step import Step
from dstreams._plan.streaming_rdd import PlanContext, StreamingRDD
from dstreams._plan.worker import DATA, INITIAL, PASS, PIPE, TICK, Deliver, Flow, Line, Operator, StepCall

__all__ = ["Cluster", "Fed", "Frame", "MemoryPages", "OneBucket", "Program", "working"]

_MANIFEST = -1
_EXCHANGE, _NUMBER, _TAG = 2, 3, 5
_BUCKET, _PASSED = 70, 90


class MemoryPages:
    """Spark's map state of one group: an attempt works on a copy of what is committed."""

    def __init__(self) -> None:
        self.committed: dict[tuple[int, int], bytes] = {}
        self.slots: dict[tuple[int, int], bytes] = {}
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []

    def begin(self) -> None:
        """Begin an attempt."""
        self.slots = dict(self.committed)
        self.reads, self.writes = [], []

    def commit(self) -> None:
        """Make what the attempt has written last."""
        self.committed = self.slots

    @property
    def entries_read(self) -> int:
        """Number of reads that were not for a manifest."""
        return sum(slot != _MANIFEST for _, slot in self.reads)

    def getValue(self, key: tuple[int, int]) -> Any:
        self.reads.append(key)
        data = self.slots.get(key)
        return None if data is None else (bytearray(data),)

    def updateValue(self, key: tuple[int, int], value: tuple[bytes]) -> None:
        (data,) = value
        assert isinstance(data, bytes)
        assert key[1] == _MANIFEST or key not in self.slots, "an entry is written once and never changed"
        self.writes.append(key)
        self.slots[key] = data

    def removeKey(self, key: tuple[int, int]) -> None:
        del self.slots[key]


@contextmanager
def working(worker: BucketCache) -> Iterator[None]:
    """Be a worker: the operator finds what this one remembers."""
    saved = worker_module._cache
    worker_module._cache = worker
    try:
        yield
    finally:
        worker_module._cache = saved


class OneBucket:
    """Runs one step in one bucket with the real operator, batch by batch, on one worker or another.

    Parameters
    ----------
    step : Step
        The step.
    workers : int
        Number of workers.
    zero_ms : int
        Start of the first batch's interval.
    """

    def __init__(self, step: Step, workers: int = 1, zero_ms: int = 0) -> None:
        self.pages = MemoryPages()
        self.workers = [BucketCache(1 << 30) for _ in range(workers)]
        self.zero_ms = self.last_ms = zero_ms
        flow = Flow(None, [Flow(StepCall(_NUMBER, step), [Deliver(_TAG)])])
        self.operator = Operator("plan", {_EXCHANGE: flow}, {_EXCHANGE: [_BUCKET], PASS: [_PASSED]})

    def lose(self, worker: int) -> None:
        """Let a worker end; another one takes its place."""
        self.workers[worker] = BucketCache(1 << 30)

    def run(
        self,
        now_ms: int,
        records: Iterable[Any] = (),
        *,
        worker: int = 0,
        commit: bool = True,
        initial: Iterable[Any] | None = None,
        absent: bool = False,
    ) -> list[Any]:
        """Run one batch, or an attempt that ends well but is not committed; an error commits nothing either."""
        time: tuple[Any, ...] = (self.zero_ms, self.last_ms, now_ms)
        rows = [_row(DATA, [record]) for record in records]
        rows.insert(len(rows) // 2, _row(TICK, (*time, (_NUMBER,)) if absent else time))
        if initial is not None:
            rows.append(_row(INITIAL + _NUMBER, list(initial)))
        self.pages.begin()
        with working(self.workers[worker]):
            lines = [
                Line(*row)
                for row in self.operator.handle(self.pages, (_EXCHANGE, _BUCKET), iter(rows))
            ]  # fmt: skip
        assert {line[:3] for line in lines} == {(PASS, _PASSED, 0)}
        assert [line.kind for line in lines if line.kind < 0] == [-1 - _TAG], "one mark tells of the partition"
        if commit:
            self.pages.commit()
            self.last_ms = now_ms
        return [record for line in lines if line.kind == _TAG for record in pickle.loads(line.chunk)]


def _row(kind: int, content: Any) -> Row:
    return Row(*Line._fields)(_EXCHANGE, _BUCKET, 0, kind, bytearray(pickle.dumps(content)))


# ---------------------------------------------------------------------- the whole pipe

_Values = dict[str, Any]


class Fed:
    """A source whose partitions are given with every batch."""

    decode = staticmethod(read_chunks)

    def __init__(self) -> None:
        self.parts: list[list[Any]] = []

    def rdd(self, parallelism: int = 2) -> Any:
        """The source as an RDD of the streaming side; as Any, since PySpark's annotations know no ``by_key``."""
        return StreamingRDD(Scan(self), PlanContext(parallelism, {"spark.python.worker.memory": "512m"}))  # type: ignore[arg-type]

    def __reduce__(self) -> Any:
        raise TypeError("a source does not travel to the workers")


@dataclass
class Frame:
    """A streaming DataFrame: its partitions in the batch that runs."""

    partitions: Callable[[], list[list[_Values]]]

    def union(self, other: Frame) -> Frame:
        return Frame(lambda: self.partitions() + other.partitions())

    def repartitionById(self, n: int, column: str) -> Frame:
        def shuffled() -> list[list[_Values]]:
            targets: list[list[_Values]] = [[] for _ in range(n)]
            for part in self.partitions():
                for line in part:
                    targets[line[column]].append(line)
            return targets

        return Frame(shuffled)

    def select(self, inline: str, *columns: str) -> Frame:
        """Understands the one expression that the pipe has: an inlined array of structs."""
        assert inline.startswith("inline(array(")
        structs = []
        for text in re.findall(r"named_struct\(([^)]*)\)", inline):
            values = literal_eval(f"({text},)")
            structs.append(dict(zip(values[::2], values[1::2], strict=True)))
        return self._each(lambda line: [{**struct, **{name: line[name] for name in columns}} for struct in structs])

    def selectExpr(self, *expressions: str) -> Frame:
        pairs = [(text.split(" as ") * 2)[:2] for text in expressions]
        return self._each(
            lambda line: [{name: line[what] if what in line else literal_eval(what) for what, name in pairs}]
        )

    def _each(self, function: Callable[[_Values], list[_Values]]) -> Frame:
        return Frame(lambda: [[new for line in part for new in function(line)] for part in self.partitions()])


@dataclass
class Cluster:
    """Runs the stages of a pipe in memory: workers that are chosen at random, rows in an order that nobody promised.

    Attributes
    ----------
    stages : list of str
        Kinds of the stages of the pipe: ``source``, ``state``, ``shuffle``.
    pages : dict
        State of each group of each stateful stage.
    """

    monkeypatch: pytest.MonkeyPatch
    workers: int = 1
    seed: int = 0
    stages: list[str] = field(default_factory=list)
    pages: dict[tuple[int, int, int], MemoryPages] = field(default_factory=dict)
    ids: dict[int, list[int]] = field(default_factory=dict)
    time: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        # All stateful stages share the workers.
        self.remembered: dict[int, BucketCache] = {}
        patch = self.monkeypatch.setattr
        patch(pipe_module, "DataFrame", Frame)
        patch(pipe_module, "map_in_arrow", self._map)
        patch(pipe_module, "transform_with_state", self._stateful)
        patch(pipe_module, "sf", SimpleNamespace(expr=lambda text: text))
        patch(worker_module, "_partition", lambda: self._task)
        self._task = -1

    def bucket_ids(self, exchange: int, partitions: int) -> list[int]:
        """Ids that are no partition numbers, others for each exchange."""
        self.ids[exchange] = [1000 * (exchange + 2) + 7 * part for part in reversed(range(partitions))]
        return self.ids[exchange]

    def tick(self) -> Frame:
        return Frame(lambda: [[{"chunk": pickle.dumps(self.time)}]])

    def source(self, source: Any) -> Frame:
        return Frame(lambda: [[{"chunk": write_chunk([record])} for record in part] for part in source.parts])

    def commit(self) -> None:
        for pages in self.pages.values():
            pages.commit()

    def check(self, line: _Values) -> None:
        """The bucket is the one of the partition."""
        assert self.ids[line["op"]].index(line["bucket"]) == line["part"]

    def _map(self, frame: Frame, function: Any, schema: str, name: str, functions: Any) -> Frame:
        assert schema == worker_module.PIPE
        self.stages.append(name)
        pickled = cloudpickle.dumps(function)

        def mapped() -> list[list[_Values]]:
            done = []
            for self._task, part in enumerate(frame.partitions()):
                work = cloudpickle.loads(pickled)
                batches = iter([_batch(line) for line in part])
                done.append([line for batch in work(batches) for line in batch.to_pylist()])
                assert next(batches, None) is None, "the input is read to its end"
                for line in done[-1]:
                    self.check(line)
            return done

        return Frame(mapped)

    def _stateful(self, frame: Frame, operator: Operator, schema: str, functions: Any) -> Frame:
        assert schema == PIPE
        number = self.stages.count("state")
        self.stages.append("state")
        pickled = cloudpickle.dumps(operator)

        def run() -> list[list[_Values]]:
            groups: dict[tuple[int, int], list[_Values]] = {}
            for part in frame.partitions():
                for line in part:
                    self.check(line)
                    groups.setdefault((line["op"], line["bucket"]), []).append(line)
            done: list[list[_Values]] = [[] for _ in self.ids[PASS]]
            for op, bucket in self.random.sample(sorted(groups), len(groups)):
                lines = groups[op, bucket]
                self.random.shuffle(lines)
                rows = [Row(*Line._fields)(*(line[name] for name in Line._fields)) for line in lines]
                pages = self.pages.setdefault((number, op, bucket), MemoryPages())
                pages.begin()
                worker = self.remembered.setdefault(self.random.randrange(self.workers), BucketCache(1 << 30))
                task = cloudpickle.loads(pickled)
                with working(worker):
                    out = [row.asDict() for row in task.handle(pages, (op, bucket), iter(rows))]
                for line in out:
                    self.check(line)
                done[self.ids[op].index(bucket)] += out
            return done

        return Frame(run)


def _batch(line: _Values) -> pa.RecordBatch:
    if "op" in line:
        return pa.RecordBatch.from_pylist([line], schema=worker_module._ARROW)
    return pa.RecordBatch.from_pylist([line], schema=pa.schema([("chunk", pa.binary())]))


class Program:
    """A program with state whose RDDs are delivered to the batch side.

    Parameters
    ----------
    cluster : Cluster
        Where it runs.
    delivered : StreamingRDD
        RDDs whose records are wanted.
    """

    def __init__(self, cluster: Cluster, *delivered: StreamingRDD) -> None:
        self._cluster = cluster
        self._tags = {rdd.stage: tag for tag, rdd in enumerate(delivered, 10)}
        self.pipe = Pipe(dict(self._tags))
        cluster.stages.clear()
        no_functions: Any = None  # they change in a real driver only
        self._frame: Any = self.pipe.frame(cluster.source, cluster.tick(), cluster.bucket_ids, no_functions)  # type: ignore[arg-type]

    def run(self, now: int, inputs: dict[Fed, list[list[Any]]], commit: bool = True) -> list[list[list[Any]]]:
        """Run a batch.

        Returns
        -------
        list of list of list
            For every RDD that is delivered, the records of its partitions; those are the ones that its marks tell of.
        """
        cluster = self._cluster
        zero, before, last = cluster.time
        cluster.time = zero, last if now > last else before, now
        for source, parts in inputs.items():
            source.parts = parts
        partitions = self._frame.partitions()
        if commit:
            cluster.commit()
        else:
            cluster.time = zero, before, last
        found: dict[int, dict[int, list[Any]]] = {tag: {} for tag in self._tags.values()}
        for number, part in enumerate(partitions):
            marks = {-1 - line["tag"] for line in part if line["tag"] < 0}
            for tag in marks:
                found[tag][number] = []
            for line in part:
                if line["tag"] >= 0:
                    found[line["tag"]][number] += pickle.loads(line["chunk"])
        return [[parts[number] for number in sorted(parts)] for parts in found.values()]
