"""The functions of a plan as they are when a batch begins, as on the old engine, which pickles them for every batch.

A streaming plan is pickled once, and its functions see what the program was then: globals, closures, attributes of
models, broadcast variables. So the plan carries stand-ins. When a batch begins the real stages are pickled again; where
that gives other bytes than the plan has, they travel with the batch, in a local property of the query's thread, which
every task gets. Broadcast variables that they refer to must be known to a worker before it unpickles anything: the
lists of them in the plan, which every task reads anew, are set to what is referred to now, so that one that was
destroyed leaves them.
"""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark import TaskContext, cloudpickle
from pyspark.sql.streaming.stateful_processor import StatefulProcessor

from dstreams._plan.operator import Operator, declare_state

if TYPE_CHECKING:
    import pyarrow as pa
    from py4j.java_gateway import JavaObject
    from pyspark import Broadcast, SparkContext
    from pyspark.sql import DataFrame, Row
    from pyspark.sql.streaming.stateful_processor import StatefulProcessorHandle

__all__ = ["Functions", "Snapshot", "snapshot_of"]

_PROPERTY = "dstreams.functions"
_INLINE_BYTES = 32 << 10
"""What is larger goes as a broadcast variable: properties travel with every task."""


# ---------------------------------------------------------------------- in a worker


def _current(number: int, planned: bytes) -> Any:
    """Unpickle a stage as it was when the batch of this task began; anew for each task, as PySpark does."""
    context = TaskContext.get()
    text = None if context is None else context.getLocalProperty(_PROPERTY)
    entry = json.loads(text).get(str(number)) if text else None
    if entry is None:
        return pickle.loads(planned)
    if "broadcast" in entry:
        from pyspark.core.broadcast import _from_id

        return pickle.loads(_from_id(entry["broadcast"]).value)
    return pickle.loads(base64.b64decode(entry["inline"]))


class _Stage:
    """Stands for a function over the Arrow batches of a partition."""

    def __init__(self, number: int, planned: bytes) -> None:
        self._number = number
        self._planned = planned

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from _current(self._number, self._planned)(batches)


class _Operator(StatefulProcessor):
    """Stands for a stateful operator."""

    def __init__(self, number: int, planned: bytes) -> None:
        self._number = number
        self._planned = planned

    def init(self, handle: StatefulProcessorHandle) -> None:
        # Called also in the process that Spark asks for the state's schema, which has no batch and no broadcasts.
        self._pages = declare_state(handle)
        self._real: Operator | None = None

    def handleInputRows(self, key: Any, rows: Iterator[Row], timerValues: Any) -> Iterator[Row]:
        if self._real is None:
            self._real = _current(self._number, self._planned)
        return self._real.handle(self._pages, key, rows)

    def close(self) -> None:
        """Nothing is held beyond a batch."""


# ---------------------------------------------------------------------- in the driver


@dataclass
class Snapshot:
    """Something pickled, and the broadcast variables that it refers to."""

    data: bytes
    broadcasts: list[Broadcast[Any]]


def snapshot_of(sc: SparkContext, thing: Any) -> Snapshot:
    """Pickle something as it is now; raises what cloudpickle does."""
    registry = sc._pickled_broadcast_vars
    registry.clear()
    try:
        return Snapshot(cloudpickle.dumps(thing), list(registry))
    finally:
        registry.clear()


@dataclass
class _Planned:
    """A stage of the plan: what it was then, and the JVM's list of the broadcast variables that its workers know."""

    stage: Any
    first: Snapshot
    known: JavaObject
    ids: list[int] | None = None


class Functions:
    """The stages of one query's plan.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    """

    def __init__(self, sc: SparkContext) -> None:
        self._sc = sc
        self._planned: list[_Planned] = []
        self._sent: list[Broadcast[Any]] = []
        self._failure: Exception | None = None

    def stage(self, function: Any, apply: Callable[[Any], tuple[DataFrame, JavaObject]]) -> DataFrame:
        """Put a stage into the plan.

        Parameters
        ----------
        function : callable or Operator
            The stage.
        apply : callable
            Plans what stands for it; gives the frame of that, and the JVM's ``PythonFunction``.

        Raises
        ------
        Exception
            If it cannot be pickled.
        """
        first = snapshot_of(self._sc, function)
        kind = _Operator if isinstance(function, Operator) else _Stage
        frame, python_function = apply(kind(len(self._planned), first.data))
        self._planned.append(_Planned(function, first, python_function.broadcastVars()))
        return frame

    def refresh(self) -> None:
        """Let the batch that begins have the functions as they are now; to be called on the query's thread."""
        self._failure = None
        changed: dict[int, dict[str, Any]] = {}
        sent: list[Broadcast[Any]] = []
        for number, planned in enumerate(self._planned):
            try:
                now = snapshot_of(self._sc, planned.stage)
            except Exception as error:
                self._failure = error
                return
            broadcasts = now.broadcasts
            if now.data != planned.first.data:
                if len(now.data) <= _INLINE_BYTES:
                    changed[number] = {"inline": base64.b64encode(now.data).decode()}
                else:
                    sent.append(self._sc.broadcast(now.data))
                    changed[number] = {"broadcast": sent[-1]._jbroadcast.id()}
                    broadcasts = [*broadcasts, sent[-1]]
            self._tell(planned, broadcasts)
        self._sc.setLocalProperty(_PROPERTY, json.dumps(changed) if changed else None)  # type: ignore[arg-type]
        for old in self._sent:
            old.destroy()
        self._sent = sent

    @property
    def failure(self) -> Exception | None:
        """Why the functions of the batch could not be pickled."""
        return self._failure

    def close(self) -> None:
        """Let go of what was sent to workers."""
        for old in self._sent:
            old.destroy()
        self._sent = []

    @staticmethod
    def _tell(planned: _Planned, broadcasts: list[Broadcast[Any]]) -> None:
        """Set the list of broadcast variables that the workers of a stage are told of."""
        java = {broadcast._jbroadcast.id(): broadcast._jbroadcast for broadcast in broadcasts}
        if planned.ids != sorted(java):
            del planned.known[:]  # clear() of py4j fails on an empty list
            planned.known.extend(list(java.values()))
            planned.ids = sorted(java)
