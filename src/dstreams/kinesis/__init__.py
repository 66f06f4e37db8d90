"""The Kinesis utilities, as programs import them from ``pyspark.streaming.kinesis``. Needs ``dstreams[kinesis]``."""

from dstreams._sources.decoder import utf8_decoder
from dstreams.kinesis.streams import InitialPositionInStream, KinesisUtils, MetricsLevel

__all__ = ["InitialPositionInStream", "KinesisUtils", "MetricsLevel", "utf8_decoder"]
