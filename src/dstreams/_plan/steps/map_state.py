"""``mapWithState``: a function called once for each record, with the state of its key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dstreams._plan.chunks import Chunks
from dstreams._plan.steps.keyed import KeyedState
from dstreams._plan.steps.step import Step
from dstreams.errors import DStreamStateError

if TYPE_CHECKING:
    from dstreams._plan.batch_time import BatchTime
    from dstreams._plan.bucket import Bucket

__all__ = ["MapState", "State"]

S = TypeVar("S")
_NOTHING: Any = object()


class State(Generic[S]):
    """The state of one key, as the function of ``mapWithState`` gets it.

    Valid during that one call. Methods and error texts are those of Scala's ``org.apache.spark.streaming.State``.
    """

    def __init__(self, value: S = _NOTHING, timing_out: bool = False) -> None:
        self._value = value
        self._timing_out = timing_out
        self._removed = False

    def exists(self) -> bool:
        """Whether the key has a state."""
        return self._value is not _NOTHING

    def get(self) -> S:
        """Return the state.

        Raises
        ------
        DStreamStateError
            "State is not set", where there is none.
        """
        if self._value is _NOTHING:
            raise DStreamStateError("State is not set")
        return self._value

    def getOption(self) -> S | None:
        """Return the state, or None where there is none."""
        return None if self._value is _NOTHING else self._value

    def update(self, newState: S) -> None:
        """Set the state.

        Raises
        ------
        DStreamStateError
            If it has been removed, or is timing out.
        """
        self._forbid("update", "Cannot update the state after it has been removed")
        self._value = newState

    def remove(self) -> None:
        """Remove the state of this key.

        Raises
        ------
        DStreamStateError
            If it has been removed already, or is timing out.
        """
        self._forbid("remove", "Cannot remove the state that has already been removed")
        self._value, self._removed = _NOTHING, True

    def isTimingOut(self) -> bool:
        """Whether this is the last call for a key that has been idle for too long; its state goes away after it."""
        return self._timing_out

    def _forbid(self, what: str, removed: str) -> None:
        if self._removed:
            raise DStreamStateError(f"requirement failed: {removed}")
        if self._timing_out:
            raise DStreamStateError(f"requirement failed: Cannot {what} the state that is timing out")

    def __repr__(self) -> str:
        return f"State({self._value!r})" if self.exists() else "State()"


class MapState(Step):
    """Step of ``mapWithState``.

    Parameters
    ----------
    function : callable
        ``(time, key, value or None, State) -> result``.
    skip_none : bool
        True if a result of None means no result (the shape with the time); otherwise None is one.
    timeout_ms : int, optional
        A key idle for longer is called once more, without a value, and forgotten.
    parent_slide_ms : int
        Slide of the parent, in ms.

    Attributes
    ----------
    snapshots : bool
        True if results and states are both wanted: then what comes out are pairs of True and a result, and pairs of
        False and a ``(key, state)``.
    """

    snapshots = False

    def __init__(
        self, function: Callable[..., Any], skip_none: bool, timeout_ms: int | None, parent_slide_ms: int
    ) -> None:
        self._function = function
        self._skip_none = skip_none
        self._timeout_ms = timeout_ms
        self._parent_slide_ms = parent_slide_ms

    def start(self, bucket: Bucket, initial: Iterable[Any], time: BatchTime) -> None:
        """Take the initial states."""
        KeyedState(bucket).take((key, (value, time.now_ms)) for key, value in self.pairs(initial))

    def run(self, bucket: Bucket, records: Iterable[Any], time: BatchTime) -> Chunks:
        """Call the function for every record, then for the keys that have been idle for too long."""
        if not time.due(self._parent_slide_ms):
            return Chunks([])
        state = KeyedState(bucket)
        values, when = state.values, datetime.fromtimestamp(time.now_ms / 1000)
        touched: dict[Any, None] = {}
        results: list[Any] = []
        for key, value in self.pairs(records):
            before = values.get(key)
            current: State[Any] = State() if before is None else State(before[0])
            self._call(results, when, key, value, current)
            # To the end, here and in what is written: the keys are in the order of their last use.
            if current._removed:
                values.pop(key, None)
            elif current.exists():  # without update() too: the function may have changed it in place
                values.pop(key, None)
                values[key] = (current._value, time.now_ms)
            else:
                continue
            touched.pop(key, None)
            touched[key] = None
        for key in self._idle(values, time):
            self._call(results, when, key, None, State(values.pop(key)[0], timing_out=True))
            touched[key] = None
        if self.snapshots:
            both = [(True, result) for result in results]
            out = Chunks.of(both + [(False, (key, value)) for key, (value, _) in values.items()])
        else:
            out = Chunks.of(results)
        state.save([key for key in touched if key in values], [key for key in touched if key not in values])
        return out

    def _call(self, results: list[Any], when: datetime, key: Any, value: Any, state: State[Any]) -> None:
        try:
            result = self._function(when, key, value, state)
        except Exception as error:
            self.fail(error, "the function raised", key)
        if result is not None or not self._skip_none:
            results.append(result)

    def _idle(self, values: dict[Any, Any], time: BatchTime) -> list[Any]:
        """Keys whose last use is longer ago than the timeout; only those are looked at."""
        idle: list[Any] = []
        if self._timeout_ms is not None:
            for key, (_, used_ms) in values.items():
                if used_ms >= time.now_ms - self._timeout_ms:
                    break
                idle.append(key)
        return idle
