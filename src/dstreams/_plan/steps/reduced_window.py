"""``reduceByKeyAndWindow`` with an inverse: what entered is added to the last result, what left is taken off it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dstreams._plan.chunks import Chunks, write_chunk
from dstreams._plan.steps.keyed import KeyedState
from dstreams._plan.steps.step import Step

if TYPE_CHECKING:
    from dstreams._plan.batch_time import BatchTime
    from dstreams._plan.bucket import Bucket

__all__ = ["ReducedWindow"]

_INCREMENTAL = 5
"""The old engine's Python node reduces a window anew that is shorter than so many slides; results show it."""


class ReducedWindow(Step):
    """Step of ``reduceByKeyAndWindow`` with an inverse function; records are reduced by key already.

    Parameters
    ----------
    function, inverse : callable
        ``(a, b) -> c``; the inverse gets the value so far and the one that leaves.
    keep : callable, optional
        Pairs of the result for which it is false are forgotten.
    window_ms, slide_ms, parent_slide_ms : int
        Lengths in ms.
    """

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        inverse: Callable[[Any, Any], Any],
        keep: Callable[[tuple[Any, Any]], bool] | None,
        window_ms: int,
        slide_ms: int,
        parent_slide_ms: int,
    ) -> None:
        self._function = function
        self._inverse = inverse
        self._keep = keep
        self._window_ms = window_ms
        self._slide_ms = slide_ms
        self._parent_slide_ms = parent_slide_ms

    def run(self, bucket: Bucket, records: Iterable[Any], time: BatchTime) -> Chunks:
        """Store the batch's values; give the result of the window where the slide is due."""
        if time.due(self._parent_slide_ms) and self._window_ms > 0:
            fresh = list(self.pairs(records))
            if fresh:
                bucket.add(time.now_ms, write_chunk(fresh), len(fresh))
        if not time.due(self._slide_ms):
            return Chunks([])
        start, end = time.window(self._window_ms, self._slide_ms)
        if self._window_ms < _INCREMENTAL * self._slide_ms:
            if bucket.header is not None:  # until now the window had more slides, and a result that is not kept up now
                bucket.drop(lambda entry: type(entry.label) is not int)
                bucket.header = None
            values = self._reduced(bucket, start, end)
            self._filter(values, list(values))
            out = Chunks.of(values.items())
        else:
            state = KeyedState(bucket)
            put, removed = self._slide(bucket, state.values, start, end)
            out = Chunks.of(state.values.items())
            state.save(put, removed)
            bucket.header = end if bucket.entries else None
        bucket.drop(lambda entry: type(entry.label) is int and entry.label <= start)
        return out

    def _slide(self, bucket: Bucket, values: dict[Any, Any], start: int, end: int) -> tuple[list[Any], list[Any]]:
        """Take off what has left the window since the last result, and add what has come."""
        last = start if bucket.header is None else bucket.header
        touched: dict[Any, None] = {}
        # Everything that is stored until the last result is in it, however long the window was then.
        for key, old in self._reduced(bucket, 0, min(start, last)).items():
            if key in values and old is not None:
                values[key] = self._call(self._inverse, "the inverse function raised", key, values[key], old)
                touched[key] = None
        for key, new in self._reduced(bucket, max(start, last), end).items():
            if key in values:
                new = self._call(self._function, "the reduce function raised", key, values[key], new)
            values[key] = new
            touched[key] = None
        removed = self._filter(values, list(touched))
        return [key for key in touched if key in values], removed

    def _filter(self, values: dict[Any, Any], keys: list[Any]) -> list[Any]:
        """Forget the pairs that shall not be kept; only those that changed are asked about."""
        keep = self._keep
        if keep is None:
            return []
        removed = [key for key in keys if not self._call(keep, "filterFunc raised", key, (key, values[key]))]
        for key in removed:
            del values[key]
        return removed

    def _reduced(self, bucket: Bucket, after: int, until: int) -> dict[Any, Any]:
        """Values by key of the batches after one time, until another."""
        total: dict[Any, Any] = {}
        for entry in bucket.entries:
            if type(entry.label) is int and after < entry.label <= until:
                for key, value in pickle.loads(bucket.read(entry)):
                    if key in total:
                        value = self._call(self._function, "the reduce function raised", key, total[key], value)
                    total[key] = value
        return total

    def _call(self, function: Callable[..., Any], what: str, key: Any, *args: Any) -> Any:
        try:
            return function(*args)
        except Exception as error:
            self.fail(error, what, key)
