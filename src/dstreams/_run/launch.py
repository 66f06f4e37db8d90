"""Around the start of a JVM, wherever the program starts it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pyspark
from pyspark import SparkConf

from dstreams._compatibility import OLD_KAFKA, TABLE
from dstreams._run import class_archive
from dstreams.errors import DStreamValueError

__all__ = ["QUIET", "launching"]

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
