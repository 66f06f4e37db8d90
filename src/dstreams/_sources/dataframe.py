"""Streaming DataFrames of the program as sources, and rows as records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from dstreams._sources.source import NativeSource
from dstreams._sources.start import Start
from dstreams._spark.arrow import rows_of_table, table_of_rows
from dstreams._spark.plan import moved, stateful_operators
from dstreams.errors import DStreamTypeError, DStreamValueError

if TYPE_CHECKING:
    pass

__all__ = ["DataFrameSource", "RowReader", "RowWriter"]

_ROWS = 10_000


class RowReader:
    """Arrow batches to rows.

    Parameters
    ----------
    schema : StructType
        Their schema.
    """

    def __init__(self, schema: StructType) -> None:
        self._schema = schema

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Any]:
        """Yield the rows, with the values that ``DataFrame.collect()`` gives."""
        for batch in batches:
            table = pa.Table.from_batches([batch])
            yield from rows_of_table(table, self._schema)


class RowWriter:
    """Records to Arrow batches with the columns of a schema.

    Parameters
    ----------
    schema : StructType
        The schema; a record is a tuple, a dict or a Row of its fields.
    """

    def __init__(self, schema: StructType) -> None:
        self.schema = schema

    def __call__(self, records: Any) -> Iterator[pa.RecordBatch]:
        """Yield batches of some thousand rows."""
        source = iter(records)
        while block := list(islice(source, _ROWS)):
            yield from table_of_rows(block, self.schema).to_batches()


class DataFrameSource(NativeSource):
    """Rows of a streaming DataFrame.

    Parameters
    ----------
    frame : DataFrame or callable
        As the program gives it.
    number : int
        Number of the source.
    """

    def __init__(self, frame: DataFrame | Callable[[SparkSession], DataFrame], number: int) -> None:
        if not isinstance(frame, DataFrame) and not callable(frame):
            raise DStreamTypeError(
                f"dataFrameStream: expected a streaming DataFrame or a function that makes one, got {frame!r:.200}"
            )
        self._frame = frame
        self._number = number
        if isinstance(frame, DataFrame):
            self.decode = RowReader(_checked(frame).schema)

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self._frame, DataFrame):
            raise DStreamTypeError(
                "dataFrameStream: a DataFrame cannot be saved in the checkpoint directory. Give the function that "
                "makes it: ssc.dataFrameStream(lambda spark: spark.readStream...)"
            )
        return self.__dict__

    def describe(self) -> str:
        """Name of the stream with its number."""
        return f"dataFrameStream({self._number})"

    def frame(self, session: SparkSession, start: Start) -> DataFrame:
        """Return the frame in the query's own session."""
        if isinstance(self._frame, DataFrame):
            return moved(self._frame, session)
        made = self._frame(session)
        if not isinstance(made, DataFrame):
            raise DStreamTypeError(f"dataFrameStream: the function must return a DataFrame, got {made!r:.200}")
        self.decode = RowReader(_checked(made).schema)
        return made


def _checked(frame: DataFrame) -> DataFrame:
    if not frame.isStreaming:
        raise DStreamTypeError(
            "dataFrameStream: the DataFrame is not a streaming one; make it with spark.readStream. A table that does "
            "not change can be joined to the RDD of each batch in transform()."
        )
    if stateful := stateful_operators(frame):
        raise DStreamValueError(
            f"dataFrameStream: the DataFrame has an operation with state ({', '.join(stateful)}), which would have a "
            "state of its own in the program's query. Leave it out, and do the same on the stream."
        )
    return frame
