"""A source of a streaming query that is an object of the driver; Spark knows it by its interface ``Source``.

Spark asks it on the query's own thread: where the next batch ends, what is in it. The answer is any RDD that the driver
can name, so records that are in the driver's memory, and RDDs of the program, get into the plan without a process in
between. Offsets are JSON in the query's offset log.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from py4j.protocol import Py4JError
from pyspark.sql import DataFrame, SparkSession

from dstreams._spark.jvm import accept_calls, any_class, java
from dstreams._spark.plan import frame_of, row_encoder, rows_of
from dstreams._spark.rdd import CHUNK, Cut, java_chunks
from dstreams._spark.stream import Stopped

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import RDD, SparkContext

__all__ = ["Offset", "Reader", "reader_frame", "reader_of", "sources_of", "start_from"]

_SQL = "org.apache.spark.sql."
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


def reader_frame(
    session: SparkSession,
    reader: Reader,
    due: Callable[[], Any] = lambda: True,
    failed: Callable[[Exception], None] | None = None,
) -> DataFrame:
    """Streaming frame of what a reader gives.

    Parameters
    ----------
    session : SparkSession
        The query's session.
    reader : Reader
        The reader.
    due : callable
        Asked before each offset, and may wait; false if no batch is to follow, whatever has come.
    failed : callable, optional
        Gets what making a batch raised, and tells it; without it Spark does.
    """
    accept_calls(session.sparkContext)  # the JVM may call before the query is started
    sc = session.sparkContext
    source = _JavaSource(session, reader, due, failed)
    relation = java(sc, f"{_SQL}execution.streaming.runtime.StreamingExecutionRelation")
    attributes = java(sc, f"{_SQL}catalyst.types.DataTypeUtils.toAttributes")(source.schema())
    arguments = [source, attributes, java(sc, "scala.Option.empty")()]
    with suppress(Py4JError):  # Spark 4.3 names sources; before, there is no such parameter
        arguments.append(getattr(relation, "apply$default$4")())
    plan = relation(*arguments, session._jsparkSession)
    return frame_of(plan, session)


def reader_of(leaf: JavaObject, readers: Iterable[Reader]) -> Reader | None:
    """Reader that a leaf of a streaming plan stands for; None for a source of Spark's own."""
    if str(leaf.getClass().getSimpleName()) != "StreamingExecutionRelation":
        return None
    number = leaf.source().hashCode()
    return next(reader for reader in readers if _number(reader) == number)


def sources_of(session: SparkSession) -> list[JavaObject]:
    """Objects that a session's only query reads from, in the order of its offset log.

    They are there when Spark says that it is :meth:`Reader.ready` to ask them.
    """
    (query,) = session.streams.active
    found = query._jsq.streamingQuery().sources()
    return [found.apply(i) for i in range(found.size())]


def start_from(files: JavaObject, modified_ms: int, max_age_ms: int, sc: SparkContext) -> None:
    """Let Spark's file source leave out what was modified before a time, as if it were too old to be looked at.

    Parameters
    ----------
    files : JavaObject
        The source, before it is asked for the first time.
    modified_ms : int
        Time in ms of the oldest files that it gives.
    max_age_ms : int
        Its ``maxFileAge`` in ms: too old is what is older than the newest known file by that.
    sc : SparkContext
        The context.
    """
    seen = files.seenFiles()
    seen.add(java(sc, "org.apache.spark.paths.SparkPath.fromPathString")("newest"), modified_ms + max_age_ms)
    seen.purge()


def _number(reader: Reader) -> int:
    """What tells a reader from others, also in the JVM, which does not give back the object that it was given."""
    return id(reader) & 0x7FFFFFFF


class _JavaSource:
    """What Spark calls."""

    def __init__(
        self,
        session: SparkSession,
        reader: Reader,
        due: Callable[[], Any],
        failed: Callable[[Exception], None] | None,
    ) -> None:
        self.reader = reader
        self._name = reader.name
        self._number = _number(reader)
        self._sc = session.sparkContext
        self._jsession = session._jsparkSession
        self._schema = self._jsession.parseDataType(session._parse_ddl(reader.schema).json())
        self._previous: Offset | None = None
        self._text: str | None = None
        self._due = due
        self._failed = failed
        self._asked = False

    def schema(self) -> JavaObject:
        """Return the schema of the rows."""
        return self._schema

    def getOffset(self) -> JavaObject:
        """Return where the next batch ends."""
        self.reader.has_data = False
        if self.reader.records is not None:
            self.reader.records = 0
        previous = self.reader.committed if self._previous is None else self._previous
        latest = self.reader.latest(previous) if self._due() else previous
        if latest is None:
            return java(self._sc, "scala.Option.empty")()
        if latest != previous or self._text is None:  # else as Spark has it: it compares the texts
            self._text = json.dumps(latest)
        offset = java(self._sc, f"{_SQL}execution.streaming.runtime.SerializedOffset")(self._text)
        return java(self._sc, "scala.Some")(offset)

    def getBatch(self, start: JavaObject, end: JavaObject) -> JavaObject:
        """Return the rows of a batch."""
        self._text = str(end.json())
        self._previous = json.loads(self._text)
        begin = json.loads(start.get().json()) if start.isDefined() else None
        try:
            return self._frame(begin, self._previous)
        except Exception as error:
            if self._failed is None:
                raise
            self._failed(error)
            raise Stopped("the source failed") from None

    def commit(self, end: JavaObject) -> None:
        """Note that a batch is done."""
        self.reader.commit(json.loads(end.json()))

    def stop(self) -> None:
        """End with the query, and let go of the program.

        py4j keeps this object as long as the JVM has its other half, and that has the program's query. Nobody would
        ever collect such a circle.
        """
        if (reader := vars(self).pop("reader", None)) is not None:
            reader.stop()
            del self._sc, self._jsession, self._schema, self._due, self._failed
            self._asked = True

    def toString(self) -> str:
        """Name in plans, which may be looked at after the end."""
        return self._name

    def hashCode(self) -> int:
        """Identity.

        Spark makes a set of its sources when a query has been accepted and before it asks the first of them, its own
        kinds too: of all that it calls, this is the only thing that comes between the two.
        """
        if not self._asked and _on_the_querys_thread(self._sc):
            self._asked = True
            self.reader.ready()
        return self._number

    def equals(self, other: Any) -> bool:
        """Identity."""
        return other is self

    def _frame(self, begin: Offset | None, end: Offset) -> JavaObject:
        if end == self.reader.committed:  # after a restart Spark asks for that batch, and throws it away
            found = None
        else:
            self.reader.committed = None
            found = self.reader.batch(begin, end)
        rows = self._rows(found)
        self.reader.has_data = found is not None and rows.getNumPartitions() > 0
        return self._jsession.internalCreateDataFrame(rows, self._schema, True)

    def _rows(self, found: Cut | RDD[Any] | DataFrame | None) -> JavaObject:
        """RDD of Spark's rows."""
        if isinstance(found, DataFrame):
            return rows_of(found)
        return java_chunks(self._sc, found).map(row_encoder(self._sc), any_class(self._sc))

    class Java:
        """Tells py4j which interface this is."""

        implements: ClassVar = ["org.apache.spark.sql.execution.streaming.Source"]


def _on_the_querys_thread(sc: SparkContext) -> bool:
    """Whether the JVM's thread that calls is one on which a query runs, and not one that only looks at its plan."""
    thread = java(sc, "java.lang.Thread.currentThread")()  # the one that waits for our answer
    return str(thread.getName()).startswith("stream execution thread")
