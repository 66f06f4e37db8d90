"""State by key: ``updateStateByKey`` and ``mapWithState``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pyspark import RDD

from dstreams._plan.graph import Node, OnEmpty, call_site, function_code, function_name
from dstreams._plan.steps.map_state import MapState, State
from dstreams._plan.steps.step import Step
from dstreams._plan.steps.update import Update
from dstreams.duration import to_milliseconds
from dstreams.errors import DStreamTypeError, DStreamValueError
from dstreams.stream import K, T, V
from dstreams.transformations import Transformations

if TYPE_CHECKING:
    from dstreams.dstream import DStream, MapWithStateDStream

__all__ = ["State", "StateOperations", "StateSpec"]

S = TypeVar("S")
R = TypeVar("R")


class StateSpec(Generic[R]):
    """What ``mapWithState`` shall do; made with :meth:`function`, refined with the other methods.

    Copied from Scala's ``org.apache.spark.streaming.StateSpec``; each method but :meth:`function` changes this object
    and returns it.
    """

    def __init__(self, function: Callable[..., R]) -> None:
        self._function = function
        self._initial: RDD[Any] | list[Any] | None = None
        self._partitions: int | None = None
        self._timeout_ms: int | None = None

    @staticmethod
    def function(mappingFunction: Callable[..., R]) -> StateSpec[R]:
        """Start a specification.

        Parameters
        ----------
        mappingFunction : callable
            ``(key, value, state) -> result``; or ``(time, key, value, state) -> result`` where a result of None
            means no result, and `time` is the batch time, a naive local datetime. `value` is None when the key is
            timing out; `state` is a :class:`State`.
        """
        if not callable(mappingFunction):
            raise DStreamTypeError(f"StateSpec.function: expected a function, got {mappingFunction!r}")
        return StateSpec(mappingFunction)

    def initialState(self, rdd: RDD[tuple[Any, Any]] | Iterable[tuple[Any, Any]]) -> StateSpec[R]:
        """Give the states that some keys have before the first batch, as ``(key, state)`` pairs."""
        self._initial = _initial(rdd, "StateSpec.initialState")
        return self

    def numPartitions(self, numPartitions: int) -> StateSpec[R]:
        """Set the number of partitions of state and result."""
        if isinstance(numPartitions, bool) or not isinstance(numPartitions, int) or numPartitions < 1:
            raise DStreamValueError(
                f"StateSpec.numPartitions: Number of partitions must be positive, got {numPartitions!r}"
            )
        self._partitions = numPartitions
        return self

    def timeout(self, idleDuration: float) -> StateSpec[R]:
        """Forget keys without data for longer than `idleDuration` seconds.

        The function is called once more for such a key, without a value, in the batch in which that is found:
        the first one later than the duration after the key's last record. (The old engine looks only every tenth
        batch.)
        """
        self._timeout_ms = to_milliseconds(idleDuration, "StateSpec.timeout")
        return self


class StateOperations(Transformations[T]):
    """Operations that keep something for each key from batch to batch. They need a checkpoint directory."""

    def updateStateByKey(
        self: StateOperations[tuple[K, V]],
        updateFunc: Callable[[list[V], S | None], S | None],
        numPartitions: int | None = None,
        initialRDD: RDD[tuple[K, S]] | Iterable[tuple[K, S]] | None = None,
    ) -> DStream[tuple[K, S]]:
        """Update the state of each key with the key's new values.

        Parameters
        ----------
        updateFunc : callable
            ``(list of new values, state or None) -> state``; None forgets the key. Called in every batch for every
            key that has a state or new values. A state may be anything that can be pickled, and may be changed in
            place.
        numPartitions : int, optional
            Partitions of state and result.
        initialRDD : RDD or list, optional
            States before the first batch, as ``(key, state)`` pairs.

        Returns
        -------
        DStream[tuple[K, S]]
            All keys with their states.
        """
        if not callable(updateFunc):
            raise DStreamTypeError(f"updateStateByKey: updateFunc must be a function, got {updateFunc!r}")
        initial = _initial(initialRDD, "updateStateByKey") if initialRDD is not None else None
        step = Update(updateFunc, self._node.slide_ms)
        return self._ssc._stream(self._stateful("updateStateByKey", step, numPartitions, initial, updateFunc))

    def mapWithState(self: StateOperations[tuple[K, V]], spec: StateSpec[R]) -> MapWithStateDStream[R]:
        """Call a function for each pair, with the state of its key; only keys with data cost anything.

        Parameters
        ----------
        spec : StateSpec
            ``StateSpec.function(f)`` and what is to be known beside.

        Returns
        -------
        MapWithStateDStream[R]
            What the function returned, and with ``stateSnapshots()`` the states.
        """
        if not isinstance(spec, StateSpec):
            raise DStreamTypeError(f"mapWithState: expected StateSpec.function(...), got {spec!r}")
        function, skip_none = _with_time(spec._function)
        step = MapState(function, skip_none, spec._timeout_ms, self._node.slide_ms)
        from dstreams.dstream import MapWithStateDStream  # a DStream, which inherits from this class

        node = self._stateful("mapWithState", step, spec._partitions, spec._initial, spec._function)
        stateful = self._ssc._stream(node)
        return MapWithStateDStream(stateful._node, self._ssc, step)

    def _stateful(
        self,
        op: str,
        step: Step,
        partitions: int | None,
        initial: RDD[Any] | list[Any] | None,
        function: Callable[..., Any],
    ) -> Node:
        n = self._partitions(partitions, op)
        site = call_site()
        step.where = f"{op} at {site}"
        start = (self._ssc._initial_state(initial, self._node.slide_ms),) if initial is not None else ()

        def evaluate(_: Any, rdd: Any, *first: Any) -> Any:
            return rdd.by_key(step, n, *first)

        return Node(
            op, (self._node, *start), evaluate, self._node.slide_ms,
            step=step, checkpointed=True, on_empty=OnEmpty.SHUFFLE, site=site,
            hint=function_name(function), code=function_code(function),
        )  # fmt: skip


def _initial(records: Any, op: str) -> RDD[Any] | list[Any] | None:
    if isinstance(records, RDD):
        return records
    if isinstance(records, str | bytes) or not isinstance(records, Iterable):
        raise DStreamTypeError(f"{op}: the initial state must be an RDD or a list of pairs, got {records!r:.200}")
    return list(records) or None


def _with_time(function: Callable[..., Any]) -> tuple[Callable[..., Any], bool]:
    """Bring a mapping function to the shape with the time; True if its None is no result."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        parameters = ()  # type: ignore[assignment]
    needed = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)
    if needed == 4:
        return function, True
    if needed == 3:
        return lambda _, key, value, state: function(key, value, state), False
    raise DStreamTypeError(
        "mapWithState: the function must take (key, value, state) or (time, key, value, state); "
        f"{getattr(function, '__name__', function)!s} needs {needed} arguments"
    )
