"""What the compiler and the query know of an input: that it gives a streaming DataFrame, and how to read it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dstreams._plan.chunks import read_chunks

if TYPE_CHECKING:
    import pyarrow as pa
    from py4j.java_gateway import JavaObject
    from pyspark import RDD, SparkContext
    from pyspark.sql import DataFrame, SparkSession

    from dstreams._sources.link import Link
    from dstreams._sources.start import Start

__all__ = ["Read", "Reporting", "Source"]


@dataclass(frozen=True)
class Read:
    """What a batch reads of a source; looked up when it is asked for.

    Attributes
    ----------
    span : callable
        Gives the offsets before and at the end of the batch, as Spark writes them; None where there is none.
    inputs : callable
        Gives what each partition reads, as Spark's data source has planned it.
    entries : callable
        Gives the entries of the source's own log, by the numbers of the first and the last one.
    """

    span: Callable[[], tuple[str | None, str | None]]
    inputs: Callable[[], list[JavaObject]]
    entries: Callable[[int, int], list[dict[str, Any]]]


class Source(ABC):
    """One input of a program; it can be pickled by cloudpickle, to be saved in the checkpoint directory.

    Attributes
    ----------
    decode : callable
        Arrow batches of the frame's rows to records; pickled into the first Python stage. A frame of chunks
        (the default) needs nothing else.
    logical : bool
        True if the source hands out exactly one prepared element per batch, whatever the time is, so that a
        program whose sources are all like that runs on the logical clock.
    initial : bool
        True for the records that a state starts from, which are no input of the program's own.
    native : bool
        True if its frame is one that any query of Spark's can read, by itself.
    """

    decode: Callable[[Iterator[pa.RecordBatch]], Iterator[Any]] = staticmethod(read_chunks)
    logical: bool = False
    initial: bool = False
    native: bool = False

    @abstractmethod
    def describe(self) -> str:
        """Name the source as its user wrote it, without secrets: ``socketTextStream(localhost:9999)``."""

    @abstractmethod
    def frame(self, session: SparkSession, link: Link, start: Start) -> DataFrame:
        """Return the streaming DataFrame, made in the query's own session.

        Parameters
        ----------
        session : SparkSession
            The query's session.
        link : Link
            Way back to the driver for readers that live in a process of their own.
        start : Start
            From where it goes on.
        """

    def announce(self, sc: SparkContext) -> str | None:
        """One line about what the source reads or waits for, for the log at start."""
        return None

    def hand_over(self, rdd: RDD[Any], read: Read) -> RDD[Any]:
        """Give the batch side the RDD of the source's records, if it has more to say of them than they are."""
        return rdd

    def completed(self, sc: SparkContext, read: Read) -> None:  # noqa: B027 - most have nothing to do
        """Note that the outputs of a batch have run."""

    def told(self, read: Read) -> tuple[int, str] | None:
        """Count of the records of a batch, and a description of what they are, for listeners.

        None where a reader tells it, or where there is nothing to tell.
        """
        return None

    def explain(self, failure: str) -> str | None:
        """Say what to do about a failure of a batch or of the query, if it is one of this source's."""
        return None

    def waits(self, status: str) -> str | None:
        """Say what the query waits for, if its status says that this source keeps it waiting."""
        return None

    def close(self) -> None:  # noqa: B027
        """Note that the query has ended."""

    def facts(self) -> dict[str, Any]:
        """What the source has to remember beyond its offset when a new program goes on with it; for JSON."""
        return {}

    def go_on(self, facts: dict[str, Any]) -> None:  # noqa: B027 - most have nothing to take over
        """Take over what the source of an earlier program had to remember."""


class Reporting(Source):
    """A source whose reader says what happens to it.

    Parameters
    ----------
    status : object
        Object of the driver with ``receiver(event, text)``.

    Attributes
    ----------
    status : object
        As given. It is no part of what is pickled; who reads the source from a checkpoint directory sets it anew.
    """

    def __init__(self, status: Any) -> None:
        self.status = status

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "status": None}
