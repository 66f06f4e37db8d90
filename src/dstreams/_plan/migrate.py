"""The operator of a migration: stored state put where a new plan looks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyspark.sql import Row
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from dstreams._plan.worker import declare_state

__all__ = ["ENTRIES", "Migrate"]

ENTRIES = "op int, bucket int, part int, step int, slot bigint, data binary"
"""Schema of stored state: the exchange, the bucket's id and partition, and an entry of a step."""
_ROW = Row("op", "bucket", "part", "step", "slot", "data")


class Migrate(StatefulProcessor):
    """Stores the entries that belong to this operator, and passes on those of the ones behind it.

    Parameters
    ----------
    exchanges : list of int
        Exchanges of the operator in whose place this one stands.
    """

    def __init__(self, exchanges: list[int]) -> None:
        self._exchanges = frozenset(exchanges)

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Declare the same state."""
        self._pages = declare_state(handle)

    def handleInputRows(self, key: Any, rows: Iterator[Row], timerValues: Any) -> Iterator[Row]:
        """Handle the entries of one bucket."""
        if key[0] not in self._exchanges:
            for row in rows:
                yield _ROW(*row)
            return
        for row in rows:
            self._pages.updateValue((row.step, row.slot), (bytes(row.data),))

    def close(self) -> None:
        """Nothing is held."""
