"""One StreamingContext, one StreamingQuery: starting it, watching it, stopping it."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from dstreams._plan.functions import Functions
from dstreams._plan.plan import compile_plan, place
from dstreams._plan.streaming_rdd import PlanContext
from dstreams._run.backpressure import RateEstimator, backpressure_of
from dstreams._run.batch import BatchSide
from dstreams._run.environment import Environment
from dstreams._run.exchange import Exchange
from dstreams._run.failures import as_user_error
from dstreams._run.layout import TICK, layout_of
from dstreams._run.nodes import check_nodes
from dstreams._run.pace import Pace
from dstreams._run.progress import BatchInfo, InputInfo, ListenerBus, ReceiverInfo, Time, now_ms
from dstreams._run.runs import exchange_folder
from dstreams._run.source_logs import SourceLogs
from dstreams._run.status import Status
from dstreams._run.streaming_page import streaming_page
from dstreams._run.waiting import Waiting
from dstreams._sources.blocks import RateLimit
from dstreams._sources.receiver import ReceiverReader
from dstreams._sources.source import DriverSource, NativeSource, Source
from dstreams._sources.start import FRESH
from dstreams._sources.tick import TickReader
from dstreams._spark.context import is_stopped, java_context, jvm_conf, settings
from dstreams._spark.files import files_of
from dstreams._spark.jvm import jvm_reason
from dstreams._spark.kafka import ask_how_far
from dstreams._spark.loggers import BATCHES, SCHEDULER, STATE_SERVER, TRIGGER, set_level
from dstreams._spark.session import Tabs, bucket_ids, private_session, temporary_checkpoint
from dstreams._spark.source import Reader, reader_frame, sources_of
from dstreams._spark.stream import Stopped, start_stream
from dstreams.errors import BatchError, CheckpointError, DStreamError, DStreamValueError

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from dstreams._builder import Builder
    from dstreams._run.recovery import Recovery
    from dstreams._run.streaming_page import StreamingPage

__all__ = ["Query", "plan_context"]

log = logging.getLogger("dstreams")

_GRACE_SECONDS = 2.0
"""How long an immediate stop lets a running batch go on before its Spark jobs are cancelled (as the old engine)."""
_LOOK_SECONDS = 1
"""How often is looked whether the query still runs."""
_COMMIT_SECONDS = 30.0
"""How long a graceful stop waits for Spark to commit the last batch."""

GRACEFUL_TIMEOUT = "spark.streaming.gracefulStopTimeout"
"""Conf of the old engine: how long a graceful stop may take until its last batch begins."""
FAILED_OUTPUT = "spark.streaming.dstreams.failedOutput"
"""Conf: what a failed output does to a program with a checkpoint directory, ``stop``, ``continue`` or ``auto``."""
_ENDS = (
    "the batch is not committed, and the next start runs it again, since the program waits in awaitTermination "
    f"({FAILED_OUTPUT}=continue goes on with the next batch)"
)
_AGAIN = "the batch is not committed, and the next start runs it again"
UPGRADE_ADVICE = (
    "changed code takes effect when the program is started once with getOrCreate(..., upgrade=True), or with "
    "--conf spark.streaming.dstreams.upgrade=true"
)
_CANCELLED = "cancelled as part of cancellation of all jobs"
"""In the error of a batch at Ctrl-C, which PySpark answers by cancelling what runs."""
_GOES_ON = (
    "the program goes on with the next batch, and awaitTermination raises the error when it is called "
    f"({FAILED_OUTPUT}=stop ends the program, and the next start runs the batch again)"
)


def _graceful_seconds(sc: SparkContext) -> float | None:
    """How long a graceful stop may take until its last batch begins; None for as long as it takes."""
    try:
        ms = int(jvm_conf(sc).getTimeAsMs(GRACEFUL_TIMEOUT, "0"))
        if ms < 0:
            raise ValueError(f"it is less than nothing: {ms} ms")
    except Exception as error:
        raise DStreamValueError(f"{GRACEFUL_TIMEOUT}: must be a time such as 10s ({jvm_reason(error)})") from None
    return ms / 1000 or None


def _on_failure(sc: SparkContext) -> str:
    value = str(settings(sc).get(FAILED_OUTPUT, "auto")).lower()
    if value not in ("auto", "stop", "continue"):
        raise DStreamValueError(f"{FAILED_OUTPUT}: must be auto, stop or continue, got {value!r}")
    return value


def plan_context(sc: SparkContext, parallelism: int) -> PlanContext:
    """Stand-in for the SparkContext on the streaming side."""
    memory = settings(sc).get("spark.python.worker.memory", "512m")
    return PlanContext(parallelism, {"spark.python.worker.memory": memory or "512m"})


def _known(ms: int) -> int | None:
    return None if ms < 0 else ms


class Query:
    """The running program.

    Parameters
    ----------
    builder : Builder
        The program: its graph, its SparkContext, its batch interval, its default number of partitions.
    remember_ms : int
        How long RDDs are kept, in ms.
    paced : bool
        False drops the pacing of the logical clock.
    checkpoint : str, optional
        Checkpoint directory.
    recovery : Recovery, optional
        What the program goes on from, and leaves for the next start; None where nothing can find the directory again.
    bus : ListenerBus
        Where events go.
    environment : Environment
        Its clock, directories and sources, which a test replaces.
    """

    def __init__(
        self,
        builder: Builder,
        remember_ms: int,
        paced: bool,
        checkpoint: str | None,
        recovery: Recovery | None,
        bus: ListenerBus,
        environment: Environment,
    ) -> None:
        sc, graph, interval_ms = builder.sc, builder.graph, builder.interval_ms
        self._sc = sc
        self._graph = graph
        self._bus = bus
        self._checkpoint = checkpoint
        self._recovery = recovery
        self._inputs = [node for node in graph.nodes if node.source is not None]
        self._sources = [node.source for node in self._inputs if node.source is not None]
        logical = all(source.logical for source in self._sources if not source.initial)
        self.clock = environment.clock(interval_ms, logical, paced)
        self._environment = environment
        self._changed = threading.Condition()
        self._batch_thread: threading.Thread | None = None
        self._stopping = False
        self._cancelled = False
        self._context_stopped = False
        self._finished = False
        self._error: BaseException | None = None
        self._stream: StreamingQuery | None = None
        self._offsets: str | None = None
        self._levels: dict[str, str] = {}
        self._pace = Pace(interval_ms)
        self._tabs = Tabs(sc)
        self._ran = 0
        self._last: BatchInfo | None = None
        self._page: StreamingPage | None = None
        self._frames: dict[str, DataFrame] = {}
        self._source_ids: list[str] = []
        self._readers: dict[Source, Reader] = {}
        self._functions = Functions(sc)
        self._awaited = False
        self._pending_ms: int | None = None
        self._on_failure = _on_failure(sc)
        self._restored = builder.restored
        self._graceful_seconds = _graceful_seconds(sc)
        self._backpressure = backpressure_of(settings(sc).get, interval_ms)
        self._estimators: dict[int, tuple[RateLimit, RateEstimator]] = {}
        self._ids: dict[Reader, str] = {}
        try:
            stateful = any(node.step is not None for node in graph.live())
            check_nodes(sc, checkpoint if stateful else None)
            if recovery is not None:
                recovery.open()
                self.clock.may_go_on = self._still_the_driver
                if times := recovery.times():
                    self.clock.resume(*times)
                    self._pending_ms = times[2]
            self.placement = place(graph, plan_context(sc, builder.parallelism))
            session = private_session(sc, checkpoint)
            tick = TickReader(self.clock, lambda: self._opened(session), self._functions.refresh)
            tick.committed = recovery.committed_tick() if recovery is not None else None
            self._ids[tick] = TICK
            self.plan = compile_plan(
                self.placement,
                lambda source: self._frame(cast(Source, source), session),
                reader_frame(session, tick, failed=self._source_failed),
                lambda op, partitions: bucket_ids(sc, op, partitions),
                self._functions,
            )
            session.conf.set("spark.sql.shuffle.partitions", str(self.plan.partitions))
        except BaseException:
            if recovery is not None:
                recovery.close()
            raise
        self.batches = BatchSide(
            sc,
            graph,
            self.placement,
            self.plan,
            self._readers,
            self._functions,
            bus,
            max(remember_ms, interval_ms),
            self._batch_failed,
            environment.output,
        )

    def _frame(self, source: Source, session: SparkSession) -> DataFrame:
        number, node = next((number, node) for number, node in enumerate(self._inputs) if node.source is source)
        start = FRESH if self._recovery is None else self._recovery.start_of(node)
        if isinstance(source, NativeSource):
            self._frames[node.id] = frame = source.frame(session, start)
            return frame
        assert isinstance(source, DriverSource)
        report = partial(self._receiver_event, number, source.describe())
        reader = source.reader(replace(start, report=report), self._sc)
        reader.committed = start.committed
        if self._backpressure is not None and isinstance(reader, ReceiverReader):
            reader.limit.pressed = self._backpressure.initial or None
            self._estimators[number] = reader.limit, RateEstimator(self._backpressure)
        self._readers[source] = reader
        self._ids[reader] = node.id
        return reader_frame(session, reader, lambda: self.clock.due() is not None, self._source_failed)

    def _opened(self, session: SparkSession) -> None:
        """Give our sources that are Spark's the objects that read for them."""
        sources = {node.id: node.source for node in self._inputs}
        for id, opened in zip(self._source_ids, sources_of(session), strict=True):
            ask_how_far(opened, self._sc)
            if isinstance(source := sources.get(id), NativeSource):
                source.opened(opened, self._sc)

    # ------------------------------------------------------------------ start

    def prepare(self) -> str:
        """Bring the directory into the state from which the query can start, and return its checkpoint location.

        Raises
        ------
        UpgradeError
            If the program cannot go on with what is there; then nothing has been changed.
        """
        if self._checkpoint is None:
            self._offsets = temporary_checkpoint()
        directory = self._checkpoint or f"file://{self._offsets}"
        for number, placement in enumerate(self.placement.exchanges, 1):
            name = f"{self._name}, exchange {number}"
            self.batches.exchanges.append(Exchange(self._sc, placement, directory, name, self._mute))
        layouts = [layout_of(self.plan, self.placement.lifted, self._ids, self._frames)]
        layouts += [exchange.layout() for exchange in self.batches.exchanges]
        location = directory if self._recovery is None else self._recovery.begin(layouts)
        self._source_ids = layouts[0].sources
        self.batches.reads = SourceLogs(files_of(self._sc, location), layouts[0])
        return location

    def discard(self) -> None:
        """Let go of everything; for a query that is not started."""
        self._finish(None)

    @property
    def _name(self) -> str:
        return f"{self._sc.appName or 'program'} (dstreams)"

    def start(self) -> None:
        """Start the query; returns as soon as Spark has accepted it."""
        if self.plan.piped or self.placement.exchanges:
            self._set_level(STATE_SERVER, "ERROR")
        self._set_level(TRIGGER, "ERROR")
        self._log_start()
        self.clock.start()
        try:
            location = self.prepare()
            for number, exchange in enumerate(self.batches.exchanges, 1):
                goes_on = self._recovery.exchange(number) if self._recovery is not None else (None, False)
                exchange.start(f"{location}/{exchange_folder(number)}", *goes_on)
            self._page = streaming_page(self._sc, self.clock.interval_ms, self._sources)
            if self._page is not None:
                self._bus.add(self._page)
                self.batches.label_jobs = self._page.label_jobs
                # Elsewhere each file that is read costs too much.
                self.batches.reports_inputs = location.startswith("file:")
                for exchange in self.batches.exchanges:
                    exchange.label_jobs = self._page.label_jobs
            for reader in self._readers.values():
                reader.open()
            interval_ms = 0 if self.clock.logical else self.clock.interval_ms
            self._stream = start_stream(self.plan.frame, self.on_batch, interval_ms, location, self._name)
        except BaseException as error:
            self._finish(None)
            raise as_user_error(error, "StreamingContext.start()") from None
        self._bus.post("onStreamingStarted", "time", now_ms())
        threading.Thread(target=self._watch, name="dstreams-watch", daemon=True).start()

    def _log_start(self) -> None:
        clock = "logical clock" if self.clock.logical else "real clock"
        pace = "" if self.clock.paced else ", not paced"
        log.info(
            "started: batches of %g s (%s%s), %d input(s), %d output(s)",
            self.clock.interval_ms / 1000, clock, pace, len(self._sources), len(self._graph.outputs),
        )  # fmt: skip
        for source in self._sources:
            if line := source.announce(self._sc):
                log.info("%s", line)

    # ------------------------------------------------------------------ batches

    def on_batch(self, jdf: JavaObject, number: int) -> None:
        """Run one batch, on Spark's stream thread."""
        when = self.clock.batch_time()
        if when is None:  # records came while the program stops: they are the next start's
            self._mute()
            raise Stopped("no batch is due")
        if not self._still_the_driver():
            raise Stopped("another program has the directory")
        with self._changed:
            self._batch_thread = threading.current_thread()
        inputs = {
            number: InputInfo(number, reader.records, reader.name)
            for number, source in enumerate(self._sources)
            if (reader := self._readers.get(source)) is not None and reader.records is not None
        }
        due_ms, begun_ms = self.clock.begun() or (now_ms(),) * 2
        info = BatchInfo(Time(when.now_ms), due_ms, inputs, _processingStartTime=begun_ms)
        try:
            again = when.now_ms == self._pending_ms
            committed = self.batches.run(jdf, number, when, info, lambda: self._ends_with_a_failure(again))
        finally:
            self._batch_thread = None
            self.clock.complete()
        self._adjust_rates(info)
        self._ran += 1
        self._last = info
        self._quietly(lambda: self._log_pace(info))
        self._quietly(self._tabs.update)
        if not committed or not self._environment.may_commit():
            self._give_up()
            raise Stopped("the batch failed")
        if not self._still_the_driver():
            raise Stopped("another program has the directory")

    def _source_failed(self, error: Exception) -> None:
        """End the query, whose next batch cannot be made; nothing of it is committed."""
        if is_stopped(self._sc) or java_context(self._sc).isStopped():  # that is all there is to say of it
            self._context_stopped = True
            self._mute()
        else:
            self._batch_failed(as_user_error(error, "the streaming query"))
            self._give_up()

    def _adjust_rates(self, info: BatchInfo) -> None:
        """Let receivers take as much as the program can follow."""
        for number, (limit, estimator) in self._estimators.items():
            records = info.streamIdToInputInfo()[number].numRecords()
            rate = estimator.measured(info.processingEndTime(), records, info.processingDelay(), info.schedulingDelay())
            limit.pressed = limit.pressed if rate is None else rate

    def _log_pace(self, info: BatchInfo) -> None:
        if self.clock.logical or info.processingDelay() < 0:
            return
        if (text := self._pace.observe(info, self._waiting())) is not None:
            log.warning("%s", text)

    def _waiting(self) -> int:
        """Records that receivers have taken and no batch has yet."""
        return sum(reader.left for reader in self._readers.values() if isinstance(reader, ReceiverReader))

    def status(self) -> Status:
        """How the program is doing."""
        status = Status(
            "stopped" if self._finished else "running", self.clock.interval_ms, self._ran, waiting=self._waiting(),
            error=f"{type(self._error).__name__}: {self._error}" if self._error is not None else None,
        )  # fmt: skip
        if (last := self._last) is None:
            return status
        outputs = [
            {"name": output.description(), "ms": output.endTime() - output.startTime(), "error": output.failureReason()}
            for output in last.outputOperationInfos().values()
        ]
        return replace(
            status, last_batch_ms=last.batchTime().milliseconds(), records=last.numRecords(),
            scheduling_delay_ms=_known(last.schedulingDelay()), processing_ms=_known(last.processingDelay()),
            behind=not self.clock.logical and last.processingDelay() > self.clock.interval_ms, outputs=outputs,
        )  # fmt: skip

    def _still_the_driver(self) -> bool:
        try:
            if self._recovery is not None:
                self._recovery.check()
        except CheckpointError as error:
            self._batch_failed(error)
            self._give_up()
            return False
        return True

    def _give_up(self) -> None:
        """End the query; the batch that runs is not committed."""
        with self._changed:
            first, self._stopping = not self._stopping, True
        self.clock.close()
        self._mute()
        if first:
            threading.Thread(target=self._stop, args=(False,), name="dstreams-stop").start()

    def _mute(self) -> None:
        """Keep Spark from printing what we raise to end a query."""
        self._set_level(BATCHES, "OFF")

    def _set_level(self, logger: str, level: str) -> None:
        """Set the level of one of Spark's loggers until the query ends."""
        if logger not in self._levels and (before := set_level(self._sc, logger, level)) is not None:
            self._levels[logger] = before

    def _ends_with_a_failure(self, again: bool) -> bool:
        """Whether the program ends when a function of it fails, so that the next start runs the batch again.

        Not without a checkpoint directory, as on the old engine. With one, where somebody waits for the end: who does
        not would not be told, and lives by later batches.
        """
        if self._checkpoint is None or (self._on_failure == "continue" and not self._cancelled):
            return False
        # A batch that is run again may fail before the program has come to where it waits.
        return self._cancelled or self._on_failure == "stop" or self._awaited or again

    def _batch_failed(self, error: BaseException, ends: bool | None = None) -> None:
        """Keep the error for awaitTermination, unless it is that of a batch that was cut off by a stop."""
        if self._cancelled:
            return
        error = self._explained(error)
        if _CANCELLED in str(error):
            log.info("the batch that ran was cancelled, with all jobs of the SparkContext")
        else:
            self._log_failure(error, ends)
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def _log_failure(self, error: BaseException, ends: bool | None) -> None:
        log.error("%s: %s", type(error).__name__, error)
        if self._checkpoint is None or isinstance(error, CheckpointError):
            return
        advice = [_AGAIN if ends is None else _ENDS if ends else _GOES_ON]
        if self._restored:
            advice.append(f"it is the program as it was saved: {UPGRADE_ADVICE}")
        for text in advice:
            log.error("%s", text)
            if hasattr(error, "add_note"):  # since Python 3.11
                error.add_note(text)

    def _explained(self, error: BaseException) -> BaseException:
        """Let the source whose failure it is say what to do."""
        if isinstance(error, BatchError):
            for source in self._sources:
                if (text := source.explain(f"{error} {error.__cause__}")) is not None:
                    explained = BatchError(text)
                    explained.__cause__ = error
                    return explained
        return error

    def _receiver_event(self, stream: int, name: str, event: str, text: str) -> None:
        """Log what a receiver says of itself, and tell the listeners."""
        (log.warning if event in ("error", "waiting") else log.info)("%s: %s", name, text)
        error = text if event in ("error", "stopped") else ""
        info = ReceiverInfo(stream, name, event == "started", "driver", error, now_ms() if error else -1)
        method = {"started": "onReceiverStarted", "stopped": "onReceiverStopped", "error": "onReceiverError"}
        if event in method:
            self._bus.post(method[event], "receiverInfo", info)

    # ------------------------------------------------------------------ end

    def wait(self, timeout: float | None) -> bool:
        """Wait until the query has ended, at most `timeout` seconds; raise the error of a batch that failed."""
        with self._changed:
            self._awaited = True
            self._changed.wait_for(lambda: self._finished or self._error is not None, timeout)
            if self._error is not None:
                raise self._error
            return self._finished

    def take_error(self) -> BaseException | None:
        """Return the error of a batch that failed, and forget it."""
        with self._changed:
            error, self._error = self._error, None
            return error

    @property
    def frames(self) -> list[DataFrame]:
        """Streaming DataFrames of the program and of its exchanges."""
        return [self.plan.frame, *(exchange.plan.frame for exchange in self.batches.exchanges)]

    @property
    def finished(self) -> bool:
        """True when the query has ended, whoever ended it."""
        return self._finished

    def stop(self, graceful: bool, after: Callable[[], None] | None = None) -> None:
        """End the query.

        Called from a batch (``foreachRDD``) or a listener it returns at once, and the query ends with the batch.

        Parameters
        ----------
        graceful : bool
            Let one more batch take what has been received.
        after : callable, optional
            What to do when the query has ended (stop the SparkContext).
        """
        with self._changed:
            first, self._stopping = not self._stopping, True
            inside = threading.current_thread() is self._batch_thread
        if graceful:
            self.clock.finish()
        else:
            self.clock.close()
        if first:
            threading.Thread(target=self._stop, args=(graceful,), name="dstreams-stop").start()
        waiting = threading.Thread(target=self._after, args=(after,), name="dstreams-stopped")
        waiting.start()
        if not inside and not self._bus.is_current_thread():
            waiting.join()

    def _after(self, action: Callable[[], None] | None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._finished)
        if action is not None:
            self._quietly(action)

    def _stop(self, graceful: bool) -> None:
        """Stop where nothing of a batch is under way: Spark interrupts its thread, which is loud inside a batch."""
        if graceful:
            if not self.clock.wait_for_end(self._graceful_seconds):
                log.warning(
                    "stopping: after the %g s of %s no batch begins any more; one that runs is finished",
                    self._graceful_seconds, GRACEFUL_TIMEOUT,
                )  # fmt: skip
                self.clock.close()
                self.clock.wait_for_end(None)
        elif not self.clock.wait_for_end(_GRACE_SECONDS):
            self._cancelled = True
            self._quietly(self._cancel_jobs)
            self.clock.wait_for_end(_GRACE_SECONDS)
        deadline = time.monotonic() + (_COMMIT_SECONDS if graceful else _GRACE_SECONDS)
        while self._trigger_active() and time.monotonic() < deadline:
            time.sleep(0.005)  # Spark tells nobody when a query begins to wait for its trigger
        level = set_level(self._sc, SCHEDULER, "ERROR")
        self._quietly(lambda: self._stream.stop() if self._stream is not None else None)
        if level is not None:
            set_level(self._sc, SCHEDULER, level)
        self._finish(None)

    def _cancel_jobs(self) -> None:
        if self._stream is not None:
            self._sc.cancelJobGroup(str(self._stream.runId))
        for exchange in self.batches.exchanges:
            if exchange.job_group is not None:
                self._sc.cancelJobGroup(exchange.job_group)

    def _trigger_active(self) -> bool:
        if self._stream is None:
            return False
        try:
            return bool(self._stream.isActive and self._stream.status["isTriggerActive"])
        except Exception:  # the JVM is gone, so nothing is active
            return False

    @staticmethod
    def _quietly(action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:  # the JVM or its context is gone: what was to be stopped has stopped
            log.debug("while stopping: %s", error)

    def _watch(self) -> None:
        """Notice when the query ends without us: a source that failed, a SparkContext that was stopped."""
        assert self._stream is not None
        error: BaseException | None = None
        waiting = Waiting(self._sources)
        try:
            while not self._finished and not self._stream.awaitTermination(_LOOK_SECONDS):
                waiting.observe(str(self._stream.status["message"]))
        except Exception as failure:
            error = self._explained(as_user_error(failure, "the streaming query"))
        self.clock.abandon()  # a graceful stop that waits for one more batch waits in vain
        if not self._stopping:
            if (
                self._context_stopped
                or is_stopped(self._sc)
                or (isinstance(error, DStreamError) and "shut down" in str(error))
            ):
                error = None
            self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        self.clock.abandon()
        for exchange in self.batches.exchanges:
            self._quietly(exchange.close)
        while self._levels and not is_stopped(self._sc):
            set_level(self._sc, *self._levels.popitem())
        for reader in self._readers.values():
            self._quietly(reader.stop)
        for source in self._sources:
            self._quietly(source.close)
        if not is_stopped(self._sc):
            self._quietly(self.batches.forget_all)
            self._quietly(self._functions.close)
        if self._offsets is not None:
            shutil.rmtree(self._offsets, ignore_errors=True)
        if self._recovery is not None:
            self._recovery.close()
        self._bus.flush(2)
        if self._page is not None and not is_stopped(self._sc):
            self._quietly(self._page.close)
        with self._changed:
            if error is not None:
                self._error = error
            self._finished = True
            self._changed.notify_all()
