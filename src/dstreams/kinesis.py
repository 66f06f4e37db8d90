"""The Kinesis utilities, as programs import them from ``pyspark.streaming.kinesis``."""

from __future__ import annotations

from typing import Any, NoReturn

from dstreams.errors import UnsupportedDStreamOperation

__all__ = ["InitialPositionInStream", "KinesisUtils", "MetricsLevel", "utf8_decoder"]


def utf8_decoder(s: bytes | None) -> str | None:
    """Decode bytes as UTF-8; None stays None."""
    return None if s is None else s.decode("utf-8")


class InitialPositionInStream:
    """Where to start in a stream that has no saved position."""

    LATEST, TRIM_HORIZON = (0, 1)


class MetricsLevel:
    """How much the client reports."""

    DETAILED, SUMMARY, NONE = (0, 1, 2)


class KinesisUtils:
    """Kinesis input; not translated by this version."""

    @staticmethod
    def createStream(*args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: Kinesis is not translated by this version.

        Raises
        ------
        UnsupportedDStreamOperation
            Always, before anything is started.
        """
        raise UnsupportedDStreamOperation(
            "KinesisUtils.createStream: this version of dstreams does not read Kinesis yet. "
            "Nothing was started. Keep this program on the old engine for now."
        )
