"""The Flume utilities, as programs import them from ``pyspark.streaming.flume`` (Spark 1.5 to 2.4).

Needs ``dstreams[flume]``.
"""

from dstreams._sources.decoder import utf8_decoder
from dstreams.flume.streams import FlumeUtils

__all__ = ["FlumeUtils", "utf8_decoder"]
