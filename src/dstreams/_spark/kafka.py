"""Spark's connector to Kafka, which is not in its distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark
from py4j.protocol import Py4JError

from dstreams._spark.jvm import java, jvm_of

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

__all__ = ["ask_how_far", "has_connector"]

_PROVIDER = "org.apache.spark.sql.kafka010.KafkaSourceProvider"
_STREAM = "org.apache.spark.sql.kafka010.KafkaMicroBatchStream"


def has_connector(sc: SparkContext) -> bool:
    """Whether its jars are there."""
    try:
        jvm_of(sc).java.lang.Thread.currentThread().getContextClassLoader().loadClass(_PROVIDER)
    except Py4JError:
        return False
    return True


def ask_how_far(source: JavaObject, sc: SparkContext) -> None:
    """Let a source of Spark 4.1 that reads Kafka ask how far the brokers are; others are left alone.

    It reports that after every batch, and asks only before a new one: a query that begins with running a batch again
    would end with a NullPointerException (SPARK-57438).
    """
    if pyspark.__version__.startswith("4.1.") and source.getClass().getName() == _STREAM:
        everything = java(sc, "org.apache.spark.sql.connector.read.streaming.ReadLimit.allAvailable")()
        source.latestOffset(source.initialOffset(), everything)
