"""The exchange: operations with state whose input is on the batch side.

An inner query runs them, in lockstep with the program's own. Its sources are the RDDs of the outer batch: they become
the inner batch as they are, without a detour over files or the driver. Within an outer batch the inner one runs and
hands its frontier over; then it waits, and it commits when the outer batch has run, just before that commits too.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dstreams._plan.batch_time import BatchTime
from dstreams._plan.functions import Functions
from dstreams._plan.graph import Missing, Node
from dstreams._plan.plan import compile_plan, unpicklable
from dstreams._plan.stages import BatchInput
from dstreams._run.frontier import Frontier
from dstreams._run.layout import TICK, Layout, layout_of
from dstreams._spark.jvm import jvm_reason
from dstreams._spark.plan import row_decoder
from dstreams._spark.rdd import Cut
from dstreams._spark.session import bucket_ids, private_session
from dstreams._spark.source import Offset, Reader, reader_frame
from dstreams._spark.stream import Stopped, start_stream
from dstreams.errors import DStreamError

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import RDD, SparkContext
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.query import StreamingQuery

    from dstreams._plan.plan import Placement

__all__ = ["Exchange"]


class Exchange:
    """One inner query.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    placement : Placement
        What it runs.
    directory : str
        The program's checkpoint directory.
    name : str
        Name in Spark's UI.
    before_end : callable
        Called before the inner query is ended by an exception.

    Attributes
    ----------
    mark : callable
        As that of the batch side.
    """

    def __init__(
        self,
        sc: SparkContext,
        placement: Placement,
        directory: str,
        name: str,
        before_end: Callable[[], None],
    ) -> None:
        self._before_end = before_end
        self.placement = placement
        self._sc = sc
        self._name = name
        self._session = private_session(sc, directory)
        self._changed = threading.Condition()
        self._batch: tuple[BatchTime, dict[Node, RDD[Any] | None]] | None = None
        self._last = -1
        self._readers: list[Reader] = []
        self._functions = Functions(sc)
        self._ran = False
        self._frontier: Frontier | None = None
        self._failure: BaseException | None = None
        self._closed = False
        self.label_jobs: Callable[[int, int], None] = lambda time_ms, output: None
        self._stream: StreamingQuery | None = None
        self.plan = compile_plan(
            placement,
            lambda source: self._source(lambda: self._records(source)),
            self._source(self._tick),
            lambda op, partitions: bucket_ids(sc, op, partitions),
            self._functions,
        )
        self._decoder = row_decoder(self.plan.frame, bool(self.plan.piped))
        self._session.conf.set("spark.sql.shuffle.partitions", str(self.plan.partitions))

    def layout(self) -> Layout:
        """What the inner query keeps where; all of its sources have the batch time as their offset."""
        return layout_of(self.plan, self.placement.lifted, dict.fromkeys(self._readers, TICK))

    def start(self, location: str, last_ms: int | None = None, again: bool = False) -> None:
        """Start the inner query; it waits for the first batch.

        Parameters
        ----------
        location : str
            Its checkpoint location.
        last_ms : int, optional
            Time of the last batch that it has begun before, in ms.
        again : bool
            Whether it runs that batch again.
        """
        if last_ms is not None:
            self._last = last_ms
            for reader in self._readers:
                reader.committed = None if again else last_ms
        self._stream = start_stream(self.plan.frame, self._on_batch, 0, location, self._name)

    def run(self, when: BatchTime, rdds: dict[Node, RDD[Any] | None]) -> Frontier:
        """Run the inner batch of an outer one, up to where it hands over.

        Parameters
        ----------
        when : BatchTime
            Time of the batch.
        rdds : dict of Node to RDD
            What the nodes that are handed over have in it.

        Raises
        ------
        Exception
            What the inner batch failed with.
        """
        with self._changed:
            self._batch = when, rdds
            self._changed.notify_all()
            while self._frontier is None and self._failure is None:
                self._changed.wait(1)
                self._notice_end()
            if self._failure is not None:
                raise self._failure
            assert self._frontier is not None
            return self._frontier

    def complete(self) -> None:
        """Let the inner batch commit, and wait until it has.

        Raises
        ------
        Exception
            If it cannot; the outer batch may not be committed then.
        """
        with self._changed:
            if self._batch is None or self._frontier is None:
                return
            self._frontier = None
            self._changed.notify_all()
            while self._batch is not None and self._failure is None:
                self._changed.wait(1)
                self._notice_end()
            if self._failure is not None:
                raise self._failure

    def close(self) -> None:
        """End the inner query; a batch that has not been completed is not committed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._stream is not None:
            self._stream.stop()
        self._functions.close()

    @property
    def job_group(self) -> str | None:
        """Group of the inner query's Spark jobs."""
        return None if self._stream is None else str(self._stream.runId)

    def _notice_end(self) -> None:
        if self._stream is not None and not self._stream.isActive and self._failure is None:
            error = self._stream.exception()
            text = "it was stopped" if error is None else jvm_reason(error)
            self._failure = DStreamError(f"the exchange has ended: {text}")

    # ------------------------------------------------------------------ called by Spark, on the inner query's thread

    def _on_batch(self, jdf: JavaObject, _: int) -> None:
        try:
            if (failure := self._functions.failure) is not None:
                raise unpicklable(self.placement, failure) or failure
            assert self._batch is not None
            self.label_jobs(self._batch[0].now_ms, 0)
            frontier = Frontier(self._sc, jdf, self.plan, self._decoder, {})
        except BaseException as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            self._before_end()
            raise Stopped("the batch failed") from None
        with self._changed:
            self._frontier = frontier
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._frontier is None or self._closed)
            if self._closed:
                self._before_end()
                raise Stopped("the outer batch was not completed")
            self._ran = True

    def latest(self) -> int | None:
        """Offset of the batch that is due, once there is one; the one before when no batch follows."""
        with self._changed:
            if self._ran:  # Spark asks again: it has committed that batch
                self._batch, self._ran = None, False
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or self._batch is not None)
            if self._batch is not None and not self._closed:
                self._last = self._batch[0].now_ms
            return None if self._last < 0 else self._last

    def content(self, what: Callable[[], Cut | RDD[Any] | None]) -> Cut | RDD[Any] | None:
        """What a source gives to the batch that is due."""
        with self._changed:
            # A batch that is run again begins at once; the program's own has to come up to here first.
            self._changed.wait_for(lambda: self._closed or self._batch is not None)
            if self._closed:
                raise Stopped("the program is stopped")
        return what()

    def _records(self, source: Any) -> RDD[Any] | None:
        assert isinstance(source, BatchInput) and self._batch is not None
        return self._batch[1][source.node]

    def _tick(self) -> Cut:
        assert self._batch is not None
        self._functions.refresh()
        when, rdds = self._batch
        absent = tuple(sorted(self._absent(rdds)))
        return Cut([pickle.dumps((when.zero_ms, when.before_ms, when.now_ms, absent))], 1)

    def _absent(self, rdds: dict[Node, RDD[Any] | None]) -> set[int]:
        """Numbers of the steps whose parent has no RDD in this batch."""
        absent = {node for node, rdd in rdds.items() if rdd is None}
        steps: set[int] = set()
        for node in self.placement.lifted:
            missing = node not in rdds and any(parent in absent for parent in node.parents)
            if missing and node.step is not None:
                steps.add(self.plan.steps[node.step].step)
            elif missing and node.missing is not Missing.EMPTY:
                absent.add(node)
        return steps

    def _source(self, content: Callable[[], Cut | RDD[Any] | None]) -> DataFrame:
        """Streaming frame of what the batch side has, in each batch anew."""
        self._readers.append(_ExchangeReader(self, content))
        return reader_frame(self._session, self._readers[-1])


class _ExchangeReader(Reader):
    """A source of an inner query; its offset is the batch time.

    Parameters
    ----------
    exchange : Exchange
        The exchange.
    content : callable
        What it gives to the batch that is due.
    """

    name = "dstreams-exchange"

    def __init__(self, exchange: Exchange, content: Callable[[], Cut | RDD[Any] | None]) -> None:
        self._exchange = exchange
        self._content = content

    def latest(self, previous: Offset | None) -> Offset | None:
        """Time of the outer batch, once there is one."""
        return self._exchange.latest()

    def batch(self, start: Offset | None, end: Offset) -> Cut | RDD[Any] | None:
        """What the outer batch has."""
        return self._exchange.content(self._content)
