"""The functions of a plan as they are when a batch begins, as on the old engine, which pickles them for every batch.

A streaming plan is pickled once, and its functions see what the program was then: globals, closures, attributes of
models, broadcast variables. So the plan carries stand-ins. When a batch begins the real stages are pickled again, and
where that gives other bytes than the plan has, they go to the workers as a broadcast variable with a mark, by which the
stand-in finds it. The list of broadcast variables that a stage has in the plan is read anew for every job that computes
it, on whatever thread: it is set to these bytes and to the variables that the functions refer to now, so that one that
was destroyed leaves it.
"""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark import cloudpickle
from pyspark.core.broadcast import _broadcastRegistry
from pyspark.sql.streaming.stateful_processor import StatefulProcessor

from dstreams._plan.operator import Operator, declare_state

if TYPE_CHECKING:
    import pyarrow as pa
    from py4j.java_gateway import JavaObject
    from pyspark import Broadcast, SparkContext
    from pyspark.sql import DataFrame, Row
    from pyspark.sql.streaming.stateful_processor import StatefulProcessorHandle

__all__ = ["Functions", "Snapshot", "snapshot_of"]

_PLANNED_BYTES = 1 << 19
"""What is larger is in no plan. PySpark would make a broadcast variable of it (from 1 MiB), which the process that is
asked for the schema of a state cannot read."""
_TRIES = 5
"""How often something is pickled that another thread of the program is changing just then."""


# ---------------------------------------------------------------------- in a worker


def _current(mark: bytes, planned: bytes | None) -> Any:
    """Unpickle a stage as it was when the batch of this task began; anew for each task, as PySpark does."""
    for broadcast in list(_broadcastRegistry.values()):  # those of this task only
        data = _marked(broadcast, mark)
        if data is not None:
            return pickle.loads(data)
    assert planned is not None, "a large stage is always sent"
    return pickle.loads(planned)


def _marked(broadcast: Broadcast[Any], mark: bytes) -> bytes | None:
    """What a broadcast variable has after a mark; of others no more is read than their beginning."""
    if (path := getattr(broadcast, "_path", None)) is not None:
        with open(path, "rb") as file:
            if mark not in file.read(2 * len(mark)):
                return None
    value = broadcast.value
    return value[len(mark) :] if isinstance(value, bytes) and value.startswith(mark) else None


class _Stage:
    """Stands for a function over the Arrow batches of a partition."""

    def __init__(self, mark: bytes, planned: bytes | None) -> None:
        self._mark = mark
        self._planned = planned

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from _current(self._mark, self._planned)(batches)


class _Operator(StatefulProcessor):
    """Stands for a stateful operator."""

    def __init__(self, mark: bytes, planned: bytes | None) -> None:
        self._mark = mark
        self._planned = planned

    def init(self, handle: StatefulProcessorHandle) -> None:
        # Called also in the process that Spark asks for the state's schema, which has no batch and no broadcasts.
        self._pages = declare_state(handle)
        self._real: Operator | None = None

    def handleInputRows(self, key: Any, rows: Iterator[Row], timerValues: Any) -> Iterator[Row]:
        if self._real is None:
            self._real = _current(self._mark, self._planned)
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
    for left in reversed(range(_TRIES)):
        registry.clear()
        try:
            return Snapshot(cloudpickle.dumps(thing), list(registry))
        except RuntimeError:  # a dict changed its size meanwhile: another thread of the program writes to it
            if not left:
                raise
        finally:
            registry.clear()
    raise AssertionError("the last try has raised")


@dataclass
class _Planned:
    """A stage, its mark, what the plan has of it, the list of its broadcast variables in the JVM, and what was sent."""

    stage: Any
    mark: bytes
    data: bytes | None
    known: JavaObject
    sent: bytes | None = None
    broadcast: Broadcast[bytes] | None = None
    ids: list[int] | None = None

    def refresh(self, sc: SparkContext) -> Broadcast[bytes] | None:
        """Let the workers have the stage as it is now; give what nobody needs after this batch."""
        now = snapshot_of(sc, self.stage)
        needed = None if now.data == self.data else now.data
        retired = None
        if needed != self.sent:
            retired, self.sent = self.broadcast, needed
            self.broadcast = None if needed is None else sc.broadcast(self.mark + needed)
        self._tell(now.broadcasts if self.broadcast is None else [*now.broadcasts, self.broadcast])
        return retired

    def _tell(self, broadcasts: list[Broadcast[Any]]) -> None:
        java = {broadcast._jbroadcast.id(): broadcast._jbroadcast for broadcast in broadcasts}
        if self.ids != sorted(java):
            del self.known[:]  # clear() of py4j fails on an empty list
            self.known.extend(java.values())
            self.ids = sorted(java)


class Functions:
    """The stages of one query's plan.

    Parameters
    ----------
    sc : SparkContext
        The program's context.

    Attributes
    ----------
    failure : Exception, optional
        Why the functions of the batch could not be pickled.
    """

    def __init__(self, sc: SparkContext) -> None:
        self.failure: Exception | None = None
        self._sc = sc
        self._name = uuid.uuid4().hex
        self._planned: list[_Planned] = []
        self._retired: list[Broadcast[bytes]] = []

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
        data: bytes | None = snapshot_of(self._sc, function).data
        if data is not None and len(data) > _PLANNED_BYTES:
            data = None
        mark = f"dstreams {self._name} {len(self._planned)}:".encode()
        kind = _Operator if isinstance(function, Operator) else _Stage
        frame, python_function = apply(kind(mark, data))
        self._planned.append(_Planned(function, mark, data, python_function.broadcastVars()))
        return frame

    def refresh(self) -> None:
        """Let the batch that begins have the functions as they are now."""
        self.failure = None
        # What the batch before had may still be asked for by a job of the program's own.
        _destroy(self._retired)
        try:
            for planned in self._planned:
                if (retired := planned.refresh(self._sc)) is not None:
                    self._retired.append(retired)
        except Exception as error:
            self.failure = error

    def close(self) -> None:
        """Let go of what was sent to workers."""
        _destroy(self._retired)
        _destroy([planned.broadcast for planned in self._planned if planned.broadcast is not None])


def _destroy(broadcasts: list[Broadcast[bytes]]) -> None:
    while broadcasts:
        broadcasts.pop().destroy()
