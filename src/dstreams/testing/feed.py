"""The inputs of a program under test: what the test gives, in the place of a socket, of files, or of anything else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyspark import RDD

from dstreams._sources.queue import QueueReader, failing_rdd
from dstreams._sources.source import DriverSource, Read, Source
from dstreams._sources.start import Start, count

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["FedSource", "Feed"]


class Feed:
    """Records that the test has given to one input, as a broker keeps them: what was not committed comes again.

    Parameters
    ----------
    text : str
        The source that it stands for, as its user wrote it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._batches: dict[int, list[Any]] = {}
        self._next = 0

    def resume(self, position: int) -> None:
        """Let the next batch be the one with that number; where a program begins anew, the old ones are gone."""
        if position == 0:
            self._batches.clear()
        self._next = position

    def batch(self, number: int) -> list[Any]:
        """Return the records of a batch, from 0."""
        return self._batches.get(number, [])

    def offset(self, number: int) -> int:
        """Count of the records before a batch."""
        return sum(len(records) for before, records in self._batches.items() if before < number)

    def put(self, records: list[Any]) -> None:
        """Give the records of the next batch."""
        self._batches[self._next] = records
        self._next += 1


class FedSource(DriverSource):
    """A source that reads a feed; it takes the place of the program's own one.

    Parameters
    ----------
    feed : Feed
        In the driver.
    parallelism : int
        Into how many partitions a batch is cut; one without records has none, as on a socket.
    stands_for : Source
        The program's own source.

    Attributes
    ----------
    feed : Feed, optional
        As given. It is no part of what is pickled.
    """

    logical = True

    def __init__(self, feed: Feed, parallelism: int, stands_for: Source) -> None:
        self.feed: Feed | None = feed
        self.text = feed.text
        self._stands_for = stands_for
        self._parallelism = parallelism

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "feed": None}

    def describe(self) -> str:
        """Name of the source that it stands for."""
        return self.text

    def reader(self, start: Start, sc: SparkContext) -> QueueReader:
        """Make what gives the feed's records to the query."""
        assert self.feed is not None
        self.feed.resume(count(start.position))
        return QueueReader(self.describe(), lambda n: self._element(sc, n))

    def hand_over(self, rdd: RDD[Any], read: Read) -> RDD[Any]:
        """Give the records as the source would whose place this is."""

        def span() -> tuple[int, int]:
            assert self.feed is not None
            before, at = (self.feed.offset(count(json.loads(text)) if text else 0) for text in read.span())
            return before, at

        return self._stands_for.fed(rdd, span)

    def _element(self, sc: SparkContext, n: int) -> RDD[Any] | None:
        """RDD of the n-th batch (from 0); None without records, as on a socket."""
        assert self.feed is not None
        records = self.feed.batch(n)
        try:
            return sc.parallelize(records, self._parallelism) if records else None
        except Exception as error:
            return failing_rdd(sc, f"{self.text}: records of the test could not be pickled: {error}")
