"""``updateStateByKey``: a function of the new values and the old state, called for every known key in every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dstreams._plan.chunks import Chunks
from dstreams._plan.steps.keyed import KeyedState, changed
from dstreams._plan.steps.step import Step

if TYPE_CHECKING:
    from dstreams._plan.batch_time import BatchTime
    from dstreams._plan.bucket import Bucket

__all__ = ["Update"]


class Update(Step):
    """Step of ``updateStateByKey``.

    Parameters
    ----------
    function : callable
        ``(list of new values, state or None) -> state or None``.
    parent_slide_ms : int
        Slide of the parent, in ms; between its times there is nothing to do.
    """

    def __init__(self, function: Callable[[list[Any], Any], Any], parent_slide_ms: int) -> None:
        self._function = function
        self._parent_slide_ms = parent_slide_ms

    def start(self, bucket: Bucket, initial: Iterable[Any], time: BatchTime) -> None:
        """Take the initial states."""
        KeyedState(bucket).take(self.pairs(initial))

    def run(self, bucket: Bucket, records: Iterable[Any], time: BatchTime) -> Chunks:
        """Call the function for every key that has a state or new values."""
        if not time.due(self._parent_slide_ms):
            return Chunks([])
        news = self._by_key(records)
        state = KeyedState(bucket)
        values, function = state.values, self._function
        put: list[Any] = []
        removed: list[Any] = []
        key: Any = None
        try:
            for key, old in values.items():
                # A list of its own for every call: the function may keep it as its state.
                new = function(news.pop(key) if key in news else [], old)
                if new is None:
                    removed.append(key)
                    continue
                differs = changed(old, new)
                if new is not old:
                    values[key] = new  # no key comes or goes, so that the dict may be changed in the loop
                if differs or (differs is None and state.mutated(key, new)):
                    put.append(key)
            for key in removed:
                del values[key]
            for key, new_values in news.items():
                new = function(new_values, None)
                if new is not None:
                    values[key] = new
                    put.append(key)
                    if changed(None, new) is None:
                        state.mutated(key, new)
        except Exception as error:
            self.fail(error, "the update function raised", key)
        out = Chunks.of(values.items())
        state.save(put, removed)
        return out

    def idle(self, bucket: Bucket, time: BatchTime) -> Chunks:
        """Give the states as they are; the function is not called."""
        state = KeyedState(bucket)
        out = Chunks.of(state.values.items())
        state.save([], [])
        return out

    def _by_key(self, records: Iterable[Any]) -> dict[Any, list[Any]]:
        news: dict[Any, list[Any]] = {}
        for key, value in self.pairs(records):
            news.setdefault(key, []).append(value)
        return news
