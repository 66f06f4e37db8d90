"""Around the start of a JVM, wherever the program starts it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pyspark
from pyspark import SparkConf
from pyspark.core import context as _context

from dstreams._compatibility import OLD_KAFKA, TABLE
from dstreams._run import class_archive
from dstreams.errors import DStreamValueError

__all__ = ["QUIET", "around_launch", "launching"]

QUIET = {
    "spark.submit.deployMode": "client",
    "spark.log.level": "ERROR",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.eventLog.enabled": "false",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}
"""Settings of a Spark of our own, which says nothing and is there for nobody else."""

_spark: Any = _context
"""The module in which SparkContext looks for the function; it does not say so to type checkers."""


@contextmanager
def launching(conf: SparkConf | None = None) -> Iterator[None]:
    """Start a JVM within this, if there is none: from the archive of classes, and not in vain.

    Parameters
    ----------
    conf : SparkConf, optional
        Settings with which it is to be started.

    Raises
    ------
    DStreamValueError
        If they, or the environment, ask for the old engine's connector to Kafka, which no longer is.
    """
    asked = [os.environ.get("PYSPARK_SUBMIT_ARGS", "")]
    if conf is not None:
        asked += [conf.get("spark.jars.packages", "") or "", conf.get("spark.jars", "") or ""]
    for text in asked:
        if found := OLD_KAFKA.search(text):
            fact = TABLE["spark-streaming-kafka"].at(pyspark.__version__)
            raise DStreamValueError(f"{found[0]}: {fact.sentence}.")
    with class_archive.used(conf):
        yield


def around_launch(within: Callable[[SparkConf | None], AbstractContextManager[None]]) -> Callable[[], None]:
    """Have the SparkContexts of this process start their JVM within a context.

    Only there is it known with which settings, and that there is not one yet.

    Parameters
    ----------
    within : callable
        Gets the settings and gives the context.

    Returns
    -------
    callable
        Takes that back.
    """
    launch = _spark.launch_gateway

    def launch_within(conf: SparkConf | None = None, popen_kwargs: dict[str, Any] | None = None) -> Any:
        with within(conf):
            return launch(conf, popen_kwargs)

    def undo() -> None:
        _spark.launch_gateway = launch

    _spark.launch_gateway = launch_within
    return undo
