"""State in another number of partitions: the entries of a bucket taken apart by key, and put together in new buckets.

Runs in Spark's workers. It knows what the steps store: values by key (:mod:`dstreams._plan.steps.keyed`), and records
by batch time, as lists of pairs (``reduceByKeyAndWindow``) or of chunks (``window``).
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dstreams._plan.bucket import Bucket
from dstreams._plan.chunks import write_chunk
from dstreams._plan.steps.keyed import KeyedState

__all__ = ["Content", "Slots", "join", "read_slots", "split"]

_STEP = 0
Slots = dict[int, bytes]
"""Entries of one step in one bucket, as the state store has them."""


class _Memory:
    """Map state that is a dict."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots

    def getValue(self, key: tuple[int, int]) -> Any:
        found = self.slots.get(key[1])
        return None if found is None else (found,)

    def updateValue(self, key: tuple[int, int], value: tuple[bytes]) -> None:
        self.slots[key[1]] = value[0]

    def removeKey(self, key: tuple[int, int]) -> None:
        self.slots.pop(key[1], None)


@dataclass
class Content:
    """What a bucket, or a part of one, holds.

    Attributes
    ----------
    header : object
        The step's header.
    values : list of tuple
        Keys with their values, in order.
    batches : dict of int to list
        Records by batch time, in ms.
    """

    header: Any = None
    values: list[tuple[Any, Any]] = field(default_factory=list)
    batches: dict[int, list[Any]] = field(default_factory=lambda: defaultdict(list))

    def __len__(self) -> int:
        return len(self.values) + sum(map(len, self.batches.values()))


def read_slots(state: str, slots: Slots) -> Content:
    """Read a bucket.

    Parameters
    ----------
    state : str
        Class of the step.
    slots : dict of int to bytes
        Its entries.
    """
    bucket = Bucket(_Memory(slots), _STEP)
    content = Content(bucket.header)
    for entry in bucket.entries:
        if type(entry.label) is int:
            records = pickle.loads(bucket.read(entry))
            if state == "Window":
                records = [record for chunk in records for record in pickle.loads(chunk)]
            content.batches[entry.label] += records
    content.values = list(KeyedState(bucket).values.items())
    return content


def split(
    state: str, slots: Slots, partitions: int, route: Callable[[Any], int] | None
) -> Iterator[tuple[int, Content]]:
    """Take an old bucket apart: what each of the new partitions gets of it.

    Parameters
    ----------
    state : str
        Class of the step.
    slots : dict of int to bytes
        Its entries.
    partitions : int
        How many there will be.
    route : callable, optional
        Key to a number; None where records were dealt out evenly.
    """
    whole = read_slots(state, slots)
    # All of them get the header, also those that get nothing else.
    parts = [Content(whole.header) for _ in range(partitions)]
    for key, value in whole.values:
        assert route is not None, "values by key are never dealt out"
        parts[route(key) % partitions].values.append((key, value))
    for time_ms, records in whole.batches.items():
        for number, record in enumerate(records):
            part = (number if route is None else route(record[0])) % partitions
            parts[part].batches[time_ms].append(record)
    yield from enumerate(parts)


def join(state: str, parts: Iterable[Content]) -> Slots:
    """Put a new bucket together: its entries in the state store.

    Parameters
    ----------
    state : str
        Class of the step.
    parts : iterable of Content
        What it gets.
    """
    memory = _Memory({})
    bucket = Bucket(memory, _STEP)
    parts = list(parts)
    batches: dict[int, list[Any]] = defaultdict(list)
    for part in parts:
        for time_ms, records in part.batches.items():
            batches[time_ms] += records
    for time_ms, records in sorted(batches.items()):
        if state == "Window":
            bucket.add(time_ms, pickle.dumps([write_chunk(records)], pickle.HIGHEST_PROTOCOL), 1)
        else:
            bucket.add(time_ms, write_chunk(records), len(records))
    values = [pair for part in parts for pair in part.values]
    if state == "MapState":  # which has its keys in the order of their last use
        values.sort(key=lambda pair: int(pair[1][1]))
    if values:
        KeyedState(bucket).take(values)
    headers = [part.header for part in parts if part.header is not None]
    bucket.header = max(headers) if headers and bucket.entries else None
    bucket.close()
    return memory.slots
