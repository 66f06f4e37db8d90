"""State of an operation spread over another number of partitions, by Spark jobs on its stored entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyspark.core.rdd import portable_hash
from pyspark.sql import DataFrame

from dstreams._plan.graph import function_name
from dstreams._plan.rebucket import Content, Join, Split, read_slots
from dstreams._plan.stages import KEEP
from dstreams._plan.take_over import STORED

if TYPE_CHECKING:
    from pyspark import RDD

    from dstreams._run.layout import Place

__all__ = ["can_spread", "misplaced", "spread", "total"]

_ROUTES = {function_name(portable_hash): portable_hash, function_name(None): None, function_name(KEEP): None}
"""How operations spread records over partitions, by its name in a layout; where no key decides, they are dealt out."""


def can_spread(place: Place) -> bool:
    """Whether it is known here how records are spread; not where the program has a function of its own for that."""
    return place.route in _ROUTES


def spread(entries: DataFrame, state: str, place: Place) -> DataFrame:
    """Spread the entries of an operation over the partitions of another place.

    Parameters
    ----------
    entries : DataFrame
        Columns ``part, slot, data``.
    state : str
        Class of its step.
    place : Place
        Where they go.

    Returns
    -------
    DataFrame
        In the schema of :data:`STORED`.
    """
    exchange, step, buckets = place.exchange, place.step, place.buckets
    split, join = Split(state, len(buckets), _ROUTES[place.route]), Join(state)

    def rows(part: tuple[int, Any]) -> Iterator[tuple[int, int, int, int, int, bytes]]:
        number, contents = part
        for slot, data in join(contents).items():
            yield exchange, buckets[number], number, step, slot, data

    whole = _slots(entries)
    parts = whole.flatMap(lambda part: split(part[1])).groupByKey(len(buckets))
    return entries.sparkSession.createDataFrame(parts.flatMap(rows), STORED, verifySchema=False)


def total(entries: DataFrame, state: str) -> int:
    """Count the values and records in the entries of an operation."""
    return int(_contents(entries, state).map(lambda part: len(part[1])).sum())


def misplaced(entries: DataFrame, state: str, place: Place) -> int:
    """Count what is in another partition than the one where the program will look for it."""
    route, partitions = _ROUTES[place.route], len(place.buckets)

    def wrong(part: tuple[int, Content]) -> int:
        number, content = part
        if route is None:
            return 0
        pairs = [*content.values, *(pair for records in content.batches.values() for pair in records)]
        return sum(route(pair[0]) % partitions != number for pair in pairs)

    return int(_contents(entries, state).map(wrong).sum())


def _contents(entries: DataFrame, state: str) -> RDD[tuple[int, Content]]:
    return _slots(entries).mapValues(lambda slots: read_slots(state, dict(slots)))


def _slots(entries: DataFrame) -> RDD[tuple[int, Any]]:
    rows = entries.select("part", "slot", "data").rdd
    pairs: RDD[tuple[int, Any]] = rows.map(lambda row: (row.part, (row.slot, bytes(row.data))))
    return pairs.groupByKey()
