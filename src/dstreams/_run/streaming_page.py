"""Spark's own Streaming page, its REST API and its metrics, fed with what listeners are told.

All of it is still in Spark's jar and needs a StreamingContext of the JVM, which is made and never started: it has an
input stream for each of ours, from which the page takes rows and names.
"""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Any

from py4j.java_gateway import JavaPackage
from pyspark.find_spark_home import _find_spark_home

from dstreams._java import java
from dstreams._run.files import jvm_reason
from dstreams._run.logs import set_level
from dstreams._run.progress import BatchInfo, InputInfo, Observer, OutputInfo, ReceiverInfo
from dstreams._sources.files import BinaryRecordsSource, TextFileSource
from dstreams._sources.receiver import ReceiverSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

    from dstreams._sources.source import Source

__all__ = ["StreamingPage", "streaming_page"]

log = logging.getLogger("dstreams")

ENABLED = "spark.streaming.ui.enabled"
"""Conf of ours: ``false`` leaves the page out."""
_BATCH_TIME, _OUTPUT = "spark.streaming.internal.batchTime", "spark.streaming.internal.outputOpId"
"""Local properties by which the page knows the Spark jobs of a batch."""
_DIRECTORY = "spark.streaming.checkpoint.directory"
_OLD = "org.apache.spark.streaming"
_EVENT = f"{_OLD}.scheduler.StreamingListener"
_METRICS = "org.apache.spark.metrics.MetricsSystem"


def streaming_page(sc: SparkContext, interval_ms: int, sources: Sequence[Source]) -> StreamingPage | None:
    """Open the page and register the metrics, where somebody can look at them.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    interval_ms : int
        Batch interval in ms.
    sources : sequence of Source
        The inputs, in the order of their numbers.

    Returns
    -------
    StreamingPage or None
        None where there is neither a UI nor a sink for metrics, or where Spark has the page no more.
    """
    assert sc._jsc is not None
    if not sc._jsc.sc().ui().isDefined() and not _has_sinks(sc):
        return None
    if str(sc._conf.get(ENABLED, "true")).lower() == "false":
        return None
    try:
        return StreamingPage(sc, interval_ms, sources)
    except Exception as error:
        _say_left_out(jvm_reason(error))
        return None


@cache
def _say_left_out(reason: str) -> None:
    """Say it once, however many contexts are started."""
    log.info("Spark's Streaming page, its REST API and its metrics are left out: %s", reason)


def _has_sinks(sc: SparkContext) -> bool:
    configured = any(key.startswith("spark.metrics.conf") for key, _ in sc._conf.getAll())
    folder = os.environ.get("SPARK_CONF_DIR") or os.path.join(_find_spark_home(), "conf")
    return configured or os.path.exists(os.path.join(folder, "metrics.properties"))


def _passed_on(event: str, getter: str) -> Callable[[StreamingPage, Any], None]:
    """A listener's method that tells Spark's own listener the same, in objects of the JVM."""

    def forward(page: StreamingPage, event_info: Any) -> None:
        if page._left_out:
            return
        made: dict[str, Callable[[Any], Any]] = {
            "batchInfo": page._batch,
            "outputOperationInfo": page._output,
            "receiverInfo": page._receiver,
        }
        value = getattr(event_info, getter)()
        try:
            value = made[getter](value) if getter in made else value
            getattr(page._progress, f"on{event}")(page._new(f"{_EVENT}{event}", value))
        except Exception as error:  # a page that does not get everything would show what is wrong
            page._left_out = True
            _say_left_out(jvm_reason(error))
            page.close()

    return forward


class StreamingPage(Observer):
    """What Spark's page, REST API and metrics show of one program; parameters as for :func:`streaming_page`."""

    def __init__(self, sc: SparkContext, interval_ms: int, sources: Sequence[Source]) -> None:
        assert sc._jsc is not None
        self._sc = sc
        self._jsc = sc._jsc.sc()
        jssc = self._context(interval_ms)
        self._make_inputs(jssc, sources)
        # Made once: each call of the JVM takes a part of a millisecond, and a batch makes many.
        self._immutable = getattr(self._new("scala.Predef.Map"), "from")
        self._empty_map, self._none = self._new("scala.Predef.Map").empty(), self._new("scala.Option.empty")
        self._made: dict[str, tuple[Any, JavaObject]] = {}
        for method in vars(StreamingPage):
            if method.startswith("on"):  # py4j cannot look at the listener's methods where one of these is missing
                self._class(f"{_EVENT}{method.removeprefix('on')}")
        self._left_out = False
        self._progress = jssc.progressListener()
        source, ui = jssc.streamingSource(), self._jsc.ui()
        with ExitStack() as undo:
            self._metrics("registerSource", source)
            undo.callback(self._metrics, "removeSource", source)
            self._jsc.addSparkListener(self._progress)
            undo.callback(self._jsc.removeSparkListener, self._progress)
            if ui.isDefined():
                tab = jssc.uiTab().get()
                tab.attach()
                undo.callback(tab.detach)
                ui.get().setStreamingJobProgressListener(self._progress)
                undo.callback(ui.get().clearStreamingJobProgressListener)
            self._undo = undo.pop_all()

    def close(self) -> None:
        """Take everything away, as the old engine does when a program ends."""
        self._undo.close()

    def _context(self, interval_ms: int) -> JavaObject:
        """The context that is never started; it must not set the checkpoint directory, nor warn of too few cores."""
        conf, name = self._jsc.conf(), f"{_OLD}.StreamingContext"
        directory = conf.get(_DIRECTORY, None)
        conf.remove(_DIRECTORY)
        level = set_level(self._sc, name, "ERROR")
        try:
            return self._class(name)(self._jsc, self._new(f"{_OLD}.Duration", interval_ms))
        finally:
            if level is not None:
                set_level(self._sc, name, level)
            if directory is not None:
                conf.set(_DIRECTORY, directory)

    def label_jobs(self, time_ms: int, output: int) -> None:
        """Let the jobs that this thread starts from now on be those of an output of a batch."""
        self._jsc.setLocalProperty(_BATCH_TIME, str(time_ms))
        self._jsc.setLocalProperty(_OUTPUT, str(output))

    # ------------------------------------------------------------------ what listeners are told

    onStreamingStarted = _passed_on("StreamingStarted", "time")
    onReceiverStarted = _passed_on("ReceiverStarted", "receiverInfo")
    onReceiverError = _passed_on("ReceiverError", "receiverInfo")
    onReceiverStopped = _passed_on("ReceiverStopped", "receiverInfo")
    onBatchSubmitted = _passed_on("BatchSubmitted", "batchInfo")
    onBatchStarted = _passed_on("BatchStarted", "batchInfo")
    onBatchCompleted = _passed_on("BatchCompleted", "batchInfo")
    onOutputOperationStarted = _passed_on("OutputOperationStarted", "outputOperationInfo")
    onOutputOperationCompleted = _passed_on("OutputOperationCompleted", "outputOperationInfo")

    # ------------------------------------------------------------------ objects of the JVM

    def _class(self, name: str) -> Any:
        found = java(self._sc._jvm, name)
        if isinstance(found, JavaPackage):
            raise LookupError(f"this Spark no longer has {name}")
        return found

    def _new(self, name: str, *arguments: Any) -> JavaObject:
        return self._class(name)(*arguments)

    def _make_inputs(self, jssc: JavaObject, sources: Sequence[Source]) -> None:
        make = self._new(f"{_OLD}.api.java.JavaStreamingContext", jssc)
        for source in sources:
            if source.initial:
                jssc.getNewInputStreamId()  # it has a number, and nothing to show
            elif isinstance(source, ReceiverSource):
                make.socketTextStream("", 0)  # a receiver, whose name comes with its events
            elif isinstance(source, TextFileSource | BinaryRecordsSource):
                make.textFileStream(source.directory)
            else:
                make.queueStream(self._new("java.util.LinkedList"))
        # Its graph knows its inputs only then; no stream begins to do anything.
        jssc.graph().start(self._new(f"{_OLD}.Time", 0))

    def _batch(self, info: BatchInfo) -> JavaObject:
        inputs = self._once("inputs", info.streamIdToInputInfo(), self._inputs)
        outputs = {number: self._output(output) for number, output in info.outputOperationInfos().items()}
        return self._new(
            f"{_OLD}.scheduler.BatchInfo", self._time(info), inputs, info.submissionTime(),
            self._option(info.processingStartTime()), self._option(info.processingEndTime()), self._map(outputs),
        )  # fmt: skip

    def _inputs(self, infos: dict[int, InputInfo]) -> JavaObject:
        name = f"{_OLD}.scheduler.StreamInputInfo"
        given = ((number, info.numRecords(), self._map(info.metadata())) for number, info in infos.items())
        return self._map({values[0]: self._new(name, *values) for values in given})

    def _output(self, info: OutputInfo) -> JavaObject:
        return self._once(f"output {info.id()}", info, self._new_output)

    def _new_output(self, info: OutputInfo) -> JavaObject:
        return self._new(
            f"{_OLD}.scheduler.OutputOperationInfo", self._time(info), info.id(), info.name(), info.description(),
            self._option(info.startTime()), self._option(info.endTime()), self._option(info.failureReason()),
        )  # fmt: skip

    def _receiver(self, info: ReceiverInfo) -> JavaObject:
        return self._new(
            f"{_OLD}.scheduler.ReceiverInfo", info.streamId(), info.name(), info.active(), info.location(),
            info.executorId(), info.lastErrorMessage(), info.lastError(), info.lastErrorTime(),
        )  # fmt: skip

    def _time(self, info: BatchInfo | OutputInfo) -> JavaObject:
        return self._once("time", info.batchTime(), lambda time: self._new(f"{_OLD}.Time", time.milliseconds()))

    def _once(self, kind: str, value: Any, make: Callable[[Any], JavaObject]) -> JavaObject:
        """What was last made of this kind, if it was made of the same object: events of a batch share most."""
        last = self._made.get(kind)
        if last is None or last[0] is not value:
            last = self._made[kind] = value, make(value)
        return last[1]

    def _option(self, value: Any) -> JavaObject:
        """What is not known yet is -1 or None."""
        return self._none if value in (-1, None) else self._new("scala.Some", value)

    def _map(self, entries: dict[Any, Any]) -> JavaObject:
        if not entries:
            return self._empty_map
        found = self._new("java.util.HashMap")
        for key, value in entries.items():
            found.put(key, value)
        return self._immutable(self._new("scala.jdk.javaapi.CollectionConverters.asScala", found))

    def _metrics(self, method: str, source: JavaObject) -> None:
        system = self._call("org.apache.spark.SparkEnv", "metricsSystem", _METRICS, [], self._jsc.env())
        self._call(_METRICS, method, None, ["org.apache.spark.metrics.source.Source"], system, source)

    def _call(self, owner: str, name: str, returns: str | None, takes: list[str], *values: Any) -> Any:
        """Call a method by its handle: py4j looks at all methods of SparkEnv, one of which needs protobuf."""
        find = java(self._sc._jvm, "java.lang.Class.forName")
        handles = java(self._sc._jvm, "java.lang.invoke.MethodHandles.publicLookup")()
        result = java(self._sc._jvm, "java.lang.Void").TYPE if returns is None else find(returns)
        kind = java(self._sc._jvm, "java.lang.invoke.MethodType.methodType")(result, *map(find, takes))
        passed = self._new("java.util.ArrayList")
        for value in values:
            passed.add(value)
        return handles.findVirtual(find(owner), name, kind).invokeWithArguments(passed)
