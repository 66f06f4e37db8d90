"""Spark's own Streaming page, its REST API and its metrics, which are still in Spark's jar.

They need a StreamingContext of the JVM, which is made and never started: it has an input stream for each of ours, from
which the page takes rows and names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from py4j.java_gateway import JavaPackage

from dstreams._spark.context import java_context
from dstreams._spark.jvm import java
from dstreams._spark.loggers import set_level

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

__all__ = ["EVENTS", "Input", "OldEngine"]

_BATCH_TIME, _OUTPUT = "spark.streaming.internal.batchTime", "spark.streaming.internal.outputOpId"
"""Local properties by which the page knows the Spark jobs of a batch."""
_DIRECTORY = "spark.streaming.checkpoint.directory"
_OLD = "org.apache.spark.streaming"
_EVENT = f"{_OLD}.scheduler.StreamingListener"
_METRICS = "org.apache.spark.metrics.MetricsSystem"


class Input(Enum):
    """What the page shows of an input stream."""

    HIDDEN = auto()
    RECEIVER = auto()
    DIRECTORY = auto()
    OTHER = auto()


class OldEngine:
    """What Spark's page, REST API and metrics read of one program.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    interval_ms : int
        Batch interval in ms.
    inputs : iterable of Input
        The inputs, in the order of their numbers.
    """

    def __init__(self, sc: SparkContext, interval_ms: int, inputs: Iterable[Input]) -> None:
        self._sc = sc
        self._jsc = java_context(sc)
        jssc = self._context(interval_ms)
        self._make_inputs(jssc, inputs)
        # Made once: each call of the JVM takes a part of a millisecond, and a batch makes many.
        self._immutable = getattr(self._new("scala.Predef.Map"), "from")
        self._empty_map, self._none = self._new("scala.Predef.Map").empty(), self._new("scala.Option.empty")
        self._made: dict[str, tuple[Any, JavaObject]] = {}
        for method in EVENTS:  # py4j cannot look at the listener's methods where one of these is missing
            self._class(f"{_EVENT}{method.removeprefix('on')}")
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

    def tell(self, method: str, event: Any) -> None:
        """Tell what a listener is told, in objects of the JVM; `method` is the listener's."""
        getter, convert = EVENTS[method]
        value = getattr(event, getter)()
        value = value if convert is None else convert(self, value)
        getattr(self._progress, method)(self._new(f"{_EVENT}{method.removeprefix('on')}", value))

    # ------------------------------------------------------------------ objects of the JVM

    def _class(self, name: str) -> Any:
        found = java(self._sc, name)
        if isinstance(found, JavaPackage):
            raise LookupError(f"this Spark no longer has {name}")
        return found

    def _new(self, name: str, *arguments: Any) -> JavaObject:
        return self._class(name)(*arguments)

    def _make_inputs(self, jssc: JavaObject, inputs: Iterable[Input]) -> None:
        make = self._new(f"{_OLD}.api.java.JavaStreamingContext", jssc)
        for kind in inputs:
            if kind is Input.HIDDEN:
                jssc.getNewInputStreamId()
            elif kind is Input.RECEIVER:
                make.socketTextStream("", 0)  # the name comes with its events
            elif kind is Input.DIRECTORY:
                make.textFileStream(".")
            else:
                make.queueStream(self._new("java.util.LinkedList"))
        # Its graph knows its inputs only then; no stream begins to do anything.
        jssc.graph().start(self._new(f"{_OLD}.Time", 0))

    def _batch(self, info: Any) -> JavaObject:
        inputs = self._once("inputs", info.streamIdToInputInfo(), self._inputs)
        outputs = {number: self._output(output) for number, output in info.outputOperationInfos().items()}
        return self._new(
            f"{_OLD}.scheduler.BatchInfo", self._time(info), inputs, info.submissionTime(),
            self._option(info.processingStartTime()), self._option(info.processingEndTime()), self._map(outputs),
        )  # fmt: skip

    def _inputs(self, infos: dict[int, Any]) -> JavaObject:
        name = f"{_OLD}.scheduler.StreamInputInfo"
        given = ((number, info.numRecords(), self._map(info.metadata())) for number, info in infos.items())
        return self._map({values[0]: self._new(name, *values) for values in given})

    def _output(self, info: Any) -> JavaObject:
        return self._once(f"output {info.id()}", info, self._new_output)

    def _new_output(self, info: Any) -> JavaObject:
        return self._new(
            f"{_OLD}.scheduler.OutputOperationInfo", self._time(info), info.id(), info.name(), info.description(),
            self._option(info.startTime()), self._option(info.endTime()), self._option(info.failureReason()),
        )  # fmt: skip

    def _receiver(self, info: Any) -> JavaObject:
        return self._new(
            f"{_OLD}.scheduler.ReceiverInfo", info.streamId(), info.name(), info.active(), info.location(),
            info.executorId(), info.lastErrorMessage(), info.lastError(), info.lastErrorTime(),
        )  # fmt: skip

    def _time(self, info: Any) -> JavaObject:
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
        find = java(self._sc, "java.lang.Class.forName")
        handles = java(self._sc, "java.lang.invoke.MethodHandles.publicLookup")()
        result = java(self._sc, "java.lang.Void").TYPE if returns is None else find(returns)
        kind = java(self._sc, "java.lang.invoke.MethodType.methodType")(result, *map(find, takes))
        passed = self._new("java.util.ArrayList")
        for value in values:
            passed.add(value)
        return handles.findVirtual(find(owner), name, kind).invokeWithArguments(passed)


EVENTS: dict[str, tuple[str, Callable[[OldEngine, Any], JavaObject] | None]] = {
    "onStreamingStarted": ("time", None),
    "onReceiverStarted": ("receiverInfo", OldEngine._receiver),
    "onReceiverError": ("receiverInfo", OldEngine._receiver),
    "onReceiverStopped": ("receiverInfo", OldEngine._receiver),
    "onBatchSubmitted": ("batchInfo", OldEngine._batch),
    "onBatchStarted": ("batchInfo", OldEngine._batch),
    "onBatchCompleted": ("batchInfo", OldEngine._batch),
    "onOutputOperationStarted": ("outputOperationInfo", OldEngine._output),
    "onOutputOperationCompleted": ("outputOperationInfo", OldEngine._output),
}
"""Methods of a listener, with what their event has and how it is made an object of the JVM."""
