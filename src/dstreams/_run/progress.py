"""What happens to a batch, as events for StreamingListeners; delivered in order on a thread of their own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass, field, fields, replace
from typing import Any

__all__ = ["BatchInfo", "Event", "ListenerBus", "Observer", "OutputInfo", "ReceiverInfo", "Time"]

log = logging.getLogger("dstreams")


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return int(time.time() * 1000)


def _getter(name: str) -> Any:
    def get(self: Any) -> Any:
        return getattr(self, "_" + name)

    get.__name__ = name
    get.__doc__ = f"The {name} (-1 or None where it is not known yet)."
    return get


class _Printable:
    """Can be asked for its text as an object of the JVM can, which it is on the old engine."""

    def toString(self) -> str:
        """Text."""
        return str(self)


class _Readable(_Printable):
    """Prints as what its getters give."""

    def __repr__(self) -> str:
        given = ((each.name[1:], getattr(self, each.name)) for each in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in given)})"


@dataclass(frozen=True, repr=False)
class Time(_Printable):
    """A batch time; prints as ``<ms> ms``."""

    _milliseconds: int

    def milliseconds(self) -> int:
        """Milliseconds since the epoch."""
        return self._milliseconds

    def __repr__(self) -> str:
        return f"{self._milliseconds} ms"


@dataclass(repr=False)
class InputInfo(_Readable):
    """What one input gave to a batch. All getters are methods, as in the old engine's API."""

    _inputStreamId: int
    _numRecords: int
    _metadataDescription: str | None = None

    inputStreamId = _getter("inputStreamId")
    numRecords = _getter("numRecords")
    metadataDescription = _getter("metadataDescription")

    def metadata(self) -> dict[str, Any]:
        """Return the description under the key that the old engine uses."""
        return {} if self._metadataDescription is None else {"Description": self._metadataDescription}


@dataclass(repr=False)
class OutputInfo(_Readable):
    """One output operation in one batch; times in ms, -1 when not yet known."""

    _batchTime: Time
    _id: int
    _name: str
    _description: str
    _startTime: int = -1
    _endTime: int = -1
    _failureReason: str | None = None

    batchTime = _getter("batchTime")
    id = _getter("id")
    name = _getter("name")
    description = _getter("description")
    startTime = _getter("startTime")
    endTime = _getter("endTime")
    failureReason = _getter("failureReason")


@dataclass(repr=False)
class BatchInfo(_Readable):
    """One batch; times and delays in ms, -1 when not yet known."""

    _batchTime: Time
    _submissionTime: int
    _streamIdToInputInfo: dict[int, InputInfo] = field(default_factory=dict)
    _outputOperationInfos: dict[int, OutputInfo] = field(default_factory=dict)
    _processingStartTime: int = -1
    _processingEndTime: int = -1

    batchTime = _getter("batchTime")
    submissionTime = _getter("submissionTime")
    streamIdToInputInfo = _getter("streamIdToInputInfo")
    outputOperationInfos = _getter("outputOperationInfos")
    processingStartTime = _getter("processingStartTime")
    processingEndTime = _getter("processingEndTime")

    def copy(self) -> BatchInfo:
        """Return the batch as it is known now; listeners must not see it change."""
        return replace(self, _outputOperationInfos=dict(self._outputOperationInfos))

    def numRecords(self) -> int:
        """Count of records that receivers gave; queues and files count as 0, as on the old engine."""
        return sum(info.numRecords() for info in self._streamIdToInputInfo.values())

    def schedulingDelay(self) -> int:
        """From submission to start."""
        return self._since(self._processingStartTime, self._submissionTime)

    def processingDelay(self) -> int:
        """From start to end."""
        return self._since(self._processingEndTime, self._processingStartTime)

    def totalDelay(self) -> int:
        """From submission to end."""
        return self._since(self._processingEndTime, self._submissionTime)

    @staticmethod
    def _since(end: int, start: int) -> int:
        return -1 if end < 0 or start < 0 else end - start


@dataclass(repr=False)
class ReceiverInfo(_Readable):
    """State of a receiver."""

    _streamId: int
    _name: str
    _active: bool
    _location: str
    _lastErrorMessage: str = ""
    _lastErrorTime: int = -1
    _executorId: str = "driver"

    streamId = _getter("streamId")
    name = _getter("name")
    active = _getter("active")
    location = _getter("location")
    executorId = _getter("executorId")
    lastErrorMessage = _getter("lastErrorMessage")
    lastErrorTime = _getter("lastErrorTime")

    def lastError(self) -> str:
        """Text of the last error."""
        return self._lastErrorMessage


class Event(_Printable):
    """An event: one getter, named as in the old engine (``batchInfo``, ``time``, ...); prints as it does there."""

    def __init__(self, method: str, getter: str, value: Any) -> None:
        self._name = f"StreamingListener{method.removeprefix('on')}"
        self._value = value
        setattr(self, getter, lambda: value)

    def __repr__(self) -> str:
        return f"{self._name}({self._value})"


class Observer:
    """A listener of this package's own, for which no batch looks up what it would not otherwise."""


class ListenerBus:
    """Delivers events to listeners; what a listener raises is logged and ends nothing."""

    def __init__(self) -> None:
        self._listeners: list[Any] = []
        self._queue: queue.SimpleQueue[tuple[str, Event] | threading.Event] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def add(self, listener: Any) -> None:
        """Add a listener, before or after start."""
        self._listeners.append(listener)
        if self._thread is None:
            self._thread = threading.Thread(target=self._deliver, name="dstreams-listeners", daemon=True)
            self._thread.start()

    @property
    def listens(self) -> bool:
        """Whether there is any listener of the program's own."""
        return any(not isinstance(listener, Observer) for listener in self._listeners)

    def post(self, method: str, getter: str, value: Any) -> None:
        """Call ``listener.<method>(event)`` soon, where ``event.<getter>()`` is the value."""
        if self._thread is not None:
            self._queue.put((method, Event(method, getter, value)))

    def is_current_thread(self) -> bool:
        """Whether the caller is a listener."""
        return threading.current_thread() is self._thread

    def flush(self, timeout: float) -> None:
        """Wait until all events posted so far are delivered, at most so many seconds."""
        if self._thread is not None and not self.is_current_thread():
            done = threading.Event()
            self._queue.put(done)
            done.wait(timeout)

    def _deliver(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            method, event = item
            for listener in list(self._listeners):
                try:
                    getattr(listener, method, lambda _: None)(event)
                except Exception:
                    log.exception("%s of a StreamingListener raised", method)
