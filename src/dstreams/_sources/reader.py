"""A source of a streaming query that is an object of the driver (:mod:`dstreams._spark.source` is how Spark knows it).

Spark asks it on the query's own thread: where the next batch ends, what is in it. The answer is any RDD that the driver
can name, so records that are in the driver's memory, and RDDs of the program, get into the plan without a process in
between. Offsets are JSON in the query's offset log.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from dstreams._plan.chunks import CHUNK

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import DataFrame

    from dstreams._spark.rdd import Cut

__all__ = ["Offset", "Reader"]

Offset = Any
"""What JSON can say: the position of a source after a batch."""


class Reader(ABC):
    """What is read, and how far.

    Attributes
    ----------
    name : str
        What plans and Spark's UI show.
    schema : str
        Schema of the rows; chunks of records unless :meth:`batch` gives DataFrames.
    committed : JSON, optional
        Where the last batch ended that earlier runs have committed; to be set before the query starts.
    has_data : bool
        Whether the batch that is made has a partition of this source.
    records : int, optional
        Number of records of that batch, for listeners; None where the source does not count them.
    """

    name: str
    schema: str = CHUNK
    committed: Offset | None = None
    has_data: bool = False
    records: int | None = None

    def open(self) -> None:  # noqa: B027 - most have nothing to start
        """Start what receives; called once, just before the query starts."""

    def ready(self) -> None:  # noqa: B027 - only the tick has something to wait for
        """Wait, on the query's thread, until the query may ask its sources for the first time."""

    @abstractmethod
    def latest(self, previous: Offset | None) -> Offset | None:
        """Where the batch ends that begins at `previous`, waiting for it if need be; None where nothing has come yet.

        The same offset again means that there is nothing new.
        """

    @abstractmethod
    def batch(self, start: Offset | None, end: Offset) -> Cut | RDD[Any] | DataFrame | None:
        """What is between two offsets: chunks, an RDD of records, a DataFrame of the schema; None for no partition."""

    def commit(self, end: Offset) -> None:  # noqa: B027 - most keep nothing
        """Note that the batch that ends there is done for good."""

    def stop(self) -> None:  # noqa: B027 - most have started nothing
        """End what was opened; may be called more than once, and by any thread."""
