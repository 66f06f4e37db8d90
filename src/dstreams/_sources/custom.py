"""receiverStream: a receiver that the program has written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from dstreams._sources.receiver import ReceiverReader, ReceiverSource, Settings
from dstreams._sources.start import Start
from dstreams.errors import ReceiverStopped

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["CustomSource", "Supervised"]


class Supervised(Protocol):
    """A receiver, as its supervisor sees it."""

    _supervisor: Any

    def onStart(self) -> None:
        """Start to receive."""

    def onStop(self) -> None:
        """End what was started."""


class Supervisor(ReceiverReader):
    """Starts a receiver, starts it again where it asks for that, and takes its records.

    Parameters
    ----------
    name : str
        Name of the stream.
    receiver : Supervised
        The receiver.
    stream : int
        Number of the stream.
    start : Start
        From where it goes on.
    settings : Settings
        Its settings.
    """

    def __init__(self, name: str, receiver: Supervised, stream: int, start: Start, settings: Settings) -> None:
        super().__init__(name, start, settings)
        self.stream = stream
        self._receiver = receiver
        self._wakes = threading.Event()
        self._telling = threading.Lock()
        self._told_start = False
        self._ended = False
        self._delay: float | None = None
        self._why = ""

    def open(self) -> None:
        """Start."""
        _let_threads_end_quietly()
        super().open()

    def receive(self) -> None:
        """Let the receiver run until it is to be started again, or for good."""
        while not self._stopped.is_set():
            self._wakes.clear()
            if self._stopped.is_set():  # meanwhile, so that nothing would wake it again
                return
            self._delay = None
            self._receiver._supervisor = self
            self._told_start = False
            try:
                self._receiver.onStart()
                self._tell_start()
                self._wakes.wait()
            except Exception as error:
                self.say("error", f"onStart: {type(error).__name__}: {error}; {self._again()}")
            try:
                self._receiver.onStop()
            except Exception as error:
                self.say("error", f"onStop: {type(error).__name__}: {error}")
            self.collector.flush()
            if self._ended and not self._stopped.is_set():
                self.say("stopped", self._why)
                self._stopped.wait()
            self._stopped.wait(self._settings.restart_seconds if self._delay is None else self._delay)

    def interrupt(self) -> None:
        """Let the receiver end."""
        self._wakes.set()

    @property
    def started(self) -> bool:
        """Whether records are taken."""
        return not (self._ended or self._stopped.is_set() or self._wakes.is_set())

    @property
    def stopped(self) -> bool:
        """Whether no record is taken any more."""
        return self._ended or self._stopped.is_set()

    def restart(self, message: str, error: BaseException | None, seconds: float | None) -> None:
        """Stop the receiver and start it again after a while."""
        self._delay = seconds
        self._tell_start()
        self.say("error" if error is not None else "resumed", f"{_text(message, error)}; {self._again()}")
        self._wakes.set()

    def end(self, message: str, error: BaseException | None) -> None:
        """Stop the receiver for good."""
        self._ended = True
        self._why = _text(message, error)
        self._wakes.set()

    def report(self, message: str, error: BaseException | None) -> None:
        """Tell the driver of an error that the receiver goes on after."""
        self._tell_start()
        self.say("error", _text(message, error))

    def _tell_start(self) -> None:
        """Tell that it has started, once; before all that its threads tell, which need not wait for onStart's end."""
        with self._telling:
            if not self._told_start:
                self.say("started", "started")
                self._told_start = True

    def _again(self) -> str:
        seconds = self._settings.restart_seconds if self._delay is None else self._delay
        return f"starting again in {seconds:g} s"


class _QuietEnd:
    """Hook of threads that says nothing of one that ends because its receiver was stopped while it stored something.

    Parameters
    ----------
    before : callable
        The hook that takes all else. Each has its own, since a program may have put a hook of its own around an
        earlier one of these.
    """

    def __init__(self, before: Callable[[threading.ExceptHookArgs], Any]) -> None:
        self._before = before

    def __call__(self, args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, ReceiverStopped):
            self._before(args)


def _let_threads_end_quietly() -> None:
    if not isinstance(threading.excepthook, _QuietEnd):
        threading.excepthook = _QuietEnd(threading.excepthook)


def _text(message: str, error: BaseException | None) -> str:
    return message if error is None else f"{message}: {type(error).__name__}: {error}"


class CustomSource(ReceiverSource):
    """What a receiver of the program's own stores.

    Parameters
    ----------
    receiver : Supervised
        The receiver.
    stream : int
        Number of the stream.
    settings : Settings
        As every receiver has them.
    """

    def __init__(self, receiver: Supervised, stream: int, settings: Settings) -> None:
        super().__init__(settings)
        self._receiver = receiver
        self._stream = stream

    def describe(self) -> str:
        """Name of the stream with what the receiver calls itself."""
        return f"receiverStream({self._receiver})"

    def reader(self, start: Start, sc: SparkContext) -> ReceiverReader:
        """Make the receiver's supervisor."""
        return Supervisor(self.describe(), self._receiver, self._stream, start, self.settings)
