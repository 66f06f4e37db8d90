"""Readers as Python data sources: one data source per reader, registered in the query's own session."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, SimpleDataSourceStreamReader
from pyspark.sql.types import StructType

from dstreams._plan.chunks import CHUNK
from dstreams._plan.workers import worker_environment
from dstreams._sources.link import Link

__all__ = ["Opens", "load_stream"]


@runtime_checkable
class Opens(Protocol):
    """A reader with something to start in the planner's process."""

    def open(self) -> None:
        """Start it."""


def load_stream(
    session: SparkSession,
    link: Link,
    name: str,
    reader: DataSourceStreamReader | SimpleDataSourceStreamReader,
) -> DataFrame:
    """Streaming frame of chunks that a reader gives.

    Parameters
    ----------
    session : SparkSession
        The query's session.
    link : Link
        The query's link.
    name : str
        Name of the source; what plans and Spark's UI show.
    reader : DataSourceStreamReader or SimpleDataSourceStreamReader
        Picklable reader. Where it has an ``open()``, that is called in the planner's process before the first
        trigger. The last reader of the query that is opened waits for the first batch time, so that the first
        trigger comes when all receivers listen.
    """
    claim = link.claim(name)
    simple = isinstance(reader, SimpleDataSourceStreamReader)

    class _Source(DataSource):
        # Made per reader, so that the reader travels with the class and not as an option in the plan's text.
        @classmethod
        def name(cls) -> str:
            return name

        def schema(self) -> str:
            return CHUNK

        def _opened(self) -> Any:
            # Spark makes the reader twice: first in the planner, which keeps it, then once more to plan reads.
            if claim.call("take"):
                if isinstance(reader, Opens):
                    reader.open()
                claim.call("opened")
            return reader

        if simple:

            def simpleStreamReader(self, schema: StructType) -> SimpleDataSourceStreamReader:
                return self._opened()  # type: ignore[no-any-return]

        else:

            def streamReader(self, schema: StructType) -> DataSourceStreamReader:
                return self._opened()  # type: ignore[no-any-return]

    with worker_environment(session.sparkContext):
        session.dataSource.register(_Source)
    return session.readStream.format(name).load()
