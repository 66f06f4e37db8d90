"""State as a run has stored it, read with Spark's own reader of state stores."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from dstreams._run.layout import TICK, Layout, Place
from dstreams._run.query_log import Position, QueryLog
from dstreams._run.runs import exchange_folder

if TYPE_CHECKING:
    from dstreams._spark.files import Files

__all__ = ["StoredState", "places_of"]


def places_of(layouts: list[Layout]) -> dict[str, Place]:
    """Where the state of each operation is, in the query or the exchange that has it."""
    return {id: place for layout in layouts for id, place in layout.state.items()}


@dataclass
class StoredState:
    """State of a run after its last batch that is done.

    Parameters
    ----------
    session : SparkSession
        Reads it.
    files : Files
        Files of the run.
    layouts : list of Layout
        Where its query, and each exchange, keeps what.
    position : Position or None
        How far it has got.
    """

    session: SparkSession
    files: Files
    layouts: list[Layout]
    position: Position | None

    def of_operation(self, id: str) -> DataFrame | None:
        """Entries ``part, slot, data`` of an operation; None if it has none."""
        for number, layout in enumerate(self.layouts):
            if (place := layout.state.get(id)) is not None:
                entries = self.of_operator(number, layout.operator_of(place.exchange))
                if entries is not None:
                    buckets = f"array({', '.join(map(str, place.buckets))})"
                    part = sf.expr(f"cast(array_position({buckets}, bucket) - 1 as int)").alias("part")
                    mine = (sf.col("op") == place.exchange) & (sf.col("step") == place.step)
                    return entries.where(mine).select(part, "slot", "data")
        return None

    def of_operator(self, number: int, operator: int) -> DataFrame | None:
        """Entries ``op, bucket, step, slot, data`` of one of Spark's operators, in the query or in an exchange."""
        batch = self._batch(number)
        if batch is None:
            return None
        _ = self.session.streams  # in a JVM without a query yet, its first use starts what Spark 4.1's reader asks for
        reader = self.session.read.format("statestore").option("stateVarName", "state")
        folder = f"{self.files.root}/{exchange_folder(number)}" if number else self.files.root
        entries = reader.option("operatorId", operator).option("batchId", batch).load(folder)
        return entries.select("key.op", "key.bucket", "user_map_key.step", "user_map_key.slot", "user_map_value.data")

    def _batch(self, number: int) -> int | None:
        """Number of the last batch that is done."""
        position = self.position
        if position is None or position.done is None:
            return None
        if not number:
            return position.batch - position.pending
        tick = json.loads(position.done.sources[self.layouts[0].sources.index(TICK)] or "{}")
        return QueryLog(self.files.below(exchange_folder(number))).find(str(tick.get("time")))
