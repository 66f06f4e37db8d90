"""Streams of Kinesis."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pyspark import StorageLevel

from dstreams._sources.decoder import utf8_decoder
from dstreams.duration import to_milliseconds
from dstreams.errors import DStreamStateError, DStreamTypeError, DStreamValueError
from dstreams.kinesis._source import Account, KinesisSource

if TYPE_CHECKING:
    from dstreams.context import StreamingContext
    from dstreams.dstream import DStream

__all__ = ["InitialPositionInStream", "KinesisUtils", "MetricsLevel"]

T = TypeVar("T")


class InitialPositionInStream:
    """Where to start in a stream that has no saved position."""

    LATEST, TRIM_HORIZON = (0, 1)


class MetricsLevel:
    """How much the old engine's client reports; not used here."""

    DETAILED, SUMMARY, NONE = (0, 1, 2)


class KinesisUtils:
    """Streams of Kinesis."""

    @staticmethod
    def createStream(
        ssc: StreamingContext,
        kinesisAppName: str,
        streamName: str,
        endpointUrl: str,
        regionName: str,
        initialPositionInStream: int,
        checkpointInterval: float,
        metricsLevel: int = MetricsLevel.DETAILED,
        storageLevel: StorageLevel = StorageLevel.MEMORY_AND_DISK_2,
        awsAccessKeyId: str | None = None,
        awsSecretKey: str | None = None,
        decoder: Callable[[bytes | None], Any] = utf8_decoder,
        stsAssumeRoleArn: str | None = None,
        stsSessionName: str | None = None,
        stsExternalId: str | None = None,
    ) -> DStream[Any]:
        """Read a Kinesis stream.

        Parameters
        ----------
        ssc : StreamingContext
            The context.
        kinesisAppName : str
            Accepted for compatibility: positions are in the program's checkpoint directory, and in no table of
            DynamoDB.
        streamName : str
            Name of the stream.
        endpointUrl : str
            Address of Kinesis, such as ``https://kinesis.us-east-1.amazonaws.com``.
        regionName : str
            Its region.
        initialPositionInStream : int
            ``InitialPositionInStream.LATEST`` or ``TRIM_HORIZON``, for a first start.
        checkpointInterval : float
            Accepted for compatibility, in seconds: the position is saved with every batch.
        metricsLevel : int
            Accepted for compatibility; nothing is reported to CloudWatch.
        storageLevel : pyspark.StorageLevel
            Accepted for compatibility.
        awsAccessKeyId, awsSecretKey : str, optional
            Access key; without, what boto3 finds (environment, files, the machine's role). It is saved in the
            checkpoint directory with the program, as on the old engine.
        decoder : callable
            Bytes to anything.
        stsAssumeRoleArn, stsSessionName, stsExternalId : str, optional
            Role to assume.

        Returns
        -------
        DStream[T]
            Decoded records.

        Raises
        ------
        DStreamStateError
            If boto3 is not installed; and at ``start()``, if there is no such stream, or Kinesis refuses the
            credentials.
        DStreamTypeError, DStreamValueError
            If an argument cannot be meant.
        """
        op = "KinesisUtils.createStream"
        for name, value in (("streamName", streamName), ("regionName", regionName), ("kinesisAppName", kinesisAppName)):
            if not isinstance(value, str) or not value:
                raise DStreamTypeError(f"{op}: {name} must be a str, got {value!r}")
        if endpointUrl is not None and not isinstance(endpointUrl, str):
            raise DStreamTypeError(f"{op}: endpointUrl must be a str, got {endpointUrl!r}")
        if initialPositionInStream not in (InitialPositionInStream.LATEST, InitialPositionInStream.TRIM_HORIZON):
            raise DStreamValueError(
                f"{op}: initialPositionInStream must be InitialPositionInStream.LATEST or TRIM_HORIZON, got "
                f"{initialPositionInStream!r}"
            )
        to_milliseconds(checkpointInterval, "checkpointInterval")
        if (awsAccessKeyId is None) != (awsSecretKey is None):
            raise DStreamValueError(f"{op}: give both awsAccessKeyId and awsSecretKey, or neither")
        if not callable(decoder):
            raise DStreamTypeError(f"{op}: decoder must be a function, got {decoder!r}")
        try:
            import boto3  # noqa: F401
        except ImportError:
            raise DStreamStateError(
                f"{op}: the client of AWS is not installed. Install it beside the driver: pip install "
                "'dstreams[kinesis]'"
            ) from None
        account = Account(
            streamName, endpointUrl or None, regionName, awsAccessKeyId, awsSecretKey, stsAssumeRoleArn,
            stsSessionName, stsExternalId,
        )  # fmt: skip
        latest = initialPositionInStream == InitialPositionInStream.LATEST
        return ssc._source(op, KinesisSource(account, latest, decoder, ssc._builder.parallelism))
