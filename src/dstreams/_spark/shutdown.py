"""The end of the JVM, which may come before that of this process: under spark-submit it is the parent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from dstreams._spark.jvm import accept_calls, jvm_of

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["add_shutdown_hook", "signal_that_ends_jvm"]

_WAITS_HOURS = 24
"""How long the JVM waits for this process: no batch takes longer, and a supervisor waits less."""


def add_shutdown_hook(sc: SparkContext, run: Callable[[], None]) -> Callable[[], Any]:
    """Have something run here when the JVM ends, before Spark's own hook stops the SparkContext.

    The JVM goes on when it returns, or this process has ended.

    Returns
    -------
    callable
        Takes that back.
    """
    accept_calls(sc)
    jvm = jvm_of(sc)
    # A FutureTask keeps to itself what its function throws: that this process is gone, for one.
    ours = _Hook(run)
    hook = jvm.java.util.concurrent.FutureTask(ours, None)
    manager = jvm.org.apache.hadoop.util.ShutdownHookManager.get()
    # Spark's own hook has 30 more than FileSystem's.
    priority = jvm.org.apache.hadoop.fs.FileSystem.SHUTDOWN_HOOK_PRIORITY + 40
    manager.addShutdownHook(hook, priority, _WAITS_HOURS, jvm.java.util.concurrent.TimeUnit.HOURS)

    def remove() -> None:
        ours.run = lambda: None  # py4j keeps it until the JVM has collected its half
        manager.removeShutdownHook(hook)

    return remove


def signal_that_ends_jvm(sc: SparkContext) -> str | None:
    """Name of the signal for which the JVM ends, such as ``SIGTERM``; None if it ends for another reason."""
    threads = str(jvm_of(sc).java.lang.Thread.getAllStackTraces().keySet().toString())
    return next((name for name in ("SIGTERM", "SIGINT") if f"{name} handler" in threads), None)


class _Hook:
    """What the JVM runs."""

    def __init__(self, run: Callable[[], None]) -> None:
        self.run = run

    class Java:
        """Tells py4j which interface this is."""

        implements: ClassVar = ["java.lang.Runnable"]
