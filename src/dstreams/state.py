"""What ``mapWithState`` is told to do, and the state that its function gets."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Generic, TypeVar, overload

from pyspark import RDD

from dstreams._plan.steps.map_state import State
from dstreams.duration import to_milliseconds
from dstreams.errors import DStreamTypeError, DStreamValueError

__all__ = ["State", "StateSpec"]

Q = TypeVar("Q")
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

    @overload
    @staticmethod
    def function(mappingFunction: Callable[[Any, Any, State[Any]], Q]) -> StateSpec[Q]: ...
    @overload
    @staticmethod
    def function(mappingFunction: Callable[[datetime, Any, Any, State[Any]], Q | None]) -> StateSpec[Q]: ...
    @staticmethod
    def function(mappingFunction: Callable[..., Any]) -> StateSpec[Any]:
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
        self._initial = initial_state(rdd, "StateSpec.initialState")
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

    def _with_time(self) -> tuple[Callable[..., Any], bool]:
        """The function in the shape with the time, and whether its None is no result."""
        function = self._function
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # a builtin without a signature
            parameters = ()  # type: ignore[assignment]
        needed = sum(
            p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters
        )
        if needed == 4:
            return function, True
        if needed == 3:
            return lambda _, key, value, state: function(key, value, state), False
        raise DStreamTypeError(
            "mapWithState: the function must take (key, value, state) or (time, key, value, state); "
            f"{getattr(function, '__name__', function)!s} needs {needed} arguments"
        )


def initial_state(records: Any, op: str) -> RDD[Any] | list[Any] | None:
    """Refuse what is neither an RDD nor a list of pairs."""
    if isinstance(records, RDD):
        return records
    if isinstance(records, str | bytes) or not isinstance(records, Iterable):
        raise DStreamTypeError(f"{op}: the initial state must be an RDD or a list of pairs, got {records!r:.200}")
    return list(records) or None
