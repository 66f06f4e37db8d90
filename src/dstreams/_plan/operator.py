"""The stateful operator: what Spark's ``transformWithState`` calls for every bucket in every batch."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pyspark.sql import Row
from pyspark.sql.types import BinaryType, IntegerType, LongType, StructField, StructType

from dstreams._plan.batch_time import BatchTime
from dstreams._plan.bucket import CACHE_BYTES, CACHE_VARIABLE, Bucket, BucketCache, Pages
from dstreams._plan.chunks import Chunks
from dstreams._plan.flow import DATA, INITIAL, TICK, Addresses, Flow, Line, StepCall, follow

if TYPE_CHECKING:
    from pyspark.sql.streaming.stateful_processor import StatefulProcessorHandle

__all__ = ["Operator", "declare_state"]

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
