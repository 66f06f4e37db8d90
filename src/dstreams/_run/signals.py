"""SIGTERM and SIGINT: what they do to a running program.

A handler runs on the main thread between any two instructions of the program, which may hold a lock or be in the
middle of a call to the JVM. So it calls nothing and waits for no lock: it puts a request into a queue and lets the
program go on. Threads do the work; when the program has to end, they send the signal once more, and the handler, which
now knows that all is done, raises.

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
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar

from pyspark.java_gateway import ensure_callback_server_started

from dstreams._run.logs import set_level

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

__all__ = ["Signals"]

log = logging.getLogger("dstreams")

_NOISY = ("org.apache.spark.scheduler.DAGScheduler", "org.apache.spark.executor.Executor")
"""Warn that a query which is stopped between two batches has no job to cancel, and that a heartbeat has no answer."""
_IMMEDIATE_SECONDS = 5.0
"""How long an immediate stop may take; a batch that cannot be cancelled is left behind then."""
_SAME_SECONDS = 0.2
"""A signal that comes again so soon is the same one, sent to this process and to its group (``timeout`` does so)."""
_JVM_WAITS_HOURS = 24
"""How long the JVM waits for this process: no batch takes longer, and a supervisor waits less."""


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
        self._hook: tuple[JavaObject, JavaObject] | None = None
        # put() of a SimpleQueue may be called in a signal handler, whatever was interrupted.
        self._requests: SimpleQueue[tuple[Callable[[int], None], int] | None] = SimpleQueue()
        self._first = 0.0
        self._asked = False
        self._aborting = False
        self._over = False
        self._settled = threading.Event()
        self._main = threading.Lock()  # whether the main thread waits for the end or knows of it; no handler takes it
        self._here = False
        self._notified = False

    def install(self) -> None:
        """Take the signals over, where nobody else has; call it when the query runs."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT) if self._graceful else (signal.SIGTERM,):
                self._take(number)
        else:
            log.debug("start() was not called by the main thread: signals stay as they are")
        if self._graceful or self._previous:
            threading.Thread(target=self._serve, name="dstreams-signals", daemon=True).start()
            self._add_hook()

    def uninstall(self) -> None:
        """Put everything back; does nothing while the query runs.

        Only the main thread can put handlers back. Those that another thread leaves do so when a signal comes.
        """
        if not self._ended() or (self._asked and not self._settled.is_set()):
            return
        self._requests.put(None)
        self._remove_hook()
        if threading.current_thread() is threading.main_thread():
            self._restore()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Mark that this thread waits for the end of the query: if it is the main thread, it is let go on then.

        Where a signal has ended the query, leaves the block when the SparkContext has stopped too.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._here = True
        try:
            yield
        except BaseException:
            self._leave(notified=self._asked)
            raise
        self._leave(notified=self._ended())
        if self._notified:
            if self._asked and self._previous:
                self._settled.wait()
            self.uninstall()

    def _leave(self, notified: bool) -> None:
        with self._main:
            self._here = False
            self._notified = self._notified or notified

    # ------------------------------------------------------------------ handlers

    def _take(self, number: int) -> None:
        handler = signal.getsignal(number)
        owner = getattr(handler, "__self__", None)
        if isinstance(owner, Signals):  # of a program that has ended
            handler = owner._previous.get(number, signal.SIG_DFL)
        if handler in (signal.SIG_DFL, signal.default_int_handler) or _is_pysparks(handler):
            self._previous[number] = handler
            signal.signal(number, self._handle)
        else:
            log.debug("%s has a handler, which stays", signal.Signals(number).name)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, handler)

    def _handle(self, number: int, frame: Any) -> None:
        forked = os.getpid() != self._pid
        if forked or (self._ended() and not self._asked):
            self._restore()
            os.kill(os.getpid(), number)
        elif self._over:
            self._end(number)
        elif self._graceful and (not self._first or time.monotonic() - self._first < _SAME_SECONDS):
            self._first = self._first or time.monotonic()
            self._asked = True
            self._requests.put((self._finish, number))
        elif not self._aborting:
            self._asked = self._aborting = True
            self._requests.put((self._abort, number))
            time.sleep(_IMMEDIATE_SECONDS + 3)  # the program must not see its SparkContext vanish
            self._die(number)

    def _end(self, number: int) -> None:
        if self._aborting:
            self._die(number)
        elif not self._notified:
            raise SystemExit(0)

    def _die(self, number: int) -> None:
        """End as if the signal had never been handled."""
        self._restore()
        if number == signal.SIGINT:
            raise KeyboardInterrupt  # not by PySpark's handler, which calls the JVM
        os.kill(os.getpid(), number)

    # ------------------------------------------------------------------ threads

    def _serve(self) -> None:
        """Start a thread per kind of request; the JVM and this process may both have got the signal."""
        seen = set()
        while (request := self._requests.get()) is not None:
            action, number = request
            if action not in seen:
                seen.add(action)
                threading.Thread(target=action, args=(number,), name="dstreams-signal", daemon=False).start()

    def _finish(self, number: int) -> None:
        """Finish the running batch, then end the program with 0, by itself if it waits for that."""
        log.info("%s: ending with the batch of this interval", signal.Signals(number).name)
        levels = self._mute()
        self._ignoring_errors(lambda: self._stop(True))
        if self._aborting:
            return
        with self._main:
            here = self._here or self._notified
        if not here and self._previous:
            if threading.main_thread().is_alive():
                self._wake(number)
            threading.main_thread().join()  # what the program does while it unwinds may need the SparkContext
        self._ignoring_errors(self._sc.stop)
        for logger, level in levels.items():
            if level is not None:
                set_level(self._sc, logger, level)
        self._remove_hook()
        self._settled.set()

    def _abort(self, number: int) -> None:
        """Stop at once, then end the program as the signal does without us."""
        log.info("%s: ending at once", signal.Signals(number).name)
        self._mute()
        stopping = threading.Thread(target=self._ignoring_errors, args=(lambda: self._stop(False),), daemon=True)
        stopping.start()
        stopping.join(_IMMEDIATE_SECONDS)
        if stopping.is_alive():
            self._ignoring_errors(self._mute_jvm)  # the batch loses this process, and the JVM would print where
        else:
            self._ignoring_errors(self._sc.stop)
        self._remove_hook()
        self._wake(number)

    def _mute(self) -> dict[str, str | None]:
        """Keep Spark from warning of what an end brings with it; return the levels before."""
        return {logger: set_level(self._sc, logger, "ERROR") for logger in _NOISY}

    def _mute_jvm(self) -> None:
        """Let the JVM print nothing any more: neither its log, nor what a thread ends with."""
        set_level(self._sc, "", "OFF")
        jvm: Any = self._sc._jvm
        jvm.java.lang.System.setErr(jvm.java.io.PrintStream(jvm.java.io.OutputStream.nullOutputStream()))

    def _wake(self, number: int) -> None:
        """Let the handler run once more, also where the main thread sleeps."""
        self._over = True
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, number)

    @staticmethod
    def _ignoring_errors(action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:  # the JVM is gone: what was to be stopped has stopped
            log.debug("while ending: %s", error)

    # ------------------------------------------------------------------ the JVM's end

    def _add_hook(self) -> None:
        try:
            ensure_callback_server_started(self._sc._gateway)
            jvm: Any = self._sc._jvm
            # A FutureTask keeps to itself what its function throws: that this process is gone, for one.
            hook = jvm.java.util.concurrent.FutureTask(_Hook(self._jvm_ends), None)
            manager = jvm.org.apache.hadoop.util.ShutdownHookManager.get()
            # Spark's own hook has 30 more than this.
            priority = jvm.org.apache.hadoop.fs.FileSystem.SHUTDOWN_HOOK_PRIORITY + 40
            manager.addShutdownHook(hook, priority, _JVM_WAITS_HOURS, jvm.java.util.concurrent.TimeUnit.HOURS)
            self._hook = manager, hook
        except Exception as error:  # a program can do without
            log.debug("no shutdown hook in the JVM: %s", error)

    def _remove_hook(self) -> None:
        hook, self._hook = self._hook, None
        if hook is not None:
            manager, task = hook
            with suppress(Exception):  # the JVM is shutting down, or gone
                manager.removeShutdownHook(task)

    def _jvm_ends(self) -> None:
        """Run in the JVM's hook; the JVM goes on when this returns or this process has ended."""
        if self._ended() and not self._asked:
            return
        jvm: Any = self._sc._jvm
        threads = str(jvm.java.lang.Thread.getAllStackTraces().keySet().toString())
        terminated = "SIGTERM handler" in threads
        if not terminated and "SIGINT handler" not in threads:
            return  # not a signal but something fatal
        if self._graceful:
            self._asked = True
            self._requests.put((self._finish, next(iter(self._previous), signal.SIGTERM)))
        elif terminated:
            self._asked = self._aborting = True
            self._requests.put((self._abort, signal.SIGTERM))
        else:  # Ctrl-C, which this process has got too
            self._ignoring_errors(lambda: self._stop(False))
            return
        if not self._previous:  # the main thread is not ours to end, but must not live on without its JVM
            self._settled.wait()
            threading.main_thread().join(_IMMEDIATE_SECONDS)
            if threading.main_thread().is_alive():
                os.kill(os.getpid(), signal.SIGTERM)
                return
        threading.Event().wait()  # a daemon thread: the connection breaks when this process has written all it has


class _Hook:
    """What the JVM runs."""

    def __init__(self, run: Callable[[], None]) -> None:
        self.run = run

    class Java:
        """Tells py4j which interface this is."""

        implements: ClassVar = ["java.lang.Runnable"]


def _is_pysparks(handler: Any) -> bool:
    return str(getattr(handler, "__module__", "")).startswith("pyspark.")
