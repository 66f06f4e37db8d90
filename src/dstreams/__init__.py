"""DStream programs on Structured Streaming: the API of ``pyspark.streaming``, translated into one query."""

from __future__ import annotations

from dstreams._version import __version__
from dstreams.context import StreamingContext
from dstreams.dstream import DStream
from dstreams.duration import Duration, Milliseconds, Minutes, Seconds
from dstreams.errors import DStreamError
from dstreams.listener import StreamingListener
from dstreams.state import State, StateSpec

__all__ = [
    "DStream",
    "DStreamError",
    "Duration",
    "Milliseconds",
    "Minutes",
    "Seconds",
    "State",
    "StateSpec",
    "StreamingContext",
    "StreamingListener",
    "__version__",
]
