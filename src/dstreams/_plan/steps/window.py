"""``window``: the records of the last batches. One entry per batch; a batch writes its own and drops the expired."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dstreams._plan.chunks import Chunks
from dstreams._plan.steps.step import Step

if TYPE_CHECKING:
    from dstreams._plan.batch_time import BatchTime
    from dstreams._plan.bucket import Bucket

__all__ = ["Window"]


class Window(Step):
    """Step of ``window``.

    Parameters
    ----------
    window_ms, slide_ms, parent_slide_ms : int
        Lengths in ms.
    """

    def __init__(self, window_ms: int, slide_ms: int, parent_slide_ms: int) -> None:
        self._window_ms = window_ms
        self._slide_ms = slide_ms
        self._parent_slide_ms = parent_slide_ms

    def run(self, bucket: Bucket, records: Iterable[Any], time: BatchTime) -> Chunks:
        """Store the batch's records; give all of the window where the slide is due, oldest first."""
        start, end = time.window(self._window_ms, self._slide_ms)
        due = time.due(self._slide_ms)
        expired = start if due else time.expired(self._window_ms, self._slide_ms)
        kept: dict[bytes, list[bytes]] = bucket.cached or {}
        if time.due(self._parent_slide_ms) and self._window_ms > 0:
            fresh = Chunks.of(records).chunks
            if fresh:
                data = pickle.dumps(fresh, pickle.HIGHEST_PROTOCOL)
                kept[bucket.add(time.now_ms, data, len(fresh)).token] = fresh
        bucket.drop(lambda entry: entry.label <= expired)  # type: ignore[operator]
        window: list[bytes] = []
        for entry in bucket.entries if due else ():
            if entry.label > end:  # type: ignore[operator]
                continue
            if entry.token not in kept:
                kept[entry.token] = pickle.loads(bucket.read(entry))
            window += kept[entry.token]
        bucket.cached = {entry.token: kept[entry.token] for entry in bucket.entries if entry.token in kept}
        return Chunks(window)
