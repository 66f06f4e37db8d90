"""SIGTERM and SIGINT: what they do to a running program.

A handler runs on the main thread between any two instructions of the program, which may hold a lock or be in the
middle of a call to the JVM. So it only puts the signal into a queue, and a thread does the work. A program that is to
end at once stays in the handler meanwhile. In one that may finish, the thread sends the signal once more when all is
done, and the handler raises, unless the program waits for the end of the query and goes on by itself.

Under spark-submit the JVM is the parent and gets the SIGTERM. A hook of ours, which Hadoop runs before Spark's own
stops the SparkContext, hands it over to this process and holds the JVM until this process has ended, so that the
program's last output still has somewhere to go.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from dstreams._spark.loggers import EXECUTOR, SCHEDULER, mute_jvm, set_level
from dstreams._spark.shutdown import add_shutdown_hook, signal_that_ends_jvm

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["Signals"]

log = logging.getLogger("dstreams")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_IMMEDIATE_SECONDS = 5.0
"""How long an immediate stop may take; a batch that cannot be cancelled is left behind then."""
_SAME_SECONDS = 0.2
"""A signal that comes again so soon is the same one, sent to this process and to its group (``timeout`` does so)."""


class Signals:
    """Handlers of one started program.

    Parameters
    ----------
    stop : callable
        Ends the query, gracefully or not, and returns when it has ended; leaves the SparkContext alone.
    ended : callable
        True when the query has ended, whoever ended it. Called by a handler: takes no lock.
    graceful : bool
        Finish the batches that are due and exit with 0; else SIGTERM ends the program at once, and SIGINT is PySpark's.
    sc : SparkContext
        The program's context.
    """

    def __init__(
        self, stop: Callable[[bool], None], ended: Callable[[], bool], graceful: bool, sc: SparkContext
    ) -> None:
        self._stop = stop
        self._ended = ended
        self._graceful = graceful
        self._sc = sc
        self._pid = os.getpid()
        self._previous: dict[int, Any] = {}
        self._unhook: Callable[[], Any] | None = None
        # Signals, and None for the end of the query. put() may be called in a handler, whatever was interrupted.
        self._events: SimpleQueue[int | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="dstreams-signals", daemon=True)
        self._asked = self._at_once = self._done = False
        self._same_until = 0.0
        self._notified = False  # whether the main thread waits for the end of the query, or has seen it

    def install(self) -> None:
        """Install handlers where nobody else has; call it when the query runs."""
        if threading.current_thread() is threading.main_thread():
            self._thread.start()
            for number in _SIGNALS if self._graceful else (signal.SIGTERM,):
                self._install(number)
        else:
            log.debug("start() was not called by the main thread: signals stay as they are")
        if self._graceful or self._previous:
            self._add_hook()

    def uninstall(self) -> None:
        """Put everything back; does nothing while the query runs.

        Only the main thread can put handlers back. Those that another thread leaves do so when a signal comes.
        """
        if not self._ended() or (self._asked and self._thread.is_alive()):
            return
        self._events.put(None)
        self._remove_hook()
        if threading.current_thread() is threading.main_thread():
            self._restore()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Mark that this thread waits for the end of the query: if it is the main thread, no signal raises then.

        Where a signal has ended the query, the SparkContext is stopped too.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._notified = True
        try:
            yield
        except BaseException:
            self._notified = self._asked
            raise
        self._notified = self._ended()
        if self._notified:
            if self._asked:
                self._thread.join()
                _ignore_errors(self._sc.stop)
            self.uninstall()

    # ------------------------------------------------------------------ handlers

    def _install(self, number: int) -> None:
        handler = signal.getsignal(number)
        owner = getattr(handler, "__self__", None)
        if isinstance(owner, Signals):  # of a program that has ended
            handler = owner._previous.get(number, signal.SIG_DFL)
        pysparks = str(getattr(handler, "__module__", "")).startswith("pyspark.")
        if pysparks or handler in (signal.SIG_DFL, signal.default_int_handler):
            self._previous[number] = handler
            signal.signal(number, self._handle)
        else:
            log.debug("%s has a handler, which stays", signal.Signals(number).name)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, handler)

    def _handle(self, number: int, frame: Any) -> None:
        if self._done:  # sent by the thread
            self._done = False
            if not self._notified:
                raise SystemExit(0)
        elif os.getpid() != self._pid or self._ended():  # a forked process, or nothing is left to be stopped
            self._die(number)
        elif self._graceful and not self._asked:
            self._asked = True
            self._same_until = time.monotonic() + _SAME_SECONDS
            self._events.put(number)
        elif not self._at_once and time.monotonic() > self._same_until:
            self._asked = self._at_once = True
            self._events.put(number)
            self._thread.join(_IMMEDIATE_SECONDS + 3)  # the program must not see its SparkContext vanish
            self._die(number)

    def _die(self, number: int) -> None:
        """End as if the signal had never been handled."""
        self._restore()
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt  # not by PySpark's handler, which calls the JVM
        os.kill(os.getpid(), number)

    # ------------------------------------------------------------------ the thread

    def _serve(self) -> None:
        """Do what a signal asks for, then let the handler end the program."""
        if (number := self._events.get()) is None:
            return
        for logger in (SCHEDULER, EXECUTOR):
            set_level(self._sc, logger, "ERROR")
        if not self._at_once:
            log.info("%s: ending with the batch of this interval", signal.Signals(number).name)
            self._stop_query(graceful=True)
            number = self._events.get() or number
        if self._at_once:
            log.info("%s: ending at once", signal.Signals(number).name)
            stopping = self._stop_query(graceful=False)
            stopping.join(_IMMEDIATE_SECONDS)
            # A batch that is left behind loses this process, and the JVM would print where.
            _ignore_errors((lambda: mute_jvm(self._sc)) if stopping.is_alive() else self._sc.stop)
        self._remove_hook()
        if not self._at_once and threading.main_thread().is_alive():
            self._done = True
            _signal_main(number)

    def _stop_query(self, graceful: bool) -> threading.Thread:
        """Stop the query in a thread of its own, so that another signal is seen meanwhile."""

        def stop() -> None:
            _ignore_errors(lambda: self._stop(graceful))
            self._events.put(None)

        thread = threading.Thread(target=stop, name="dstreams-signal", daemon=True)
        thread.start()
        return thread

    # ------------------------------------------------------------------ the JVM's end

    def _add_hook(self) -> None:
        try:
            self._unhook = add_shutdown_hook(self._sc, self._jvm_ends)
        except Exception as error:  # a program can do without
            log.debug("no shutdown hook in the JVM: %s", error)

    def _remove_hook(self) -> None:
        remove, self._unhook = self._unhook, None
        if remove is not None:
            _ignore_errors(remove)

    def _jvm_ends(self) -> None:
        """Run in the JVM's hook; the JVM goes on when this returns or this process has ended."""
        name = signal_that_ends_jvm(self._sc)
        if name is None or (self._ended() and not self._asked):
            return  # not a signal but something fatal, or not ours
        number = signal.Signals[name]
        if number == signal.SIGINT and not self._graceful:  # Ctrl-C, which this process has got too
            _ignore_errors(lambda: self._stop(False))
            return
        if self._graceful and number not in self._previous:  # the main thread is not ours to end
            _ignore_errors(lambda: self._stop(True))
            threading.main_thread().join(_IMMEDIATE_SECONDS)
        if not self._asked and threading.main_thread().is_alive():
            _signal_main(number)
        threading.Event().wait()  # a daemon thread: the connection breaks when this process has written all it has


def _signal_main(number: int) -> None:
    """Send a signal to the main thread, which runs the handlers, also where it sleeps."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, number)


def _ignore_errors(action: Callable[[], Any]) -> None:
    try:
        action()
    except Exception as error:  # the JVM is gone: what was to be stopped has stopped
        log.debug("while ending: %s", error)
