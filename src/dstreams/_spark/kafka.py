"""Spark's connector to Kafka, which is not in its distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py4j.protocol import Py4JError

from dstreams._spark.jvm import jvm_of

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["has_connector"]

_PROVIDER = "org.apache.spark.sql.kafka010.KafkaSourceProvider"


def has_connector(sc: SparkContext) -> bool:
    """Whether its jars are there."""
    try:
        jvm_of(sc).java.lang.Thread.currentThread().getContextClassLoader().loadClass(_PROVIDER)
    except Py4JError:
        return False
    return True
