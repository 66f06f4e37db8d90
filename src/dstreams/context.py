"""StreamingContext: the entry point of a program, and its streams, its life."""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from types import CodeType
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, NoReturn, TypeVar

from pyspark import RDD, SparkConf, SparkContext, StorageLevel

from dstreams import sources
from dstreams._builder import Builder
from dstreams._compatibility import TABLE
from dstreams._insides import lacking
from dstreams._plan.default_partitions import DefaultPartitions
from dstreams._plan.graph import Missing, Node, call_site, script_name
from dstreams._plan.identity import match
from dstreams._plan.plan import place
from dstreams._run.before_spark import start_jvm
from dstreams._run.checkpoint import directory_name, open_directory, read_directory
from dstreams._run.environment import current_environment
from dstreams._run.explain import explain
from dstreams._run.launch import launching
from dstreams._run.logs import show_logs
from dstreams._run.nodes import wait_for_executors
from dstreams._run.program import Program, describe, pickle_graph, read_graph
from dstreams._run.progress import ListenerBus
from dstreams._run.query import UPGRADE_ADVICE, Query, plan_context
from dstreams._run.recovery import Recovery
from dstreams._run.signals import Signals
from dstreams._run.status import Status
from dstreams._run.workers import prepare_workers, use_this_python
from dstreams._spark.context import active_context, checkpoint_directory, is_stopped, settings
from dstreams._spark.files import files_of, hadoop_files
from dstreams._spark.gateway import running_jvm
from dstreams._spark.jvm import jvm_reason
from dstreams._spark.workers import leave_workers
from dstreams.dstream import DStream
from dstreams.duration import Milliseconds, to_milliseconds
from dstreams.errors import BatchError, CheckpointError, DStreamStateError, DStreamTypeError, DStreamValueError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

    from dstreams._run.batch import Batch
    from dstreams._sources.source import Source
    from dstreams.receiver import Receiver

__all__ = ["StreamingContext"]

log = logging.getLogger("dstreams")

T = TypeVar("T")

CHECKPOINT_DIRECTORY = "spark.streaming.checkpoint.directory"
"""Conf: as ``ssc.checkpoint(...)`` in the program."""
PACED = "spark.streaming.dstreams.paced"
"""Conf: ``false`` drops the pacing of programs whose inputs are all queueStreams."""
GRACEFUL = "spark.streaming.stopGracefullyOnShutdown"
"""Conf: ``true`` lets SIGTERM and SIGINT finish and commit the batches that are due."""
UPGRADE = "spark.streaming.dstreams.upgrade"
"""Conf: ``true`` is the same as ``getOrCreate(..., upgrade=True)``."""


class StreamingContext:
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

    def __init__(
        self, sparkContext: SparkContext | SparkConf, batchDuration: float | None = None, jssc: None = None
    ) -> None:
        if jssc is not None:
            raise DStreamTypeError(f"jssc: {TABLE['StreamingContext(jssc)'].sentence}")
        if batchDuration is None:
            raise DStreamTypeError("batchDuration is missing: StreamingContext(sc, 1) has batches of one second")
        interval_ms = to_milliseconds(batchDuration, "batchDuration")
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
        self._environment = current_environment()
        prepare_workers(sparkContext, self)
        self._bus = ListenerBus()
        self._query: Query | None = None
        self._signals: Signals | None = None
        self._started_at = ""
        self._stopped_at = ""
        self._paced = str(settings(sparkContext).get(PACED, "true")).lower() != "false"
        self._remember_ms: int | None = None
        self._checkpoint: str | None = None
        self._saved = StreamingContext._predecessor
        self._payload: bytes | None = None
        self._restored: tuple[Program, Callable[..., Any]] | None = None
        self._script = script_name(None)
        # State stays in as many partitions as the first run has given it, whatever machine this one has.
        if self._saved is None:
            wait_for_executors(sparkContext)  # the default follows from their cores
        saved = None if self._saved is None else self._saved.parallelism
        parallelism = DefaultPartitions(saved or sparkContext.defaultParallelism)
        self._builder = Builder(sparkContext, interval_ms, parallelism)
        if directory := settings(sparkContext).get(CHECKPOINT_DIRECTORY):
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

    # ------------------------------------------------------------------ sources

    def socketTextStream(
        self, hostname: str, port: int, storageLevel: StorageLevel = StorageLevel.MEMORY_AND_DISK_2
    ) -> DStream[str]:
        r"""Lines of text from a TCP server.

        Parameters
        ----------
        hostname : str
            Host to connect to.
        port : int
            Port to connect to.
        storageLevel : pyspark.StorageLevel
            Accepted for compatibility.

        Returns
        -------
        DStream[str]
            Lines without their end (``\n``, ``\r\n`` or ``\r``), decoded as UTF-8; invalid bytes become U+FFFD.

        Notes
        -----
        Needs no server at start and no core of its own: it connects when the server appears, and again 2 s after
        a connection ended, and says so in the log.
        """
        return self._source("socketTextStream", sources.socket_text(self._builder, hostname, port))

    def socketStream(
        self,
        hostname: str,
        port: int,
        converter: Callable[[BinaryIO], Iterable[T]],
        storageLevel: StorageLevel = StorageLevel.MEMORY_AND_DISK_2,
    ) -> DStream[T]:
        """Records that a function makes of the bytes from a TCP server.

        Parameters
        ----------
        hostname : str
            Host to connect to.
        port : int
            Port to connect to.
        converter : callable
            Gets the connection as a binary file that can be read, and gives records as long as there are any.
        storageLevel : pyspark.StorageLevel
            Accepted for compatibility.

        Returns
        -------
        DStream[T]

        Notes
        -----
        Connects as :meth:`socketTextStream` does. Records are collected for ``spark.streaming.blockInterval`` (200 ms)
        before they are taken.
        """
        return self._source("socketStream", sources.socket(self._builder, hostname, port, converter))

    def textFileStream(self, directory: str) -> DStream[str]:
        """Lines of the text files that appear in a directory.

        Parameters
        ----------
        directory : str
            Directory, or a glob of directories, of any Hadoop file system; it need not exist yet.

        Returns
        -------
        DStream[str]

        Notes
        -----
        Files older than this call are not read, nor those whose name begins with ``.`` or ``_``. Files must be
        moved into the directory, not written there in place.
        """
        return self._source("textFileStream", sources.text_files(self._builder, directory))

    def binaryRecordsStream(self, directory: str, recordLength: int) -> DStream[bytes]:
        """Records of a fixed length from the files that appear in a directory.

        Parameters
        ----------
        directory : str
            As in :meth:`textFileStream`.
        recordLength : int
            Length of each record in bytes.

        Returns
        -------
        DStream[bytes]

        Notes
        -----
        A file whose size is no multiple of the length fails its batch with an EOFError that names the file; later
        batches go on.
        """
        source = sources.binary_records(self._builder, directory, recordLength)
        return self._source("binaryRecordsStream", source)

    def queueStream(
        self,
        rdds: Sequence[RDD[T] | Iterable[T]],
        oneAtATime: bool = True,
        default: RDD[T] | Iterable[T] | None = None,
    ) -> DStream[T]:
        """Take the elements of a queue, one per batch.

        Parameters
        ----------
        rdds : list of RDD or list of list
            The queue; later changes to the list are ignored.
        oneAtATime : bool
            One element per batch, or all of them in the first.
        default : RDD or list, optional
            Element of every batch after the queue is used up.

        Returns
        -------
        DStream[T]

        Raises
        ------
        DStreamTypeError
            If the queue is not a list.
        DStreamValueError
            If the queue is empty and there is no default.

        Notes
        -----
        A program whose inputs are all queues runs on a logical clock: batch times are contiguous, one element
        each, whatever the machine's speed. The conf ``spark.streaming.dstreams.paced=false`` lets its batches
        follow each other at once; for tests.
        """
        return self._source("queueStream", sources.queue(self._builder, rdds, oneAtATime, default))

    def receiverStream(self, receiver: Receiver[T]) -> DStream[T]:
        """Records that a receiver of the program's own stores.

        Parameters
        ----------
        receiver : Receiver
            The receiver; see :class:`dstreams.receiver.Receiver`.

        Returns
        -------
        DStream[T]

        Raises
        ------
        DStreamTypeError
            If it is not a receiver.
        """
        return self._source("receiverStream", sources.receiver(self._builder, receiver))

    def dataFrameStream(self, frame: DataFrame | Callable[[SparkSession], DataFrame]) -> DStream[Row]:
        """Rows of a streaming DataFrame: Delta, Iceberg, files with a schema, or any other source that Spark has.

        Parameters
        ----------
        frame : DataFrame or callable
            A streaming DataFrame, or a function that gets a SparkSession and makes one. A program that is restored
            from its checkpoint directory needs a function: a DataFrame cannot be saved.

        Returns
        -------
        DStream[Row]

        Raises
        ------
        DStreamTypeError
            If it is neither, or the DataFrame is not a streaming one.
        DStreamValueError
            If it has an aggregation or another operation with state, which is to be done on the stream.
        """
        return self._source("dataFrameStream", sources.data_frame(self._builder, frame))

    # ------------------------------------------------------------------ several streams

    def transform(
        self, dstreams: Sequence[DStream[Any]], transformFunc: Callable[[tuple[RDD[Any], ...]], RDD[T]]
    ) -> DStream[T]:
        """Apply a function to the real RDDs that several streams have in each batch, on the driver.

        Parameters
        ----------
        dstreams : list of DStream
            The streams.
        transformFunc : callable
            Called with one argument, the tuple of RDDs in the order of the list; must return an RDD.

        Returns
        -------
        DStream[T]
        """
        nodes = self._nodes(dstreams, "transform")
        if not callable(transformFunc):
            raise DStreamTypeError(f"transform: transformFunc must be a function, got {transformFunc!r}")

        def evaluate(when: Any, *rdds: RDD[Any] | None) -> RDD[Any]:
            parents = tuple(rdd for rdd in rdds if rdd is not None)
            if len(parents) < len(rdds):
                raise BatchError(f"Couldn't generate RDD from parent at time {_batch_ms(when)} ms")
            result = transformFunc(parents)
            if not isinstance(result, RDD):
                raise BatchError(
                    "Transform function must not return null. Return SparkContext.emptyRDD() instead to represent "
                    f"no element as the result of transformation. Got {type(result).__name__}."
                )
            return result

        return self._stream(Node("transform", nodes, evaluate, nodes[0].slide_ms, liftable=False, missing=Missing.FAIL))

    def union(self, *dstreams: DStream[T]) -> DStream[T]:
        """Put the elements of several streams side by side.

        Raises
        ------
        DStreamValueError
            "should have at least one DStream to union", or if slide intervals or contexts differ.
        """
        if not dstreams:
            raise DStreamValueError("should have at least one DStream to union")
        if len(dstreams) == 1:
            return dstreams[0]
        nodes = self._nodes(list(dstreams), "union", "All DStreams should have same slide duration")

        def evaluate(when: Any, *rdds: RDD[Any] | None) -> RDD[Any]:
            first, *others = rdds
            if first is None or any(rdd is None for rdd in others):
                raise BatchError(f"Could not generate RDD from a parent for unifying at time {_batch_ms(when)} ms")
            for rdd in others:
                assert rdd is not None
                first = first.union(rdd)
            return first

        return self._stream(Node("union", nodes, evaluate, nodes[0].slide_ms, missing=Missing.FAIL))

    def _nodes(self, dstreams: Any, op: str, slides: str | None = None) -> tuple[Node, ...]:
        if not isinstance(dstreams, list | tuple) or not dstreams:
            raise DStreamValueError(f"{op}: give a list with at least one DStream, got {dstreams!r}")
        for stream in dstreams:
            if not isinstance(stream, DStream):
                raise DStreamTypeError(f"{op}: expected DStreams, got {type(stream).__name__}")
            if stream._ssc is not self:
                raise DStreamValueError("requirement failed: Some of the DStreams have different contexts")
        if len({stream._node.slide_ms for stream in dstreams}) > 1:
            raise DStreamValueError(slides or "requirement failed: Some of the DStreams have different slide durations")
        return tuple(stream._node for stream in dstreams)

    def _stream(self, node: Node) -> DStream[Any]:
        return DStream(self._builder.add(node), self)

    def _source(self, op: str, source: Source) -> DStream[Any]:
        return DStream(self._builder.source(op, source), self)

    # ------------------------------------------------------------------ life

    @property
    def _ended(self) -> bool:
        return self._builder.stopped or (self._query is not None and self._query.finished)

    @classmethod
    def getActive(cls) -> StreamingContext | None:
        """Return the context that is started and not stopped, or None."""
        with cls._lock:
            active = StreamingContext._active
            if active is not None and active._ended:
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
        path = current_environment().directory(directory_name(checkpointPath))
        if not callable(setupFunc):
            raise DStreamTypeError("setupFunc should be callable.")
        use_this_python()
        sc = active_context()
        found = None
        if sc is not None or start_jvm(path):
            try:
                files = hadoop_files(running_jvm(), path) if sc is None else files_of(sc, path)
            except Exception as error:
                raise CheckpointError.unreadable(path, jvm_reason(error)) from None
            found = read_directory(files)
        script = script_name(_code_of(setupFunc))
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
            ssc._builder.graph, ssc._builder.restored = graph, True
            ssc._restored = program, setupFunc
            ssc._payload, ssc._remember_ms = payload, program.remember_ms
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
            if self._builder.stopped:
                raise DStreamStateError.already_stopped()
            if self._builder.started:
                warnings.warn("StreamingContext has already been started", stacklevel=2)
                return
            other = StreamingContext.getActive()
            if other is not None:
                raise DStreamStateError.other_active(other._started_at)
            try:
                if not self._builder.graph.outputs:
                    raise DStreamStateError.no_outputs()
                if is_stopped(self._sc):
                    raise DStreamStateError("The SparkContext of this StreamingContext has been stopped.")
                show_logs(self._sc)
                if self._restored is not None:
                    self._log_restored(self._restored)
                self._environment.begin(self._builder.graph)
                checkpoint = self._checkpoint_directory()
                self._query = Query(
                    self._builder, self._remember_ms or 0, self._paced, checkpoint, self._recovery(), self._bus,
                    self._environment,
                )  # fmt: skip
                self._query.start()
            except BaseException:
                self._builder.stopped = True
                self._query = None
                raise
            self._builder.started = True
            self._started_at = f" {call_site()}"
            StreamingContext._active = self
        atexit.register(self._at_exit)
        query = self._query
        # Outside the lock: a signal that comes meanwhile stops the query, which takes it.
        self._signals = Signals(
            lambda graceful: self.stop(stopSparkContext=False, stopGraceFully=graceful),
            lambda: query.finished,
            str(settings(self._sc).get(GRACEFUL, "false")).lower() == "true",
            self._sc,
        )
        self._signals.install()

    def _log_restored(self, restored: tuple[Program, Callable[..., Any]]) -> None:
        """Say that the saved program goes on, and whether its file has changed since."""
        program, function = restored
        saved = datetime.fromtimestamp(program.written_ms / 1000).strftime("%Y-%m-%d %H:%M:%S")
        log.info(
            "restored: the program that was saved in %s at %s goes on, with its arguments of then; %s was not called",
            self._checkpoint, saved, getattr(function, "__name__", "the setup function"),
        )  # fmt: skip
        code = _code_of(function)
        with suppress(OSError):
            if code is not None and os.path.getmtime(code.co_filename) * 1000 > program.written_ms:
                log.warning("%s is newer than the saved program: %s", program.script, UPGRADE_ADVICE)

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
        while self._signals is None and not self._builder.stopped:
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
            self._builder.stopped = True
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
            if self._query is not None and not self._query.finished and not is_stopped(self._sc):
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
            directory = open_directory(self._sc, self._environment.directory(directory_name(directory)))
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
        return Status("stopped" if self._builder.stopped else "not started", self._builder.interval_ms)

    def explain(self) -> str:
        """Print what became of the program: where each operation runs and, once started, the query's plan.

        Returns
        -------
        str
            The text that was printed.
        """
        graph, query = self._builder.graph, self._query
        if query is None:
            text = explain(graph, place(graph, plan_context(self._sc, self._builder.parallelism)), [])
        else:
            text = explain(graph, query.placement, query.frames)
        print(text, flush=True)
        return text

    # ------------------------------------------------------------------ for DStream

    def _batches(self, op: str) -> dict[int, Batch]:
        if self._query is None:
            raise DStreamStateError(f"{op}: this DStream has not been initialized; call start() first")
        return dict(self._query.batches.remembered)

    def _recovery(self) -> Recovery | None:
        """What connects this start with the ones before and after it, where the program names a directory."""
        if self._payload is not None and self._saved is not None and self._checkpoint is not None:
            return Recovery(self._sc, self._checkpoint, self._saved, self._payload, self._saved)
        operations = match(self._builder.graph, self._saved.operations if self._saved is not None else [])
        if self._checkpoint is None:
            return None
        payload = pickle_graph(self._builder.graph)
        program = describe(self._builder, operations, self._remember_ms, self._script)
        return Recovery(self._sc, self._checkpoint, program, payload, self._saved)

    def _checkpoint_directory(self) -> str | None:
        """Directory of the program's state, as set here or for the SparkContext; demanded where the old engine does."""
        nodes = self._builder.graph.live()
        for node in nodes:
            _check_interval(node)
        if self._checkpoint is not None or not any(node.checkpointed or node.checkpoint_ms for node in nodes):
            return self._checkpoint
        if (own := self._environment.state_directory()) is not None:
            return open_directory(self._sc, own, shared=True)
        if (directory := checkpoint_directory(self._sc)) is not None:
            return open_directory(self._sc, f"{directory}/dstreams-{uuid.uuid4()}", shared=True)
        raise DStreamStateError.no_checkpoint()


def _code_of(function: Callable[..., Any]) -> CodeType | None:
    return getattr(inspect.unwrap(getattr(function, "func", function)), "__code__", None)


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
    conf = SparkConf() if sc is None else settings(sc)
    return str(conf.get(UPGRADE, "false")).lower() == "true"


def _batch_ms(when: Any) -> int:
    return int(when.timestamp() * 1000)
