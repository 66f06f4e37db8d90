"""Streams and RDDs of Kafka's records."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pyspark import RDD, SparkConf, SparkContext, StorageLevel

from dstreams._compatibility import SERVERS, TABLE
from dstreams._sources.decoder import Decoder, utf8_decoder
from dstreams._spark.context import active_context, settings
from dstreams.dstream import DStream
from dstreams.errors import DStreamStateError, DStreamTypeError, DStreamValueError
from dstreams.kafka._cluster import kafka_package
from dstreams.kafka._commits import Callback, Committer
from dstreams.kafka._parameters import ConsumerParameters
from dstreams.kafka._rdd import read_ranges
from dstreams.kafka._records import (
    Broker,
    KafkaMessageAndMetadata,
    OffsetRange,
    TopicAndPartition,
)
from dstreams.kafka._source import KafkaDecoder, KafkaRDD, KafkaSource, Topics

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from dstreams.context import StreamingContext

__all__ = ["KafkaDStream", "KafkaUtils", "with_kafka"]

COMMIT = "spark.streaming.dstreams.kafka.commit"
"""Setting: commit the offsets of each batch to the consumer group, when its outputs have run."""

U = TypeVar("U")
Handler = Callable[[KafkaMessageAndMetadata], Any]
Target = TypeVar("Target", bound="SparkConf | SparkSession.Builder")


def with_kafka(target: Target, jars: str | os.PathLike[str] | None = None) -> Target:
    """Let the SparkContext that is made of this have Spark's Kafka connector.

    Parameters
    ----------
    target : SparkConf or SparkSession.Builder
        What the SparkContext will be made of.
    jars : path, optional
        Directory with the jars of the connector; by default Spark gets them from Maven Central, and keeps them.

    Returns
    -------
    SparkConf or SparkSession.Builder
        The same object.

    Raises
    ------
    DStreamStateError
        If there is a SparkContext already: its JVM cannot be given more jars.
    DStreamValueError
        If the directory has no connector.
    """
    if active_context() is not None:
        raise DStreamStateError(
            "with_kafka: there is a SparkContext already, and jars must be named before it is made. Call with_kafka "
            f"first, or start the program with spark-submit --packages {kafka_package()}"
        )
    if jars is None:
        _append(target, "spark.jars.packages", [kafka_package()])
        return target
    found = sorted(glob.glob(os.path.join(os.path.abspath(jars), "*.jar")))
    if not any("spark-sql-kafka" in os.path.basename(jar) for jar in found):
        raise DStreamValueError(f"with_kafka: {os.fspath(jars)} has no spark-sql-kafka-0-10_2.13-*.jar")
    _append(target, "spark.jars", found)
    return target


def _append(target: Any, key: str, values: list[str]) -> None:
    """Add to a setting that is a list."""
    if isinstance(target, SparkConf):
        target.set(key, ",".join(filter(None, [target.get(key, None), *values])))
    else:
        target.config(key, ",".join(filter(None, [target._options.get(key), *values])))


class KafkaDStream(DStream[Any]):
    """Stream of the records of Kafka topics; its RDDs know their offsets (``rdd.offsetRanges()``)."""

    if TYPE_CHECKING:

        @overload
        def transform(self, func: Callable[[KafkaRDD], RDD[U] | None]) -> DStream[U]: ...
        @overload
        def transform(self, func: Callable[[datetime, KafkaRDD], RDD[U] | None]) -> DStream[U]: ...
        def transform(self, func: Callable[..., RDD[U] | None]) -> DStream[U]:
            """As on any stream, with RDDs that know their offsets."""
            raise NotImplementedError

        @overload
        def foreachRDD(self, func: Callable[[KafkaRDD], object]) -> None: ...
        @overload
        def foreachRDD(self, func: Callable[[datetime, KafkaRDD], object]) -> None: ...
        def foreachRDD(self, func: Callable[..., object]) -> None:
            """As on any stream, with RDDs that know their offsets."""
            raise NotImplementedError

    def commitAsync(self, offsetRanges: Iterable[OffsetRange], callback: Callback | None = None) -> None:
        """Commit offsets to the stream's consumer group, beside the running program.

        Parameters
        ----------
        offsetRanges : list of OffsetRange
            What has been processed, as ``rdd.offsetRanges()`` gives it.
        callback : callable, optional
            Called with the ranges and None, or the exception, when it is done.

        Raises
        ------
        DStreamStateError
            If the stream has no ``group.id``.

        Notes
        -----
        What the program itself goes on from is in its checkpoint directory. The group's offsets are for those without
        one, and for tools that watch a group.
        """
        self._committer().commitAsync(offsetRanges, callback)

    def _committer(self) -> Committer | _NoCommitter:
        source = self._node.source
        return source.committer if isinstance(source, KafkaSource) else _NoCommitter()

    def __reduce__(self) -> tuple[Any, ...]:
        # A function of the program that commits holds its stream. In the checkpoint directory this is what is left.
        return _same, (self._committer(),)


class _NoCommitter:
    """Stands where a test has put its own records in the place of Kafka."""

    def commitAsync(self, offsetRanges: Iterable[OffsetRange], callback: Callback | None = None) -> None:
        if callback is not None:
            callback(list(offsetRanges), None)


def _same(thing: Any) -> Any:
    return thing


class KafkaUtils:
    """Streams and RDDs of Kafka's records."""

    @staticmethod
    def createDirectStream(
        ssc: StreamingContext,
        topics: Sequence[str] | None,
        kafkaParams: Mapping[str, Any],
        fromOffsets: Mapping[TopicAndPartition, int] | None = None,
        keyDecoder: Decoder = utf8_decoder,
        valueDecoder: Decoder = utf8_decoder,
        messageHandler: Handler | None = None,
        *,
        subscribePattern: str | None = None,
        assign: Sequence[TopicAndPartition] | None = None,
    ) -> KafkaDStream:
        """Read topics of Kafka, each record once.

        Parameters
        ----------
        ssc : StreamingContext
            The context.
        topics : list of str
            Names of the topics; None where `subscribePattern` or `assign` is given.
        kafkaParams : dict
            Properties of a Kafka consumer: ``bootstrap.servers`` (or the old ``metadata.broker.list``),
            ``auto.offset.reset`` (``earliest``, ``latest``, ``none``, or the old ``smallest`` and ``largest``; the
            default is ``latest``), ``group.id``, ``security.protocol`` and so on. ``failOnDataLoss`` and the other
            options of Spark's Kafka source may stand there too.
        fromOffsets : dict of TopicAndPartition to int, optional
            Where to begin, for programs that keep offsets themselves. Then these partitions are read, and no others,
            as on the old engine.
        keyDecoder, valueDecoder : callable
            Bytes or None to anything.
        messageHandler : callable, optional
            Makes a record of a KafkaMessageAndMetadata, which has topic, partition, offset, timestamp and headers too.
        subscribePattern : str, optional
            A (Java) regular expression; topics whose whole name it matches are read, new ones too.
        assign : list of TopicAndPartition, optional
            These partitions only.

        Returns
        -------
        KafkaDStream[tuple[K, V]]
            Pairs of key and value, or what the handler gives; a partition of the RDD for each partition of a topic
            that has something new.

        Raises
        ------
        DStreamTypeError, DStreamValueError
            If an argument cannot be meant.

        Notes
        -----
        With a checkpoint directory a program goes on where its last committed batch ended. Without one it begins at
        `fromOffsets`, else where its consumer group (``group.id``) has committed, else at ``auto.offset.reset``.
        ``start()`` asks the brokers and fails if none answers within 30 s (``default.api.timeout.ms``). Later the
        program waits for brokers that are away.
        """
        op = "createDirectStream"
        chosen = _topics(op, topics, subscribePattern, assign)
        parameters = ConsumerParameters.parse(op, kafkaParams, _setting(ssc._sc, SERVERS))
        begin = _offsets(op, fromOffsets)
        if begin:
            if chosen.topics and {topic for topic, _ in begin} != set(chosen.topics):
                raise DStreamValueError(
                    f"The specified topics: {' '.join(sorted(chosen.topics))} do not equal to the topic from offsets: "
                    f"{' '.join(sorted({topic for topic, _ in begin}))}"
                )
            chosen = Topics(chosen.topics, partitions=sorted(begin))
        commits = parameters.auto_commit or _setting(ssc._sc, COMMIT) == "true"
        if commits and parameters.group is None:
            raise DStreamValueError(f"{op}: there is no group to commit offsets to; give 'group.id' in kafkaParams")
        decoder = _decoder(op, keyDecoder, valueDecoder, messageHandler)
        source = KafkaSource(op, chosen, parameters, begin, decoder, _rate(ssc), commits)
        return KafkaDStream(ssc._builder.source(op, source), ssc)

    @staticmethod
    def createStream(
        ssc: StreamingContext,
        zkQuorum: str | None,
        groupId: str,
        topics: Mapping[str, int],
        kafkaParams: Mapping[str, Any] | None = None,
        storageLevel: StorageLevel = StorageLevel.MEMORY_AND_DISK_2,
        keyDecoder: Decoder = utf8_decoder,
        valueDecoder: Decoder = utf8_decoder,
    ) -> KafkaDStream:
        """Read topics of Kafka as a member of a consumer group, which begins where the group has ended.

        Parameters
        ----------
        ssc : StreamingContext
            The context.
        zkQuorum : str
            Not used: Kafka has no ZooKeeper any more. The brokers are ``bootstrap.servers`` in `kafkaParams`, or the
            setting ``spark.streaming.dstreams.kafka.bootstrap.servers``.
        groupId : str
            Name of the group. Its offsets are committed after each batch.
        topics : dict of str to int
            Names of the topics; the numbers (of threads) are not used.
        kafkaParams : dict, optional
            As for :meth:`createDirectStream`; for a group without offsets ``auto.offset.reset`` is ``latest``.
        storageLevel : pyspark.StorageLevel
            Accepted for compatibility.
        keyDecoder, valueDecoder : callable
            Bytes or None to anything.

        Returns
        -------
        KafkaDStream[tuple[K, V]]

        Notes
        -----
        There is no receiver: it reads as :meth:`createDirectStream` does, and has the same guarantees.
        """
        op = "createStream"
        if not isinstance(topics, Mapping):
            raise DStreamTypeError(f"topics should be dict, got {type(topics).__name__}")
        if not isinstance(groupId, str) or not groupId:
            raise DStreamTypeError(f"{op}: groupId must be a str, got {groupId!r}")
        chosen = _topics(op, list(topics), None, None)
        advice = f"zkQuorum={zkQuorum!r}: {TABLE['KafkaUtils.createStream(zkQuorum)'].sentence}"
        given = {} if kafkaParams is None else kafkaParams
        parameters = ConsumerParameters.parse(op, given, _setting(ssc._sc, SERVERS), groupId, advice)
        decoder = _decoder(op, keyDecoder, valueDecoder, None)
        source = KafkaSource(op, chosen, parameters, {}, decoder, _rate(ssc), True)
        return KafkaDStream(ssc._builder.source(op, source), ssc)

    @staticmethod
    def createRDD(
        sc: SparkContext,
        kafkaParams: Mapping[str, Any],
        offsetRanges: list[OffsetRange],
        leaders: Mapping[TopicAndPartition, Broker] | None = None,
        keyDecoder: Decoder = utf8_decoder,
        valueDecoder: Decoder = utf8_decoder,
        messageHandler: Handler | None = None,
    ) -> KafkaRDD:
        """Read ranges of offsets, each a partition of an RDD.

        Parameters
        ----------
        sc : SparkContext
            The context.
        kafkaParams : dict
            As for :meth:`createDirectStream`.
        offsetRanges : list of OffsetRange
            What to read.
        leaders : dict of TopicAndPartition to Broker, optional
            Not used: the brokers are asked.
        keyDecoder, valueDecoder, messageHandler : callable
            As for :meth:`createDirectStream`.

        Returns
        -------
        KafkaRDD[tuple[K, V]]
        """
        op = "createRDD"
        if not isinstance(offsetRanges, list):
            raise DStreamTypeError(f"offsetRanges should be list, got {type(offsetRanges).__name__}")
        for each in offsetRanges:
            if not isinstance(each, OffsetRange):
                raise DStreamTypeError(f"{op}: offsetRanges should be a list of OffsetRange, got {each!r}")
            if not 0 <= each.fromOffset <= each.untilOffset:
                raise DStreamValueError(f"{op}: {each} does not end after it begins")
        parameters = ConsumerParameters.parse(op, kafkaParams, _setting(sc, SERVERS))
        decoder = _decoder(op, keyDecoder, valueDecoder, messageHandler)
        return read_ranges(sc, op, parameters, offsetRanges, decoder)


def _topics(op: str, topics: Any, pattern: Any, assign: Any) -> Topics:
    if sum(given is not None for given in (topics or None, pattern, assign)) > 1:
        raise DStreamValueError(f"{op}: give one of topics, subscribePattern and assign")
    if pattern is not None:
        if not isinstance(pattern, str) or not pattern:
            raise DStreamTypeError(f"{op}: subscribePattern must be a str, got {pattern!r}")
        return Topics([], pattern=pattern)
    if assign is not None:
        if not isinstance(assign, list | tuple) or not all(isinstance(part, TopicAndPartition) for part in assign):
            raise DStreamTypeError(f"{op}: assign must be a list of TopicAndPartition, got {assign!r}")
        if not assign:
            raise DStreamValueError(f"{op}: assign names no partition, so there is nothing to read")
        return Topics([], partitions=sorted({(part.topic, part.partition) for part in assign}))
    if not isinstance(topics, list | tuple | set):
        raise DStreamTypeError(f"topics should be list, got {type(topics).__name__}")
    for topic in topics:
        if not isinstance(topic, str) or not topic.strip():
            raise DStreamTypeError(f"{op}: topics should be a list of names, got {topic!r}")
    if not topics:
        raise DStreamValueError(f"{op}: there is no topic to read")
    return Topics(sorted(set(topics)))


def _offsets(op: str, given: Any) -> dict[tuple[str, int], int]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise DStreamTypeError(f"{op}: fromOffsets should be dict, got {type(given).__name__}")
    found = {}
    for part, offset in given.items():
        if not isinstance(part, TopicAndPartition):
            raise DStreamTypeError(f"{op}: fromOffsets should map TopicAndPartition to offsets, got {part!r}")
        if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
            raise DStreamValueError(f"{op}: the offset of {part} must be a number from 0, got {offset!r}")
        found[part.topic, part.partition] = offset
    return found


def _decoder(op: str, key: Any, value: Any, handler: Any) -> KafkaDecoder:
    for name, function in (("keyDecoder", key), ("valueDecoder", value), ("messageHandler", handler)):
        if not callable(function) and not (name == "messageHandler" and function is None):
            raise DStreamTypeError(f"{op}: {name} must be a function, got {function!r}")
    return KafkaDecoder(key, value, handler)


def _setting(sc: SparkContext, key: str) -> str | None:
    found = settings(sc).get(key, None)
    return str(found) if found else None


def _rate(ssc: StreamingContext) -> float | None:
    """Records that a batch may take of each partition, from the old engine's settings; None without a limit."""
    conf = settings(ssc.sparkContext)

    def rate(key: str) -> float:
        text = conf.get(key, "0")
        try:
            return float(text or 0)
        except ValueError:
            raise DStreamValueError(f"{key} must be a number of records per second, got {text!r}") from None

    limit = rate("spark.streaming.kafka.maxRatePerPartition")
    if limit <= 0 and str(conf.get("spark.streaming.backpressure.enabled", "false")).lower() == "true":
        limit = rate("spark.streaming.backpressure.initialRate")
    if limit <= 0:
        return None
    return max(limit, rate("spark.streaming.kafka.minRatePerPartition")) * ssc._builder.interval_ms / 1000
