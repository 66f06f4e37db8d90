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

    from dstreams._sources.start import Start
    from dstreams._spark.source import Reader

__all__ = ["DriverSource", "NativeSource", "Read", "Source"]


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
    """

    decode: Callable[[Iterator[pa.RecordBatch]], Iterator[Any]] = staticmethod(read_chunks)
    logical: bool = False
    initial: bool = False

    @abstractmethod
    def describe(self) -> str:
        """Name the source as its user wrote it, without secrets: ``socketTextStream(localhost:9999)``."""

    def announce(self, sc: SparkContext) -> str | None:
        """One line about what the source reads or waits for, for the log at start."""
        return None

    def hand_over(self, rdd: RDD[Any], read: Read) -> RDD[Any]:
        """Give the batch side the RDD of the source's records, if it has more to say of them than they are."""
        return rdd

    def fed(self, rdd: RDD[Any], span: Callable[[], tuple[int, int]]) -> RDD[Any]:
        """Give a program under test the RDD of records that the test has made, as :meth:`hand_over` would.

        Parameters
        ----------
        rdd : RDD
            The records.
        span : callable
            Counts the records before and at the end of the batch.
        """
        return rdd

    def first_offset(self, entry: str) -> str | None:
        """Where the first batch began, by the first entry of the source's own log; None where that does not say."""
        return None

    def completed(self, sc: SparkContext, read: Read) -> None:  # noqa: B027 - most have nothing to do
        """Note that the outputs of a batch have run."""

    def input_info(self, read: Read) -> tuple[int, str] | None:
        """Count of the records of a batch, and a description of what they are, for listeners.

        None where its reader counts them, or where there is nothing to tell.
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

    def metadata(self) -> dict[str, Any]:
        """What the source has to remember beyond its offset when a new program goes on with it; for JSON."""
        return {}

    def resume(self, metadata: dict[str, Any]) -> None:  # noqa: B027 - most have nothing to take over
        """Take over what the source of an earlier program had to remember."""


class NativeSource(Source):
    """A source that Spark itself has, which any query can read."""

    @abstractmethod
    def frame(self, session: SparkSession, start: Start) -> DataFrame:
        """Return the streaming DataFrame.

        Parameters
        ----------
        session : SparkSession
            The session of the query that reads it.
        start : Start
            From where it goes on.
        """

    def opened(self, source: JavaObject, sc: SparkContext) -> None:
        """Take Spark's object that reads, before it is asked for the first time."""


class DriverSource(Source):
    """A source of this package's own, which an object of the driver reads."""

    @abstractmethod
    def reader(self, start: Start, sc: SparkContext) -> Reader:
        """Make that object, for one run of the program; nothing is opened yet.

        Parameters
        ----------
        start : Start
            From where it goes on.
        sc : SparkContext
            The program's context.
        """
