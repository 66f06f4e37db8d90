"""State moved from one run to another: to the places of another plan, or into another number of partitions.

A query with the stateful operators of the new plan stores every entry as its batch 0. Where an operation has another
number of partitions, a Spark job takes its buckets apart by key first, and another one puts the new ones together.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from dstreams._plan.graph import function_name
from dstreams._plan.migrate import ENTRIES, Migrate
from dstreams._plan.rebucket import join, read_slots, split
from dstreams._plan.stages import KEEP
from dstreams._run.stored_state import StoredState, places_of
from dstreams._spark.python_stage import transform_with_state
from dstreams._spark.rdd import portable_hash
from dstreams._spark.source import Offset, Reader, reader_frame
from dstreams._spark.stream import start_stream
from dstreams.errors import UpgradeError

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import RDD

    from dstreams._run.layout import Layout, Place

__all__ = ["Migration", "can_repartition"]

log = logging.getLogger("dstreams")

_ROUTES = {function_name(portable_hash): portable_hash, function_name(None): None, function_name(KEEP): None}
"""How operations spread records over partitions, by its name in a layout; where no key decides, they are dealt out."""


def can_repartition(place: Place) -> bool:
    """Whether it is known here how records are spread; not where the program has a function of its own for that."""
    return place.route in _ROUTES


@dataclass
class Migration:
    """Moves the state of a run.

    Parameters
    ----------
    session : SparkSession
        Does the work.
    old : StoredState
        What the run has stored.
    steps : dict of str to str
        Class of the step of each operation.
    """

    session: SparkSession
    old: StoredState
    steps: dict[str, str]

    def store(self, location: str, layout: Layout, name: str) -> None:
        """Make the checkpoint location of a query, with the old state of its operations as its batch 0."""
        self.session.conf.set("spark.sql.shuffle.partitions", str(layout.partitions))
        frame = reader_frame(self.session, _EntriesReader(self._moved(layout)))
        for exchanges in layout.operators:
            frame = transform_with_state(frame, Migrate(exchanges), ENTRIES)

        def run(jdf: JavaObject, _: int) -> None:
            jdf.queryExecution().toRdd().count()

        stream = start_stream(frame, run, 0, location, name)
        try:
            stream.processAllAvailable()
        finally:
            stream.stop()

    def verify(self, new: StoredState) -> None:
        """See that all state that was repartitioned is there, and where the program will look for it.

        Raises
        ------
        UpgradeError
            If not.
        """
        for id, place in places_of(new.layouts).items():
            before = self.old.of_operation(id) if self._is_repartitioned(id, place) else None
            if before is None:
                continue
            after = new.of_operation(id)
            expected, _ = _count(before, self.steps[id], place)
            found, misplaced = _count(after, self.steps[id], place) if after is not None else (0, 0)
            if expected != found or misplaced:
                raise UpgradeError(
                    [
                        f"{id!r} has {expected} values and records, and of those {found} were stored in the new "
                        f"partitions, {misplaced} in wrong ones. This is a mistake of dstreams; please report it"
                    ]
                )

    def _moved(self, layout: Layout) -> DataFrame:
        """Entries of the old state that belong into a new query, with their new keys."""
        parts = [self.session.createDataFrame([], ENTRIES)]
        for id, place in layout.state.items():
            entries = self.old.of_operation(id)
            if entries is None:
                continue
            if self._is_repartitioned(id, place):
                log.info("the state of %s is spread over %d partitions", id, len(place.buckets))
                parts.append(_repartitioned(entries, self.steps[id], place))
            else:
                bucket = sf.expr(f"element_at(array({', '.join(map(str, place.buckets))}), part + 1)")
                op, step = sf.lit(place.exchange).alias("op"), sf.lit(place.step).alias("step")
                parts.append(entries.select(op, bucket.alias("bucket"), "part", step, "slot", "data"))
        return reduce(DataFrame.union, parts)

    def _is_repartitioned(self, id: str, place: Place) -> bool:
        before = places_of(self.old.layouts).get(id)
        return before is not None and len(before.buckets) != len(place.buckets)


class _EntriesReader(Reader):
    """Gives entries of an old state as the one batch of a query."""

    name = "dstreams-state"
    schema = ENTRIES

    def __init__(self, entries: DataFrame) -> None:
        self._entries = entries

    def latest(self, previous: Offset | None) -> Offset:
        """The one offset."""
        return 0

    def batch(self, start: Offset | None, end: Offset) -> DataFrame:
        """All entries."""
        return self._entries


def _repartitioned(entries: DataFrame, state: str, place: Place) -> DataFrame:
    """Entries of an operation, with a step of a class, in the partitions of another place."""
    exchange, step, buckets, route = place.exchange, place.step, place.buckets, _ROUTES[place.route]

    def rows(part: tuple[int, Any]) -> Iterator[tuple[int, int, int, int, int, bytes]]:
        number, contents = part
        for slot, data in join(state, contents).items():
            yield exchange, buckets[number], number, step, slot, data

    parts = _slots(entries).flatMap(lambda part: split(state, part[1], len(buckets), route)).groupByKey(len(buckets))
    return entries.sparkSession.createDataFrame(parts.flatMap(rows), ENTRIES, verifySchema=False)


def _count(entries: DataFrame, state: str, place: Place) -> tuple[int, int]:
    """Count the values and records of an operation, and those not in the partition that its place has for them."""
    route, partitions = _ROUTES[place.route], len(place.buckets)

    def counted(part: tuple[int, dict[int, bytes]]) -> tuple[int, int]:
        number, slots = part
        content = read_slots(state, slots)
        if route is None:
            return len(content), 0
        pairs = [*content.values, *(pair for records in content.batches.values() for pair in records)]
        return len(content), sum(route(pair[0]) % partitions != number for pair in pairs)

    return _slots(entries).map(counted).fold((0, 0), lambda a, b: (a[0] + b[0], a[1] + b[1]))


def _slots(entries: DataFrame) -> RDD[tuple[int, dict[int, bytes]]]:
    rows = entries.select("part", "slot", "data").rdd
    pairs: RDD[tuple[int, Any]] = rows.map(lambda row: (row.part, (row.slot, bytes(row.data))))
    return pairs.groupByKey().mapValues(dict)
