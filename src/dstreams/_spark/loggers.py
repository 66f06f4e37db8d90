"""Loggers of Spark's in the driver's JVM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dstreams._spark.jvm import java, jvm_of

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["BATCHES", "EXECUTOR", "SCHEDULER", "STATE_SERVER", "TRIGGER", "mute_jvm", "root_level", "set_level"]

STATE_SERVER = "org.apache.spark.sql.execution.python.streaming.TransformWithStateInPySparkStateServer"
"""Warns of every key that has no state yet, which is nothing to be warned of."""
SCHEDULER = "org.apache.spark.scheduler.DAGScheduler"
"""Warns when a query is stopped while none of its jobs runs, which is how we stop one."""
EXECUTOR = "org.apache.spark.executor.Executor"
"""Warns that a heartbeat has no answer when its SparkContext stops."""
BATCHES = "org.apache.spark.sql.execution.streaming.runtime.MicroBatchExecution"
"""Prints a stack of the JVM when a query ends with a failed batch; we tell the program's own error instead."""
TRIGGER = "org.apache.spark.sql.execution.streaming.runtime.ProcessingTimeExecutor"
"""Warns of every batch that takes longer than the interval, also of the first; we tell it once, with figures."""
INHERITED = "inherited"
"""Level of a logger that has none: set to the one that it inherits, it would print what Spark's shell leaves out."""


def root_level(sc: SparkContext) -> str:
    """Level of Spark's log; an empty text where it cannot be told."""
    try:
        return str(java(sc, "org.apache.logging.log4j.LogManager").getRootLogger().getLevel().toString())
    except Exception:
        return ""


def set_level(sc: SparkContext, logger: str, level: str) -> str | None:
    """Set the level of one of Spark's loggers.

    Parameters
    ----------
    sc : SparkContext
        The context.
    logger : str
        Name.
    level : str
        ``"ERROR"``, ``"OFF"`` and so on; :data:`INHERITED` takes back that it has one of its own.

    Returns
    -------
    str or None
        The level before; None where it cannot be set (another logging library than Spark's).
    """
    try:
        context = java(sc, "org.apache.logging.log4j.LogManager").getContext(False)
        config = context.getConfiguration()
        own = config.getLoggers().get(logger)
        before = INHERITED if own is None else str(own.getLevel().toString())
        if level == INHERITED:
            config.removeLogger(logger)
            context.updateLoggers()
        else:
            set_to = java(sc, "org.apache.logging.log4j.Level").toLevel(level)
            java(sc, "org.apache.logging.log4j.core.config.Configurator").setLevel(logger, set_to)
    except Exception:  # logs may say too much, that is all
        return None
    return before


def mute_jvm(sc: SparkContext) -> None:
    """Let the JVM print nothing any more: neither its log, nor what a thread ends with."""
    set_level(sc, "", "OFF")
    jvm = jvm_of(sc)
    jvm.java.lang.System.setErr(jvm.java.io.PrintStream(jvm.java.io.OutputStream.nullOutputStream()))
