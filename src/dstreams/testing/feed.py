"""The inputs of a program under test: what the test gives, in the place of a socket, of files, or of anything else."""

from __future__ import annotations

import json
from typing import Any

from pyspark import RDD
from pyspark.sql import DataFrame, SparkSession

from dstreams._sources.kafka import KafkaSource
from dstreams._sources.link import CLOCK, Link
from dstreams._sources.queue import QueueReader, list_chunks
from dstreams._sources.register import load_stream
from dstreams._sources.source import Read, Source
from dstreams._sources.start import Start, count

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

    def go_on(self, position: int) -> None:
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


class FedSource(Source):
    """A source that reads a feed; it takes the place of the program's own one.

    Parameters
    ----------
    feed : Feed
        In the driver.
    name : str
        Unique name of the stream.
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

    def __init__(self, feed: Feed, name: str, parallelism: int, stands_for: Source) -> None:
        self.feed: Feed | None = feed
        self.text = feed.text
        self._kafka = stands_for if isinstance(stands_for, KafkaSource) else None
        self._name = name
        self._parallelism = parallelism

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "feed": None}

    def describe(self) -> str:
        """Name of the source that it stands for."""
        return self.text

    def frame(self, session: SparkSession, link: Link, start: Start) -> DataFrame:
        """Streaming frame of the feed's records."""
        assert self.feed is not None
        position = count(start.position)
        self.feed.go_on(position)
        reader = QueueReader(link.serve(self._name, self), link.remote(CLOCK), None, position)
        return load_stream(session, link, self._name, reader)

    def hand_over(self, rdd: RDD[Any], read: Read) -> RDD[Any]:
        """Give the records as the source would whose place this is."""
        if self._kafka is None or self.feed is None:
            return rdd
        first, last = (self.feed.offset(count(json.loads(text)) if text else 0) for text in read.span())
        return self._kafka.fed(rdd, first, last)

    def element(self, n: int) -> list[tuple[list[bytes], str | None]]:
        """Partitions of the n-th batch (from 0)."""
        assert self.feed is not None
        records = self.feed.batch(n)
        if not records:
            return []
        try:
            return [(chunks, None) for chunks in list_chunks(records, self._parallelism)]
        except Exception as error:
            return [([], f"{self.text}: records of the test could not be pickled: {error}")]
