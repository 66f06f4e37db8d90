"""StreamingContext: the entry point of a program, its sources and its life."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from pyspark import RDD, SparkConf, SparkContext, StorageLevel

from dstreams._plan.graph import Graph, Missing, Node, call_site
from dstreams._plan.placement import place
from dstreams._run.checkpoint import open_directory
from dstreams._run.explain import explain
from dstreams._run.logs import show_logs
from dstreams._run.progress import ListenerBus
from dstreams._run.query import Query, plan_context
from dstreams._sources.files import BinaryRecordsSource, TextFileSource
from dstreams._sources.queue import InitialSource, QueueSource
from dstreams._sources.socket import SocketSource
from dstreams.dstream import DStream
from dstreams.duration import to_milliseconds
from dstreams.errors import (
    BatchError,
    DStreamStateError,
    DStreamTypeError,
    DStreamValueError,
    UnsupportedDStreamOperation,
)

if TYPE_CHECKING:
    from dstreams._run.batch import Batch

__all__ = ["StreamingContext"]

CHECKPOINT_DIRECTORY = "spark.streaming.checkpoint.directory"
"""Conf: as ``ssc.checkpoint(...)`` in the program."""
PACED = "spark.streaming.dstreams.paced"
"""Conf: ``false`` drops the pacing of programs whose inputs are all queueStreams."""


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
            sparkContext = SparkContext(conf=sparkContext)
        if not isinstance(sparkContext, SparkContext):
            raise DStreamTypeError(
                f"sparkContext must be a SparkContext (or a SparkConf), got {type(sparkContext).__name__}"
                + ("; pass spark.sparkContext" if hasattr(sparkContext, "sparkContext") else "")
            )
        self._sc = sparkContext
        _use_this_python_in(sparkContext)
        self._graph = Graph()
        self._bus = ListenerBus()
        self._query: Query | None = None
        self._started = False
        self._stopped = False
        self._started_at = ""
        self._remember_ms: int | None = None
        self._checkpoint: str | None = None
        if directory := sparkContext._conf.get(CHECKPOINT_DIRECTORY):
            self.checkpoint(directory)

    def __reduce__(self) -> NoReturn:
        raise DStreamTypeError("a StreamingContext lives in the driver and cannot be sent to workers")

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
    def getOrCreate(cls, checkpointPath: str, setupFunc: Callable[[], StreamingContext]) -> StreamingContext:
        """Not in this version: recovery is not translated yet."""
        raise UnsupportedDStreamOperation.recovery("StreamingContext.getOrCreate")

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
                show_logs()
                paced = str(self._sc._conf.get(PACED, "true")).lower() != "false"
                remember_ms = self._remember_ms or 0
                checkpoint = self._checkpoint_directory()
                self._query = Query(
                    self._sc, self._graph, self._interval_ms, remember_ms, paced, checkpoint, self._bus
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
        while self._query is None and not self._stopped:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        if self._query is None:
            return True
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
            if StreamingContext._active is self:
                StreamingContext._active = None
        if self._query is not None:
            after = self._sc.stop if stopSparkContext else None
            self._query.stop(stopGraceFully, after)
            atexit.unregister(self._at_exit)
        elif stopSparkContext:
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
            program's query. None takes the setting back. What an earlier run left there is moved aside when this
            program starts.

        Raises
        ------
        DStreamTypeError, DStreamValueError
            If it is not a path, or cannot be written to.

        Notes
        -----
        Sets the SparkContext's checkpoint directory too, as the old engine does. A program without operations that
        keep state does not need one.
        """
        self._checkpoint = None if directory is None else open_directory(self._sc, directory)

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

    def explain(self) -> str:
        """Print what became of the program: where each operation runs and, once started, the query's plan.

        Returns
        -------
        str
            The text that was printed.
        """
        query = self._query
        placement = query.placement if query is not None else place(self._graph, plan_context(self._sc))
        text = explain(self._graph, placement, query.frames if query is not None else [])
        print(text, flush=True)
        return text

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
        if not isinstance(hostname, str) or not hostname:
            raise DStreamTypeError(f"socketTextStream: hostname must be a str, got {hostname!r}")
        if isinstance(port, bool) or not isinstance(port, int):
            raise DStreamTypeError(f"socketTextStream: port must be an int, got {port!r}")
        if not 0 < port < 65536:
            raise DStreamValueError(f"socketTextStream: port must be between 1 and 65535, got {port}")
        number, name = self._next_source("socket")
        status = _ReceiverStatus(self, number, f"socketTextStream({hostname}:{port})")
        source = SocketSource(hostname, port, self._sc.defaultParallelism, name, status)
        return self._source("socketTextStream", source)

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
        source = TextFileSource(self._sc, _directory(directory, "textFileStream"), *self._file_times())
        return self._source("textFileStream", source)

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
        if isinstance(recordLength, bool) or not isinstance(recordLength, int) or recordLength < 1:
            raise DStreamValueError(
                f"binaryRecordsStream: recordLength must be a positive number of bytes, got {recordLength!r}"
            )
        path = _directory(directory, "binaryRecordsStream")
        source = BinaryRecordsSource(self._sc, path, *self._file_times(), recordLength)
        return self._source("binaryRecordsStream", source)

    def queueStream(
        self, rdds: list[Any], oneAtATime: bool = True, default: RDD[Any] | Iterable[Any] | None = None
    ) -> DStream[Any]:
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
        if not isinstance(rdds, list | tuple):
            raise DStreamTypeError(f"queueStream: rdds must be a list of RDDs or lists, got {type(rdds).__name__}")
        has_default = isinstance(default, RDD) or bool(default)
        if not rdds and not has_default:
            raise DStreamValueError(
                "queueStream: the queue is empty and there is no default, so there is nothing to read"
            )
        for element in rdds:
            if not isinstance(element, RDD | Iterable):
                raise DStreamTypeError(
                    f"queueStream: each element must be an RDD or a list, the records of one batch; got {element!r}"
                )
        elements = [element if isinstance(element, RDD) else list(element) for element in rdds] or [[]]
        fallback = default if isinstance(default, RDD) else list(default) if has_default and default else None
        _, name = self._next_source("queue")
        source = QueueSource(elements, bool(oneAtATime), fallback, self._sc.defaultParallelism, name)
        return self._source("queueStream", source)

    # ------------------------------------------------------------------ several streams

    def transform(self, dstreams: list[DStream[Any]], transformFunc: Callable[..., RDD[Any]]) -> DStream[Any]:
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
            if any(rdd is None for rdd in rdds):
                raise BatchError(f"Couldn't generate RDD from parent at time {_batch_ms(when)} ms")
            result = transformFunc(rdds)
            if not isinstance(result, RDD):
                raise BatchError(
                    "Transform function must not return null. Return SparkContext.emptyRDD() instead to represent "
                    f"no element as the result of transformation. Got {type(result).__name__}."
                )
            return result

        return self._stream(Node("transform", nodes, evaluate, nodes[0].slide_ms, liftable=False, missing=Missing.FAIL))

    def union(self, *dstreams: DStream[Any]) -> DStream[Any]:
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

    # ------------------------------------------------------------------ for DStream

    def _stream(self, node: Node) -> DStream[Any]:
        """Take a node into the graph."""
        self._check_open(node.op)
        node.site = node.site or call_site()
        return DStream(self._graph.add(node), self)

    def _check_open(self, op: str) -> None:
        if self._stopped:
            raise DStreamStateError.frozen(op, "stopping")
        if self._started:
            raise DStreamStateError.frozen(op, "starting")

    def _batches(self, op: str) -> dict[int, Batch]:
        if self._query is None:
            raise DStreamStateError(f"{op}: this DStream has not been initialized; call start() first")
        return dict(self._query.batches.remembered)

    def _initial_state(self, records: RDD[Any] | list[Any], slide_ms: int) -> Node:
        """Add the source of the records that a state starts from, for an operation with that slide."""
        _, name = self._next_source("initial")
        node = self._source("initial state", InitialSource(records, self._sc.defaultParallelism, name))._node
        node.slide_ms = slide_ms  # so that it goes with the operation's other parent; it has records but once
        return node

    # ------------------------------------------------------------------ helpers

    def _checkpoint_directory(self) -> str | None:
        """Directory of the program's state, as set here or for the SparkContext; demanded where the old engine does."""
        if self._checkpoint is not None or not any(node.checkpointed for node in self._graph.live()):
            return self._checkpoint
        assert self._sc._jsc is not None
        directory = self._sc._jsc.sc().getCheckpointDir()
        if directory.isDefined():
            return open_directory(self._sc, f"{directory.get()}/dstreams-{uuid.uuid4()}", shared=True)
        raise DStreamStateError.no_checkpoint()

    def _source(self, op: str, source: Any) -> DStream[Any]:
        def never(*_: Any) -> RDD[Any]:
            raise KeyError("the RDD of a source that is not at the frontier")

        return self._stream(Node(op, (), never, self._interval_ms, source=source))

    def _next_source(self, kind: str) -> tuple[int, str]:
        number = sum(node.source is not None for node in self._graph.nodes)
        return number, f"dstreams-{kind}-{number}"

    def _file_times(self) -> tuple[int, int]:
        """When the stream is defined, and the remember window, in ms."""
        assert self._sc._jsc is not None
        conf = self._sc._jsc.sc().conf()
        fallback = conf.get("spark.streaming.minRememberDuration", "60s")
        window = conf.getTimeAsSeconds("spark.streaming.fileStream.minRememberDuration", fallback) * 1000
        return int(time.time() * 1000), -(-window // self._interval_ms) * self._interval_ms

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


class _ReceiverStatus:
    """What a receiver's reader calls in the driver."""

    def __init__(self, ssc: StreamingContext, stream: int, name: str) -> None:
        self._ssc = ssc
        self._stream = stream
        self._name = name

    def receiver(self, event: str, text: str) -> None:
        """Something happened to the receiver."""
        if self._ssc._query is not None:
            self._ssc._query.receiver_event(self._stream, self._name, event, text)

    def took(self, records: int) -> None:
        """A batch takes so many records."""
        if self._ssc._query is not None:
            self._ssc._query.took(self._stream, records, self._name)


def _directory(directory: Any, op: str) -> str:
    if not isinstance(directory, str | os.PathLike) or not str(directory):
        raise DStreamTypeError(f"{op}: directory must be a str, got {directory!r}")
    return os.fspath(directory)


def _batch_ms(when: Any) -> int:
    return int(when.timestamp() * 1000)


def use_this_python() -> None:
    """Let local workers run with the interpreter of this program; PySpark would take ``python3`` from PATH."""
    if "PYSPARK_PYTHON" not in os.environ and "PYSPARK_DRIVER_PYTHON" not in os.environ:
        os.environ["PYSPARK_PYTHON"] = sys.executable


def _use_this_python_in(sc: SparkContext) -> None:
    """Do the same in a local SparkContext that exists, unless the user chose an interpreter."""
    if (
        str(sc.master).startswith("local")
        and "PYSPARK_PYTHON" not in os.environ
        and not sc._conf.contains("spark.pyspark.python")
    ):
        sc.pythonExec = sys.executable
