"""The sources of streams, each made from what a program has given for it; what does not fit is refused here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from pyspark import RDD

from dstreams._sources.custom import CustomSource
from dstreams._sources.dataframe import DataFrameSource
from dstreams._sources.files import BinaryRecordsSource, TextFileSource
from dstreams._sources.queue import QueueSource
from dstreams._sources.receiver import Settings
from dstreams._sources.socket import ConvertedSource, SocketSource
from dstreams._spark.jvm import jvm_reason
from dstreams.errors import DStreamTypeError, DStreamValueError
from dstreams.receiver import Receiver

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from dstreams._builder import Builder

__all__ = ["binary_records", "data_frame", "queue", "receiver", "server_address", "socket", "socket_text", "text_files"]


def text_files(builder: Builder, directory: str) -> TextFileSource:
    """Lines of the files that appear in a directory."""
    return TextFileSource(_directory(directory, "textFileStream"), *builder.file_times())


def binary_records(builder: Builder, directory: str, length: int) -> BinaryRecordsSource:
    """Records of `length` bytes from the files that appear in a directory."""
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise DStreamValueError(f"binaryRecordsStream: recordLength must be a positive number of bytes, got {length!r}")
    return BinaryRecordsSource(_directory(directory, "binaryRecordsStream"), *builder.file_times(), length)


def data_frame(builder: Builder, frame: DataFrame | Callable[[SparkSession], DataFrame]) -> DataFrameSource:
    """Rows of a streaming DataFrame."""
    return DataFrameSource(frame, builder.next_source)


def queue(
    builder: Builder, rdds: Sequence[Any], one_at_a_time: bool, default: RDD[Any] | Iterable[Any] | None
) -> QueueSource:
    """The elements of a queue."""
    if not isinstance(rdds, list | tuple):
        raise DStreamTypeError(f"queueStream: rdds must be a list of RDDs or lists, got {type(rdds).__name__}")
    has_default = isinstance(default, RDD) or bool(default)
    if not rdds and not has_default:
        raise DStreamValueError("queueStream: the queue is empty and there is no default, so there is nothing to read")
    for element in rdds:
        if not isinstance(element, RDD | Iterable):
            raise DStreamTypeError(
                f"queueStream: each element must be an RDD or a list, the records of one batch; got {element!r}"
            )
    elements = [element if isinstance(element, RDD) else list(element) for element in rdds] or [[]]
    fallback = default if isinstance(default, RDD) else list(default) if has_default and default else None
    return QueueSource(elements, bool(one_at_a_time), fallback, builder.parallelism)


def socket_text(builder: Builder, hostname: str, port: int) -> SocketSource:
    """Lines from a TCP server."""
    return SocketSource(*server_address(hostname, port, "socketTextStream"), receiver_settings(builder))


def socket(
    builder: Builder, hostname: str, port: int, converter: Callable[[BinaryIO], Iterable[Any]]
) -> ConvertedSource:
    """Records that a function makes of the bytes from a TCP server."""
    if not callable(converter):
        raise DStreamTypeError(f"socketStream: converter must be a function, got {converter!r}")
    return ConvertedSource(*server_address(hostname, port, "socketStream"), receiver_settings(builder), converter)


def receiver(builder: Builder, given: Receiver[Any]) -> CustomSource:
    """Records that a receiver of the program's own stores."""
    if not isinstance(given, Receiver):
        raise DStreamTypeError(f"receiverStream: receiver must be a Receiver, got {type(given).__name__}")
    return CustomSource(given, builder.next_source, receiver_settings(builder))


def receiver_settings(builder: Builder) -> Settings:
    """What Spark's settings say of receivers."""
    conf = builder.conf
    try:
        return Settings(
            conf.getTimeAsMs("spark.streaming.receiverRestartDelay", "2000ms") / 1000,
            conf.getTimeAsMs("spark.streaming.blockInterval", "200ms") / 1000,
            float(conf.get("spark.streaming.receiver.maxRate", "0")),
            builder.parallelism,
        )
    except Exception as error:
        raise DStreamValueError(
            "spark.streaming.receiverRestartDelay, blockInterval and receiver.maxRate: a time such as 200ms, or a "
            f"number of records per second ({jvm_reason(error)})"
        ) from None


def server_address(hostname: Any, port: Any, op: str) -> tuple[str, int]:
    """Refuse what is no address of a server."""
    if not isinstance(hostname, str) or not hostname:
        raise DStreamTypeError(f"{op}: hostname must be a str, got {hostname!r}")
    if isinstance(port, bool) or not isinstance(port, int):
        raise DStreamTypeError(f"{op}: port must be an int, got {port!r}")
    if not 0 < port < 65536:
        raise DStreamValueError(f"{op}: port must be between 1 and 65535, got {port}")
    return hostname, port


def _directory(directory: Any, op: str) -> str:
    if not isinstance(directory, str | os.PathLike) or not str(directory):
        raise DStreamTypeError(f"{op}: directory must be a str, got {directory!r}")
    return os.fspath(directory)
