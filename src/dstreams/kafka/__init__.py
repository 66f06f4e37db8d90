"""Kafka in Python again: what ``pyspark.streaming.kafka`` was until Spark 2.4, and what only Scala had since.

Needs Spark's Kafka connector on the class path (:func:`with_kafka`, or ``spark-submit --packages``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dstreams._sources.decoder import utf8_decoder
from dstreams.kafka._cluster import kafka_package
from dstreams.kafka._records import Broker, KafkaMessageAndMetadata, OffsetRange, TopicAndPartition
from dstreams.kafka._source import KafkaRDD

if TYPE_CHECKING:
    from dstreams.kafka.streams import KafkaDStream, KafkaUtils, with_kafka

__all__ = [
    "Broker",
    "KafkaDStream",
    "KafkaMessageAndMetadata",
    "KafkaRDD",
    "KafkaUtils",
    "OffsetRange",
    "TopicAndPartition",
    "kafka_package",
    "utf8_decoder",
    "with_kafka",
]


def __getattr__(name: str) -> Any:
    # Workers import this package for the records, and would import the whole side of the driver with the streams.
    if name in __all__:
        return getattr(import_module(f"{__name__}.streams"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
