"""StreamingContext: the entry point of a program, and its life; its sources are in :mod:`dstreams.inputs`."""

from __future__ import annotations

import atexit
import inspect
import os
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from pyspark import SparkConf, SparkContext

from dstreams._insides import lacking
from dstreams._plan.default_partitions import DefaultPartitions
from dstreams._plan.graph import Graph, Node, call_site
from dstreams._plan.identity import match
from dstreams._plan.placement import place
from dstreams._plan.workers import leave_workers, prepare_workers
from dstreams._run.before_spark import start_jvm
from dstreams._run.checkpoint import directory_name, files_of, open_directory, read_directory
from dstreams._run.explain import explain
from dstreams._run.files import hadoop_files, jvm_reason
from dstreams._run.interpreter import use_this_python, use_this_python_in
from dstreams._run.launch import launching
from dstreams._run.logs import show_logs
from dstreams._run.nodes import wait_for_executors
from dstreams._run.program import Program, describe, pickle_graph, read_graph
from dstreams._run.progress import ListenerBus
from dstreams._run.query import Query, plan_context
from dstreams._run.recovery import Recovery
from dstreams._run.signals import Signals
from dstreams._run.status import Status
from dstreams._run.world import World
from dstreams.duration import Milliseconds, to_milliseconds
from dstreams.errors import CheckpointError, DStreamStateError, DStreamTypeError, DStreamValueError
from dstreams.inputs import Inputs

if TYPE_CHECKING:
    from dstreams._run.batch import Batch

__all__ = ["StreamingContext"]

CHECKPOINT_DIRECTORY = "spark.streaming.checkpoint.directory"
"""Conf: as ``ssc.checkpoint(...)`` in the program."""
PACED = "spark.streaming.dstreams.paced"
"""Conf: ``false`` drops the pacing of programs whose inputs are all queueStreams."""
GRACEFUL = "spark.streaming.stopGracefullyOnShutdown"
"""Conf: ``true`` lets SIGTERM and SIGINT finish and commit the batches that are due."""
UPGRADE = "spark.streaming.dstreams.upgrade"
"""Conf: ``true`` is the same as ``getOrCreate(..., upgrade=True)``."""


class StreamingContext(Inputs):
    """Entry point of a DStream program; one context becomes one Structured Streaming query.

    Parameters
    ----------
    sparkContext : pyspark.SparkContext or pyspark.SparkConf
        The context to run on, or a conf to make one from.
    batchDuration : float
        Batch interval in seconds; ``Seconds(1)`` and ``Milliseconds(500)`` do as well.
    jssc : None
        Accepted for compatibility, must be None.

    Raises
    ------
    DStreamTypeError, DStreamValueError
        If the interval is not a number of at least one millisecond. (The old engine takes 0 and then never runs
        a batch.)
    """

    _active: ClassVar[StreamingContext | None] = None
    _lock: ClassVar[threading.RLock] = threading.RLock()
    _predecessor: ClassVar[Program | None] = None
    """While a context is made: what it goes on with."""
    _world: ClassVar[World] = World()
    """What contexts meet; a test puts its own here."""

    def __init__(
        self, sparkContext: SparkContext | SparkConf, batchDuration: float | None = None, jssc: None = None
    ) -> None:
        if jssc is not None:
            raise DStreamTypeError("jssc: a context of the JVM's old engine cannot be taken over")
        if batchDuration is None:
            raise DStreamTypeError("batchDuration is missing: StreamingContext(sc, 1) has batches of one second")
        self._interval_ms = to_milliseconds(batchDuration, "batchDuration")
        if isinstance(sparkContext, SparkConf):
            use_this_python()
            with launching(sparkContext):
                sparkContext = SparkContext(conf=sparkContext)
        if not isinstance(sparkContext, SparkContext):
            raise DStreamTypeError(
                f"sparkContext must be a SparkContext (or a SparkConf), got {type(sparkContext).__name__}"
                + ("; pass spark.sparkContext" if hasattr(sparkContext, "sparkContext") else "")
            )
        self._sc = sparkContext
        use_this_python_in(sparkContext)
        prepare_workers(sparkContext, self)
        self._graph = Graph()
        self._bus = ListenerBus()
        self._query: Query | None = None
        self._signals: Signals | None = None
        self._started = False
        self._stopped = False
        self._started_at = ""
        self._stopped_at = ""
        self._paced = str(sparkContext._conf.get(PACED, "true")).lower() != "false"
        self._remember_ms: int | None = None
        self._checkpoint: str | None = None
        self._saved = StreamingContext._predecessor
        self._payload: bytes | None = None
        self._script = call_site().partition(":")[0]
        # State stays in as many partitions as the first run has given it, whatever machine this one has.
        if self._saved is None:
            wait_for_executors(sparkContext)  # the default follows from their cores
        saved = None if self._saved is None else self._saved.parallelism
        self._parallelism = DefaultPartitions(saved or sparkContext.defaultParallelism)
        if directory := sparkContext._conf.get(CHECKPOINT_DIRECTORY):
            self.checkpoint(directory)

    def __reduce__(self) -> NoReturn:
        raise DStreamTypeError("a StreamingContext lives in the driver and cannot be sent to workers")

    if not TYPE_CHECKING:  # where it would stand for any name

        def __getattr__(self, name):
            raise AttributeError(lacking("StreamingContext", name))

    @property
    def sparkContext(self) -> SparkContext:
        """The SparkContext of this context."""
        return self._sc

    # ------------------------------------------------------------------ life

    @classmethod
    def getActive(cls) -> StreamingContext | None:
        """Return the context that is started and not stopped, or None."""
        with cls._lock:
            active = StreamingContext._active
            if active is not None and (active._stopped or (active._query is not None and active._query.finished)):
                StreamingContext._active = active = None
            return active

    @classmethod
    def getActiveOrCreate(
        cls, checkpointPath: str | None, setupFunc: Callable[[], StreamingContext]
    ) -> StreamingContext:
        """Return the active context; else one made by :meth:`getOrCreate`, or by `setupFunc` without a path.

        Parameters
        ----------
        checkpointPath : str, optional
            Checkpoint directory.
        setupFunc : callable
            Makes the context and defines the program.

        Raises
        ------
        DStreamTypeError
            "setupFunc should be callable."
        """
        if not callable(setupFunc):
            raise DStreamTypeError("setupFunc should be callable.")
        active = cls.getActive()
        if active is not None:
            return active
        return setupFunc() if checkpointPath is None else cls.getOrCreate(checkpointPath, setupFunc)

    @classmethod
    def getOrCreate(
        cls, checkpointPath: str, setupFunc: Callable[[], StreamingContext], upgrade: bool | None = None
    ) -> StreamingContext:
        """Restore the program that a checkpoint directory holds, or make a new one for it.

        Parameters
        ----------
        checkpointPath : str
            Directory of any Hadoop file system.
        setupFunc : callable
            Makes the context and defines the program. Called where the directory holds no program, and for an upgrade.
        upgrade : bool, optional
            True runs `setupFunc` although the directory holds a program, and lets the new program go on with its
            offsets and its state; the default is the conf ``spark.streaming.dstreams.upgrade``. Operations are known by
            what they are and what they read, or by the name that :meth:`DStream.named` gave them.

        Returns
        -------
        StreamingContext
            A restored program is the saved one, functions, batch interval and all, as on the old engine: changes of
            the code take no effect without `upgrade`. It runs on the SparkContext that there is, or on a new one with
            the saved settings. Nothing can be added to it but listeners.

        Raises
        ------
        CheckpointError
            If the directory is the old engine's, or belongs to another program, or is damaged; the message says what
            can be done. Nothing in it has been changed.
        DStreamTypeError
            If `setupFunc` is no function, or gives no StreamingContext.
        """
        path = cls._world.directory(directory_name(checkpointPath))
        if not callable(setupFunc):
            raise DStreamTypeError("setupFunc should be callable.")
        use_this_python()
        sc = SparkContext._active_spark_context
        found = None
        if sc is not None or start_jvm(path):
            assert SparkContext._jvm is not None
            try:
                files = hadoop_files(SparkContext._jvm, path) if sc is None else files_of(sc, path)
            except Exception as error:
                raise CheckpointError.unreadable(path, jvm_reason(error)) from None
            found = read_directory(files)
        script = _file_of(setupFunc)
        if found is None:
            ssc = cls._set_up(path, setupFunc, None)
        elif _wants(upgrade, sc):
            ssc = cls._set_up(path, setupFunc, found[0])
        else:
            program, payload = found
            if script != program.script:
                raise CheckpointError.other_program(files.root, program.script, program.app, script)
            graph = read_graph(files, program, payload)
            with cls._going_on_with(program):
                ssc = cls(sc or SparkContext(conf=program.spark_conf()), Milliseconds(program.interval_ms))
            ssc._graph, ssc._payload, ssc._remember_ms = graph, payload, program.remember_ms
            ssc.checkpoint(path)
        ssc._script = script
        return ssc

    @classmethod
    @contextmanager
    def _going_on_with(cls, program: Program | None) -> Iterator[None]:
        """Let the context that is made within this go on with what a saved program has kept."""
        StreamingContext._predecessor = program
        try:
            yield
        finally:
            StreamingContext._predecessor = None

    @classmethod
    def _set_up(
        cls, path: str, setupFunc: Callable[[], StreamingContext], predecessor: Program | None
    ) -> StreamingContext:
        with cls._going_on_with(predecessor):
            ssc = setupFunc()
        if not isinstance(ssc, StreamingContext):
            raise DStreamTypeError(
                f"getOrCreate: setupFunc must return the StreamingContext that it has made, got {type(ssc).__name__}"
            )
        ssc.checkpoint(path)
        return ssc

    def start(self) -> None:
        """Start the program. A second call on a running context is ignored with a warning.

        Raises
        ------
        DStreamStateError
            Without output operations, after stop, or while another context runs; the old engine's texts.
        DStreamTypeError
            If a function cannot be pickled; the message names the operation.
        """
        with StreamingContext._lock:
            if self._stopped:
                raise DStreamStateError.already_stopped()
            if self._started:
                warnings.warn("StreamingContext has already been started", stacklevel=2)
                return
            other = StreamingContext.getActive()
            if other is not None:
                raise DStreamStateError.other_active(other._started_at)
            try:
                if not self._graph.outputs:
                    raise DStreamStateError.no_outputs()
                if self._sc._jsc is None:
                    raise DStreamStateError("The SparkContext of this StreamingContext has been stopped.")
                show_logs(self._sc)
                self._world.begin(self._graph)
                remember_ms = self._remember_ms or 0
                checkpoint = self._checkpoint_directory()
                self._query = Query(
                    self._sc, self._graph, self._interval_ms, remember_ms, self._parallelism, self._paced, checkpoint,
                    self._recovery(), self._bus, self._world,
                )  # fmt: skip
                self._query.start()
            except BaseException:
                self._stopped = True
                self._query = None
                raise
            self._started = True
            self._started_at = f" {call_site()}"
            StreamingContext._active = self
        atexit.register(self._at_exit)
        query = self._query
        # Outside the lock: a signal that comes meanwhile stops the query, which takes it.
        self._signals = Signals(
            lambda graceful: self.stop(stopSparkContext=False, stopGraceFully=graceful),
            lambda: query.finished,
            str(self._sc._conf.get(GRACEFUL, "false")).lower() == "true",
            self._sc,
        )
        self._signals.install()

    def awaitTermination(self, timeout: float | None = None) -> None:
        """Wait until the context is stopped, or raise the error of a batch that failed.

        Parameters
        ----------
        timeout : float, optional
            At most so many seconds; the result is None in any case.

        Raises
        ------
        Exception
            The exception that a batch, or one of its outputs, failed with: the program's own, also where it was
            raised in a worker. The context goes on running, as on the old engine.
        """
        self._wait(timeout)

    def awaitTerminationOrTimeout(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds; return True if the context is stopped, or raise as above."""
        return self._wait(timeout)

    def _wait(self, timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._signals is None and not self._stopped:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(0.05)  # for a start() in another thread, which comes once if at all
        if self._query is None or self._signals is None:
            return True
        with self._signals.waiting():
            return self._query.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def stop(self, stopSparkContext: bool = True, stopGraceFully: bool = False) -> None:
        """Stop the program.

        Parameters
        ----------
        stopSparkContext : bool
            Stop the SparkContext too.
        stopGraceFully : bool
            Let one more batch process what has been received. The spelling is the old engine's.

        Notes
        -----
        May be called at any time and any number of times, also inside foreachRDD and from a listener; there it
        returns at once, and the context ends with the running batch (the old engine deadlocks).
        """
        with StreamingContext._lock:
            self._stopped = True
            self._stopped_at = self._stopped_at or call_site()
            if StreamingContext._active is self:
                StreamingContext._active = None
        if self._query is not None:

            def after() -> None:
                leave_workers(self._sc, self)
                if stopSparkContext:
                    self._sc.stop()

            with self._signals.waiting() if self._signals is not None else nullcontext():
                self._query.stop(stopGraceFully, after)
            atexit.unregister(self._at_exit)
            if self._signals is not None:
                self._signals.uninstall()
        else:
            leave_workers(self._sc, self)
            if stopSparkContext:
                self._sc.stop()

    def _at_exit(self) -> None:
        """End quietly with a program that ends without ``stop()``."""
        with suppress(KeyboardInterrupt):  # Ctrl-C once more: the user does not want to wait
            if self._query is not None and not self._query.finished and self._sc._jsc is not None:
                self.stop(stopSparkContext=False)

    def remember(self, duration: float) -> None:
        """Keep the RDDs of each batch for at least so many seconds, for :meth:`DStream.slice`.

        Raises
        ------
        DStreamValueError
            If it was set before; the old engine's text.
        """
        remember_ms = to_milliseconds(duration, "duration")
        if self._remember_ms is not None:
            raise DStreamValueError(
                f"requirement failed: Remember duration already set as {self._remember_ms} ms. Cannot set it again."
            )
        self._remember_ms = remember_ms

    def checkpoint(self, directory: str | None) -> None:
        """Set the directory where the state of the program is kept.

        Parameters
        ----------
        directory : str, optional
            Directory of any Hadoop file system, which is made if need be; it becomes the checkpoint location of the
            program's query, or a folder in it does, where others have files in it or an earlier run is kept. None takes
            the setting back. What an earlier run left there is kept once when this program starts.

        Raises
        ------
        DStreamTypeError, DStreamValueError
            If it is not a path, or cannot be written to.

        Notes
        -----
        Sets the SparkContext's checkpoint directory too, as the old engine does. A program without operations that
        keep state does not need one.
        """
        if directory is not None:
            directory = open_directory(self._sc, self._world.directory(directory_name(directory)))
        self._checkpoint = directory

    def addStreamingListener(self, streamingListener: Any) -> None:
        """Tell a listener what happens to each batch.

        Parameters
        ----------
        streamingListener : StreamingListener
            Or any object with one of its methods.
        """
        if not any(name.startswith("on") and callable(getattr(streamingListener, name, None))
                   for name in dir(streamingListener)):  # fmt: skip
            raise DStreamTypeError(
                f"addStreamingListener: {streamingListener!r} has none of the methods of a StreamingListener"
            )
        self._bus.add(streamingListener)

    def status(self) -> Status:
        """How the program is doing now: batches, delays, what waits, what its last outputs took or failed with.

        Returns
        -------
        Status
            Prints as text and, in a notebook, as a table; :meth:`Status.as_dict` is for programs.
        """
        if self._query is not None:
            return self._query.status()
        return Status("stopped" if self._stopped else "not started", self._interval_ms)

    def explain(self) -> str:
        """Print what became of the program: where each operation runs and, once started, the query's plan.

        Returns
        -------
        str
            The text that was printed.
        """
        query = self._query
        placement = (
            query.placement if query is not None else place(self._graph, plan_context(self._sc, self._parallelism))
        )
        text = explain(self._graph, placement, query.frames if query is not None else [])
        print(text, flush=True)
        return text

    # ------------------------------------------------------------------ for DStream

    def _check_open(self, op: str) -> None:
        if self._payload is not None:
            raise DStreamStateError.restored(op)
        if self._stopped:
            raise DStreamStateError.frozen(op, "stopping")
        if self._started:
            raise DStreamStateError.frozen(op, "starting")

    def _batches(self, op: str) -> dict[int, Batch]:
        if self._query is None:
            raise DStreamStateError(f"{op}: this DStream has not been initialized; call start() first")
        return dict(self._query.batches.remembered)

    def _recovery(self) -> Recovery | None:
        """What connects this start with the ones before and after it, where the program names a directory."""
        if self._payload is not None and self._saved is not None and self._checkpoint is not None:
            return Recovery(self._sc, self._checkpoint, self._saved, self._payload, self._saved)
        operations = match(self._graph, self._saved.operations if self._saved is not None else [])
        if self._checkpoint is None:
            return None
        payload = pickle_graph(self._graph)
        program = describe(
            self._sc, self._graph, operations, self._interval_ms, self._remember_ms, self._parallelism, self._script
        )
        return Recovery(self._sc, self._checkpoint, program, payload, self._saved)

    def _checkpoint_directory(self) -> str | None:
        """Directory of the program's state, as set here or for the SparkContext; demanded where the old engine does."""
        nodes = self._graph.live()
        for node in nodes:
            _check_interval(node)
        if self._checkpoint is not None or not any(node.checkpointed or node.checkpoint_ms for node in nodes):
            return self._checkpoint
        assert self._sc._jsc is not None
        if (own := self._world.state_directory()) is not None:
            return open_directory(self._sc, own, shared=True)
        directory = self._sc._jsc.sc().getCheckpointDir()
        if directory.isDefined():
            return open_directory(self._sc, f"{directory.get()}/dstreams-{uuid.uuid4()}", shared=True)
        raise DStreamStateError.no_checkpoint()


def _file_of(function: Callable[..., Any]) -> str:
    """Name of the file that a function is in, without its folder; of the file that calls us where that is not known."""
    code = getattr(inspect.unwrap(getattr(function, "func", function)), "__code__", None)
    return os.path.basename(code.co_filename) if code is not None else call_site().partition(":")[0]


def _check_interval(node: Node) -> None:
    """Refuse a checkpoint interval that does not fit its stream, with the old engine's texts and class names."""
    if node.checkpoint_ms is None or node.checkpoint_ms % node.slide_ms == 0:
        return
    named = {"Update": "PythonStateDStream", "ReducedWindow": "PythonReducedWindowedDStream"}
    kind = named.get(type(node.step).__name__, "PythonTransformedDStream")
    slide = f"its slide time ({node.slide_ms} ms). Please set it to"
    if node.checkpoint_ms < node.slide_ms:
        what = f"been set to {node.checkpoint_ms} ms which is lower than {slide} at least {node.slide_ms} ms."
    else:
        what = f"been set to  {node.checkpoint_ms} ms which not a multiple of {slide} a multiple of {node.slide_ms} ms."
    raise DStreamStateError(f"requirement failed: The checkpoint interval for {kind} has {what} [{node}]")


def _wants(upgrade: bool | None, sc: SparkContext | None) -> bool:
    """Whether an upgrade is asked for, here or in Spark's settings."""
    if upgrade is not None:
        return upgrade
    conf = SparkConf() if sc is None else sc._conf
    return str(conf.get(UPGRADE, "false")).lower() == "true"
