"""Around the start of a JVM, wherever the program starts it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyspark
from pyspark import SparkConf

from dstreams._insides import KAFKA_PACKAGE
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

_OLD_KAFKA = re.compile(r"spark-streaming-kafka(-0-8)?(-assembly)?_2\.1\d[\w.:-]*")


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
        if found := _OLD_KAFKA.search(text):
            package = f"{KAFKA_PACKAGE}:{pyspark.__version__}"
            raise DStreamValueError(
                f"{found[0]} is the connector of Spark's old engine, in which Python has no Kafka since Spark 3. "
                f"Instead ask for Structured Streaming's: --packages {package} (in PYSPARK_SUBMIT_ARGS or of "
                "spark-submit; the conf spark.jars.packages). The program itself stays as it is."
            )
    with class_archive.used(conf):
        yield
