"""The tick: the source that makes every batch happen, data or not, and whose offset is the batch time.

Structured Streaming runs no batch without new data; DStreams run one every interval. The tick's reader asks the
driver's clock for the next batch time; since that is its offset, it is in the query's offset log, and a batch
that is run again has the same time.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import SimpleDataSourceStreamReader

from dstreams._sources.link import CLOCK, Link, Remote
from dstreams._sources.register import load_stream

__all__ = ["TickReader", "tick_frame"]


class TickReader(SimpleDataSourceStreamReader):
    """Offsets are ``{"time": batch time in ms, "zero": start of the first interval in ms}``.

    Each batch has one row, a chunk with the fields of its :class:`~dstreams._plan.batch_time.BatchTime`.
    """

    def __init__(self, clock: Remote) -> None:
        self._clock = clock

    def initialOffset(self) -> dict[str, Any]:
        """Return the offset before the first batch."""
        return {"time": 0, "zero": 0}

    def read(self, start: dict[str, Any]) -> tuple[Iterator[tuple[Any, ...]], dict[str, Any]]:
        """Return the row and the offset of the next batch; the same offset again when no batch shall follow."""
        due = self._clock.call_or(None, "due_from")
        if due is None:
            return iter(()), start
        zero_ms, time_ms = due
        end = {"time": time_ms, "zero": start["zero"] or zero_ms}
        return self.readBetweenOffsets(start, end), end

    def readBetweenOffsets(self, start: dict[str, Any], end: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        """Return the row of a batch; what it says follows from the offsets, also when the batch is run again."""
        time = (end["zero"], start["time"] or end["zero"], end["time"])
        return iter([(pickle.dumps(time),)])


def tick_frame(session: SparkSession, link: Link) -> DataFrame:
    """Streaming frame of the tick.

    Parameters
    ----------
    session : SparkSession
        The query's session.
    link : Link
        The query's link, which serves the clock.
    """
    return load_stream(session, link, "dstreams-tick", TickReader(link.remote(CLOCK)))
