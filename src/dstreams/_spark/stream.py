"""Starting one streaming query whose batches a function of ours gets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from inspect import ismethod
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakMethod, ref

from dstreams._spark.jvm import accept_calls, java

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.query import StreamingQuery

__all__ = ["Stopped", "start_stream"]

OnBatch = Callable[["JavaObject", int], None]


class Stopped(Exception):
    """Raised into Spark from a callback, to end a query without a word; short, since Spark searches its text."""


class _OurStop(logging.Filter):
    """Keeps py4j from printing the traceback of what we raise to end a query."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to print it."""
        return not (record.exc_info and isinstance(record.exc_info[1], Stopped))


_our_stop = _OurStop()


class _Callback:
    """What Spark's ``foreachBatch`` calls. Ours, because PySpark's makes a new session for every batch.

    It does not keep the program: py4j keeps this object as long as the JVM has its other half, and that has the
    program's query. Nobody would ever collect such a circle.
    """

    def __init__(self, on_batch: OnBatch) -> None:
        self._on_batch = (WeakMethod if ismethod(on_batch) else ref)(on_batch)

    def call(self, jdf: JavaObject, batch_id: int) -> None:
        """Run one batch."""
        on_batch = self._on_batch()
        assert on_batch is not None
        on_batch(jdf, batch_id)

    class Java:
        """Tells py4j which interface this is."""

        implements: ClassVar = ["org.apache.spark.sql.execution.streaming.sources.PythonForeachBatchFunction"]


def start_stream(
    frame: DataFrame, on_batch: OnBatch, interval_ms: int, location: str | None, name: str | None
) -> StreamingQuery:
    """Start a query, and return it as soon as Spark has accepted it.

    Parameters
    ----------
    frame : DataFrame
        What it computes.
    on_batch : callable
        Gets the DataFrame and the number of each batch, on Spark's thread; if it raises, the query ends and the
        batch is not committed. The caller keeps it as long as the query runs.
    interval_ms : int
        Interval of the trigger in ms; 0 for batches that follow each other at once.
    location : str, optional
        Checkpoint location.
    name : str, optional
        Name in Spark's UI.
    """
    sc = frame.sparkSession.sparkContext
    accept_calls(sc)
    logging.getLogger("py4j.clientserver").addFilter(_our_stop)
    writer = frame.writeStream.trigger(processingTime=f"{interval_ms} milliseconds")
    writer = writer.option("checkpointLocation", location) if location else writer
    writer = writer.queryName(name) if name else writer
    helper = java(sc, "org.apache.spark.sql.execution.streaming.sources.PythonForeachBatchHelper")
    helper.callForeachBatch(writer._jwrite, _Callback(on_batch))
    return writer.start()
