"""The Flume utilities, as programs import them from ``pyspark.streaming.flume`` (Spark 1.5 to 2.4)."""

from __future__ import annotations

from typing import Any, NoReturn

from dstreams._sources.kafka_records import utf8_decoder
from dstreams.errors import UnsupportedDStreamOperation

__all__ = ["FlumeUtils", "utf8_decoder"]


class FlumeUtils:
    """Flume input; refused, with what to do instead."""

    @staticmethod
    def createStream(*args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: this package does not speak the protocol of Flume's Avro sink.

        Raises
        ------
        UnsupportedDStreamOperation
            Always, before anything is started.
        """
        raise _refused("createStream", "Avro sink")

    @staticmethod
    def createPollingStream(*args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: the sink that this polled was a part of Spark, which is not made any more.

        Raises
        ------
        UnsupportedDStreamOperation
            Always, before anything is started.
        """
        raise _refused("createPollingStream", "SparkSink")


def _refused(call: str, sink: str) -> UnsupportedDStreamOperation:
    return UnsupportedDStreamOperation(
        f"FlumeUtils.{call}: this package does not read from Flume's {sink}. Nothing was started. Give the agent "
        "another sink, and read that: its Kafka sink (type = org.apache.flume.sink.kafka.KafkaSink) with "
        "KafkaUtils.createDirectStream, which loses nothing when this program is down; or its HDFS or file_roll sink "
        "with ssc.textFileStream."
    )
