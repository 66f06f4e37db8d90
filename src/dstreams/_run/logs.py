"""What the package says while it runs: the logger ``dstreams``, shown on stderr unless logging is set up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["BATCHES", "INHERITED", "SCHEDULER", "STATE_SERVER", "TRIGGER", "set_level", "show_logs"]

STATE_SERVER = "org.apache.spark.sql.execution.python.streaming.TransformWithStateInPySparkStateServer"
"""Warns of every key that has no state yet, which is nothing to be warned of."""
SCHEDULER = "org.apache.spark.scheduler.DAGScheduler"
"""Warns when a query is stopped while none of its jobs runs, which is how we stop one."""
BATCHES = "org.apache.spark.sql.execution.streaming.runtime.MicroBatchExecution"
"""Prints a stack of the JVM when a query ends with a failed batch; we tell the program's own error instead."""
TRIGGER = "org.apache.spark.sql.execution.streaming.runtime.ProcessingTimeExecutor"
"""Warns of every batch that takes longer than the interval, also of the first; we tell it once, with figures."""


INHERITED = "inherited"
"""Level of a logger that has none: set to the one that it inherits, it would print what Spark's shell leaves out."""
_QUIET = {"ERROR": logging.ERROR, "FATAL": logging.CRITICAL, "OFF": logging.CRITICAL + 1}


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """The handler of a program that has set up none."""


def _spark_level(sc: SparkContext) -> str:
    """Level of Spark's log; an empty text where it cannot be told."""
    try:
        assert sc._jvm is not None
        return str(sc._jvm.org.apache.logging.log4j.LogManager.getRootLogger().getLevel().toString())
    except Exception:
        return ""


def show_logs(sc: SparkContext) -> None:
    """Show messages of level INFO where the program has not configured logging itself: no program is silent.

    But one that has told Spark to be quiet (``sc.setLogLevel("ERROR")``) is.
    """
    log = logging.getLogger("dstreams")
    if not log.hasHandlers():
        handler = _Handler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s dstreams: %(message)s", "%y/%m/%d %H:%M:%S"))
        log.addHandler(handler)
        log.propagate = False  # to a root logger that somebody sets up later: each line would come twice
        if log.level == logging.NOTSET:
            log.setLevel(logging.INFO)
    for own in log.handlers:
        if isinstance(own, _Handler):
            own.setLevel(_QUIET.get(_spark_level(sc), logging.NOTSET))


def set_level(sc: SparkContext, logger: str, level: str) -> str | None:
    """Set the level of one of Spark's loggers in the driver.

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
        assert sc._jvm is not None
        log4j = sc._jvm.org.apache.logging.log4j
        context = log4j.LogManager.getContext(False)
        config = context.getConfiguration()
        own = config.getLoggers().get(logger)
        before = INHERITED if own is None else str(own.getLevel().toString())
        if level == INHERITED:
            config.removeLogger(logger)
            context.updateLoggers()
        else:
            log4j.core.config.Configurator.setLevel(logger, log4j.Level.toLevel(level))
    except Exception:  # logs may say too much, that is all
        return None
    return before
