"""The state of one stateful operation for the keys of one hash bucket, as entries of bytes in Spark's state store.

State is bytes to bytes, so that a program's types may change between two runs without a change of schema. An entry
is written once and never changed; a *manifest*, itself stored, lists the entries that count. Each entry has a random
token in the manifest: what a Python worker remembers of an entry is right if the token is the one in the store,
whichever worker wrote it, in whichever attempt. So a worker may keep what it has unpickled, and the store stays the
truth.
"""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple, Protocol

__all__ = ["CACHE_BYTES", "CACHE_VARIABLE", "Bucket", "BucketCache", "Entry", "Pages"]

_MANIFEST = -1
CACHE_BYTES = 128 << 20
CACHE_VARIABLE = "DSTREAMS_STATE_CACHE"
"""Variable of a worker's environment: how many bytes it keeps of buckets, as they are in the state store."""


class Pages(Protocol):
    """Spark's map state of the current group, ``(step, slot) -> (data,)``."""

    def getValue(self, key: tuple[int, int]) -> Any:
        """Return the row of a slot, or None."""

    def updateValue(self, key: tuple[int, int], value: tuple[bytes]) -> None:
        """Write a slot."""

    def removeKey(self, key: tuple[int, int]) -> None:
        """Remove a slot."""


class Entry(NamedTuple):
    """One line of the manifest: what the entry is, the slot it is in, its number of records, its token, its bytes."""

    label: Hashable
    slot: int
    size: int
    token: bytes
    length: int = 0


class BucketCache:
    """What this worker keeps of the buckets that it has seen last, of all queries whose stages it runs.

    Parameters
    ----------
    limit : int
        So many bytes at most, as they are stored.

    Attributes
    ----------
    length : int
        Bytes that are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.length = 0

    def take(self, key: Hashable) -> Any:
        """Remove and return what is remembered of a bucket: a batch that fails leaves nothing half changed here."""
        value, length = self._kept.pop(key, (None, 0))
        self.length -= length
        return value

    def keep(self, key: Hashable, value: Any, length: int) -> None:
        """Remember something of a bucket until the next batch, instead of what was kept longest ago."""
        self.take(key)
        if length > self._limit:
            return
        self._kept[key] = value, length
        self.length += length
        while self.length > self._limit:
            self.take(next(iter(self._kept)))


class Bucket:
    """Entries of one step in one bucket, during one batch.

    Parameters
    ----------
    pages : Pages
        Where Spark keeps them.
    step : int
        Number of the step, the first half of every key.
    cached : object, optional
        What the step kept in :attr:`cached` when this worker ran it for this bucket the last time.

    Attributes
    ----------
    header : object
        A small thing that the step keeps in the manifest.
    """

    def __init__(self, pages: Pages, step: int, cached: Any = None) -> None:
        self._pages = pages
        self._step = step
        self.cached = cached
        row = pages.getValue((step, _MANIFEST))
        header, lines = pickle.loads(bytes(row[0])) if row is not None else (None, [])
        self.header: Any = header
        self.entries = [Entry(*line) for line in lines]
        self._stored = header, list(self.entries)
        self._next = max((entry.slot for entry in self.entries), default=_MANIFEST) + 1

    @property
    def length(self) -> int:
        """Bytes of all entries."""
        return sum(entry.length for entry in self.entries)

    def read(self, entry: Entry) -> bytes:
        """Bytes of an entry."""
        row = self._pages.getValue((self._step, entry.slot))
        if row is None:
            raise RuntimeError(f"the state store has lost slot {entry.slot} of step {self._step}")
        data = bytes(row[0])
        if entry.length != len(data):  # written by an older version, which did not say
            self.entries[self.entries.index(entry)] = entry._replace(length=len(data))
        return data

    def add(self, label: Hashable, data: bytes, size: int) -> Entry:
        """Write an entry and list it last."""
        entry = Entry(label, self._next, size, os.urandom(8), len(data))
        self._next += 1
        self._pages.updateValue((self._step, entry.slot), (data,))
        self.entries.append(entry)
        return entry

    def drop(self, unwanted: Callable[[Entry], bool]) -> None:
        """Remove entries."""
        for entry in filter(unwanted, self.entries):
            self._pages.removeKey((self._step, entry.slot))
        self.entries = [entry for entry in self.entries if not unwanted(entry)]

    def labelled(self, labels: Iterable[Hashable]) -> list[Entry]:
        """Entries with one of these labels, in the order in which they were written."""
        wanted = set(labels)
        return [entry for entry in self.entries if entry.label in wanted]

    def close(self) -> None:
        """Write the manifest, if it has changed."""
        if (self.header, self.entries) != self._stored:
            lines = [tuple(entry) for entry in self.entries]
            data = pickle.dumps((self.header, lines), pickle.HIGHEST_PROTOCOL)
            self._pages.updateValue((self._step, _MANIFEST), (data,))
            self._stored = self.header, list(self.entries)
