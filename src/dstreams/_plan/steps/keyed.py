"""Values by key: a snapshot in pages, and a log of what has changed since.

A batch writes the keys that it changed, as one entry of the log; when the log has grown to half of the snapshot, a
new snapshot takes the place of both. So a batch costs what it touches and not what is stored, and a worker that has
missed some batches catches up by reading their log.
"""

from __future__ import annotations

import pickle
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from dstreams._plan.bucket import Bucket, Entry
from dstreams._plan.chunks import dump, write_chunk

__all__ = ["KeyedState", "changed"]

_SNAPSHOT, _LOG = "snapshot", "log"
_PAGE_KEYS = 50_000
_SHORT_LOG = 1_000
"""A log of fewer changes is never worth a new snapshot."""
_LONG_LOG = 256
"""A bucket that has to be read anew is read in one snapshot and at most so many entries of the log."""
_PLAIN = frozenset({int, str, bytes, bool, type(None)})
_Fingerprints = dict[Hashable, int]


def changed(old: Any, new: Any) -> bool | None:
    """Whether a value differs from the one before; None if equality cannot tell, because it may be mutable."""
    kind = type(new)
    if kind in _PLAIN:
        return not (type(old) is kind and old == new)
    if kind is float:
        # Zero and minus zero are equal, and nan is not equal to itself: both count as changed.
        return not (type(old) is float and old == new and new != 0)
    if kind is tuple:
        if type(old) is not tuple or len(old) != len(new):
            return None if any(changed(None, item) is None for item in new) else True
        items = [changed(a, b) for a, b in zip(old, new, strict=True)]
        return None if None in items else True in items
    return None


@dataclass
class _Memory:
    """What a worker keeps: the values as of these entries, and of mutable values what they looked like."""

    tokens: list[bytes] = field(default_factory=list)
    values: dict[Any, Any] = field(default_factory=dict)
    fingerprints: _Fingerprints = field(default_factory=dict)


class KeyedState:
    """The values of one bucket, loaded.

    Parameters
    ----------
    bucket : Bucket
        Where they are stored; its :attr:`~Bucket.cached` belongs to this class.

    Attributes
    ----------
    values : dict
        Value by key, in the order in which they were last saved. To be changed by the step, which then calls
        :meth:`save`.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        memory = bucket.cached if isinstance(bucket.cached, _Memory) else _Memory()
        bucket.cached = None
        entries = self._entries()
        known = len(memory.tokens)
        if [entry.token for entry in entries[:known]] != memory.tokens:
            memory, known = _Memory(), 0
        for entry in entries[known:]:
            _replay(memory, bucket.read(entry))
        self._memory = memory
        self._looked: set[Any] = set()
        self.values = memory.values

    def take(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Take over values that the program starts with; of several for one key the first, as on the old engine."""
        fresh: dict[Any, Any] = {}
        for key, value in pairs:
            fresh.setdefault(key, value)
        self.values.update(fresh)
        self.save(list(fresh), [])

    def mutated(self, key: Any, value: Any) -> bool:
        """Whether a mutable value looks different from when it was saved last."""
        look = hash(write_chunk([(key, value)]))
        before = self._memory.fingerprints.get(key)
        self._memory.fingerprints[key] = look
        self._looked.add(key)
        return look != before

    def save(self, put: list[Any], removed: list[Any]) -> None:
        """Write the keys in `put` with the values they have now, and forget those in `removed`.

        To be called once per batch, after :attr:`values` has been changed.
        """
        values, fingerprints = self.values, self._memory.fingerprints
        if fingerprints:
            for key in removed:
                fingerprints.pop(key, None)
            for key in put:
                if key not in self._looked:  # it is not mutable now, and what it was before is no longer stored
                    fingerprints.pop(key, None)
        if put or removed:
            log = self._bucket.labelled([_LOG])
            logged = sum(entry.size for entry in log) + len(put) + len(removed)
            if logged > max(_SHORT_LOG, len(values) // 2) or len(log) >= _LONG_LOG:
                self._snapshot()
            else:
                data = _written([(key, values[key]) for key in put], removed)
                self._bucket.add(_LOG, data, len(put) + len(removed))
        self._memory.tokens = [entry.token for entry in self._entries()]
        self._bucket.cached = self._memory

    def _snapshot(self) -> None:
        self._bucket.drop(lambda entry: entry.label in (_SNAPSHOT, _LOG))
        items = iter(self.values.items())
        while page := list(islice(items, _PAGE_KEYS)):
            self._bucket.add(_SNAPSHOT, _written(page, []), len(page))

    def _entries(self) -> list[Entry]:
        return self._bucket.labelled([_SNAPSHOT, _LOG])


def _written(put: list[tuple[Any, Any]], removed: list[Any]) -> bytes:
    try:
        return dump((put, removed))
    except Exception:
        write_chunk(put)  # its error names the pair
        raise


def _replay(memory: _Memory, data: bytes) -> None:
    put, removed = pickle.loads(data)
    values = memory.values
    _drop(values, removed)
    for key, value in put:
        values.pop(key, None)  # so that the order is the order of saving
        values[key] = value
        memory.fingerprints.pop(key, None)


def _drop(values: dict[Any, Any], keys: Iterable[Any]) -> None:
    for key in keys:
        values.pop(key, None)
