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

from pyspark.sql.streaming.stateful_processor import StatefulProcessor

from dstreams._plan.worker import Operator, declare_state
from dstreams._spark.broadcasts import marked_broadcast, send_along, snapshot_of

if TYPE_CHECKING:
    import pyarrow as pa
    from py4j.java_gateway import JavaObject
    from pyspark import Broadcast, SparkContext
    from pyspark.sql import DataFrame, Row
    from pyspark.sql.streaming.stateful_processor import StatefulProcessorHandle

__all__ = ["Functions"]

_PLANNED_BYTES = 1 << 19
"""What is larger is in no plan. PySpark would make a broadcast variable of it (from 1 MiB), which the process that is
asked for the schema of a state cannot read."""


# ---------------------------------------------------------------------- in a worker


def _current(mark: bytes, planned: bytes | None) -> Any:
    """Unpickle a stage as it was when the batch of this task began; anew for each task, as PySpark does."""
    data = marked_broadcast(mark) or planned
    assert data is not None, "a large stage is always sent"
    return pickle.loads(data)


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
        broadcasts = now.broadcasts if self.broadcast is None else [*now.broadcasts, self.broadcast]
        self.ids = send_along(self.known, broadcasts, self.ids)
        return retired


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
