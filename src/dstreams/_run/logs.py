"""What the package says while it runs: the logger ``dstreams``, shown on stderr unless logging is set up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["BATCHES", "SCHEDULER", "STATE_SERVER", "set_level", "show_logs"]

STATE_SERVER = "org.apache.spark.sql.execution.python.streaming.TransformWithStateInPySparkStateServer"
"""Warns of every key that has no state yet, which is nothing to be warned of."""
SCHEDULER = "org.apache.spark.scheduler.DAGScheduler"
"""Warns when a query is stopped while none of its jobs runs, which is how we stop one."""
BATCHES = "org.apache.spark.sql.execution.streaming.runtime.MicroBatchExecution"
"""Prints a stack of the JVM when a query ends with a failed batch; we tell the program's own error instead."""


def show_logs() -> None:
    """Show messages of level INFO where the program has not configured logging itself: no program is silent."""
    log = logging.getLogger("dstreams")
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s dstreams: %(message)s", "%y/%m/%d %H:%M:%S"))
        log.addHandler(handler)
        log.propagate = False  # to a root logger that somebody sets up later: each line would come twice
        if log.level == logging.NOTSET:
            log.setLevel(logging.INFO)


def set_level(sc: SparkContext, logger: str, level: str) -> str | None:
    """Set the level of one of Spark's loggers in the driver.

    Parameters
    ----------
    sc : SparkContext
        The context.
    logger : str
        Name.
    level : str
        ``"ERROR"``, ``"OFF"`` and so on.

    Returns
    -------
    str or None
        The level before; None where it cannot be set (another logging library than Spark's).
    """
    try:
        assert sc._jvm is not None
        log4j = sc._jvm.org.apache.logging.log4j
        before = str(log4j.LogManager.getLogger(logger).getLevel().toString())
        log4j.core.config.Configurator.setLevel(logger, log4j.Level.toLevel(level))
    except Exception:  # logs may say too much, that is all
        return None
    return before
