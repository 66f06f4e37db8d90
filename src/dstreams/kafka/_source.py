"""Topics of Kafka, on Structured Streaming's own source, which keeps the offsets in the query's offset log."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark import RDD
from pyspark.sql import DataFrame, SparkSession

from dstreams._sources.decoder import Decoder, utf8_decoder
from dstreams._sources.source import NativeSource, Read
from dstreams._sources.start import Start
from dstreams._spark.rdd import parts_of
from dstreams.errors import DStreamStateError
from dstreams.kafka._cluster import KafkaCluster, check_jars
from dstreams.kafka._commits import Committer
from dstreams.kafka._parameters import ConsumerParameters
from dstreams.kafka._records import (
    KafkaMessageAndMetadata,
    OffsetRange,
    Offsets,
    offsets_text,
    parse_offsets,
    ranges_between,
)

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

__all__ = ["KafkaDecoder", "KafkaRDD", "KafkaSource", "Topics"]

log = logging.getLogger("dstreams")

_RETRIES = 30
"""How often Spark asks brokers that do not answer, a minute each time, before the query ends."""
_GONE = re.compile("UnknownTopicOrPartition|KAFKA_DATA_LOSS|failOnDataLoss|OffsetOutOfRange|may have been lost")


class KafkaRDD(RDD[Any]):
    """Records of a batch, or of ranges of offsets, and the ranges that they are.

    Parameters
    ----------
    jrdd, ctx, jrdd_deserializer
        As an RDD has them.
    ranges : callable
        Gives the ranges; called when they are first asked for.
    """

    def __init__(self, jrdd: Any, ctx: Any, jrdd_deserializer: Any, ranges: Callable[[], list[OffsetRange]]) -> None:
        super().__init__(jrdd, ctx, jrdd_deserializer)
        self._ranges = ranges
        self._known: list[OffsetRange] | None = None

    def offsetRanges(self) -> list[OffsetRange]:
        """Return the ranges of offsets that the records are.

        Returns
        -------
        list of OffsetRange
            The first ones are those of the RDD's partitions, in their order; after them come the partitions of the
            topics that have nothing new, each with an empty range.
        """
        if self._known is None:
            self._known = self._ranges()
        return list(self._known)


class KafkaDecoder:
    """Arrow batches of Kafka's records to what the program gets.

    Parameters
    ----------
    key, value : callable
        Bytes or None to anything.
    handler : callable, optional
        Gets a KafkaMessageAndMetadata; without one, records are pairs of key and value.
    """

    def __init__(self, key: Decoder, value: Decoder, handler: Callable[[KafkaMessageAndMetadata], Any] | None) -> None:
        self._key = key
        self._value = value
        self._handler = handler

    @property
    def columns(self) -> list[str]:
        """Columns of Spark's source that are needed, in their order."""
        pair = ["key", "value"]
        everything = [*pair, "topic", "partition", "offset", "unix_millis(timestamp)", "headers"]
        return pair if self._handler is None else everything

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Any]:
        """Yield the records."""
        for batch in batches:
            if self._handler is None:
                yield from zip(
                    _decoded(batch.column(0), self._key), _decoded(batch.column(1), self._value), strict=True
                )
            else:
                for message in self._messages(batch):
                    yield self._handler(message)

    def _messages(self, batch: pa.RecordBatch) -> Iterator[KafkaMessageAndMetadata]:
        keys, values, topics, partitions, offsets, times, headers = (column.to_pylist() for column in batch.columns)
        rows = zip(topics, partitions, offsets, keys, values, times, headers, strict=True)
        for topic, partition, offset, key, value, time, given in rows:
            pairs = [(header["key"], header["value"]) for header in given or ()]
            message = KafkaMessageAndMetadata(topic, partition, offset, key, value, time, pairs)
            message._set_key_decoder(self._key)
            message._set_value_decoder(self._value)
            yield message


def _decoded(column: pa.Array, decoder: Decoder) -> Collection[Any]:
    if decoder is utf8_decoder:
        try:
            found: list[Any] = column.cast(pa.string()).to_pylist()
        except pa.ArrowInvalid:  # some value is no UTF-8: raise what the decoder raises
            pass
        else:
            return found
    return [decoder(value) for value in column.to_pylist()]


class Topics:
    """What a stream reads: whole topics, topics by a pattern, or given partitions.

    Parameters
    ----------
    topics : list of str
        Names.
    pattern : str, optional
        A (Java) regular expression for names.
    partitions : list of tuple of str and int, optional
        These partitions only.
    """

    def __init__(
        self, topics: list[str], pattern: str | None = None, partitions: list[tuple[str, int]] | None = None
    ) -> None:
        self.topics = topics
        self.pattern = pattern
        self.only = partitions

    def __str__(self) -> str:
        if self.pattern is not None:
            return f"pattern {self.pattern}"
        if self.only is not None:
            return ", ".join(f"{topic}[{number}]" for topic, number in self.only)
        return ", ".join(self.topics)

    def option(self) -> tuple[str, str]:
        """Option of Spark's source, and its value."""
        if self.only is not None:
            numbers: dict[str, list[int]] = {}
            for topic, number in self.only:
                numbers.setdefault(topic, []).append(number)
            return "assign", json.dumps(numbers)
        # Not "subscribe": that ends the query when a topic is deleted, whatever failOnDataLoss says.
        pattern = self.pattern or "|".join(f"\\Q{topic}\\E" for topic in self.topics)
        return "subscribePattern", f"^(?:{pattern})$"  # Spark looks for it anywhere in the name

    def partitions(self, cluster: KafkaCluster) -> list[tuple[str, int]]:
        """Partitions that there are now."""
        if self.pattern is not None:
            return cluster.partitions(cluster.topics(self.pattern))
        if self.only is None:
            return cluster.partitions(self.topics)
        there = set(cluster.partitions({topic for topic, _ in self.only}))
        missing = [part for part in self.only if part not in there]
        if missing:
            raise DStreamStateError(f"the topics have no partitions {missing}; they have {sorted(there)}")
        return self.only


class KafkaSource(NativeSource):
    """Records of topics.

    Parameters
    ----------
    op : str
        The operation that made it.
    topics : Topics
        What is read.
    parameters : ConsumerParameters
        How.
    begin : dict of tuple of str and int to int
        Offsets at which partitions begin.
    decode : KafkaDecoder
        What becomes of a record.
    rate : float, optional
        Records that a batch may take of one partition, on average.
    commits : bool
        Whether offsets are committed to the consumer group after each batch.
    """

    decode: KafkaDecoder

    def __init__(
        self,
        op: str,
        topics: Topics,
        parameters: ConsumerParameters,
        begin: Offsets,
        decode: KafkaDecoder,
        rate: float | None,
        commits: bool,
    ) -> None:
        self.op = op
        self.decode = decode
        self.commits = commits
        self._topics = topics
        self._parameters = parameters
        self._begin = begin
        self._rate = rate
        self.committer = Committer(op, parameters)

    def describe(self) -> str:
        """Name of the operation with the topics."""
        return f"KafkaUtils.{self.op}({self._topics})"

    def announce(self, sc: SparkContext) -> str | None:
        """Say where it reads."""
        return f"{self.describe()}: from {self._parameters.servers}"

    def frame(self, session: SparkSession, start: Start) -> DataFrame:
        """Streaming frame of records.

        A first start asks the brokers where partitions begin and end, so that "latest" is what is latest now, and not
        what will be when Spark asks; a restart goes on with the offset log and asks nobody.
        """
        sc = session.sparkContext
        check_jars(sc, self.op)
        options = dict([self._topics.option()])
        options["includeHeaders"] = str("headers" in self.decode.columns).lower()
        if start.position is None or self._rate is not None:
            with KafkaCluster(sc, self.op, self._parameters) as cluster:
                partitions = self._topics.partitions(cluster)
                if start.position is None:
                    options["startingOffsets"] = offsets_text(self._starts(cluster, partitions))
            if self._rate is not None:
                options["maxOffsetsPerTrigger"] = str(max(1, int(self._rate * max(1, len(partitions)))))
        options["fetchOffset.numRetries"] = str(_RETRIES)
        options |= self._parameters.source_options()
        frame = session.readStream.format("kafka").options(**options).load()
        return frame.selectExpr(*self.decode.columns)

    def _starts(self, cluster: KafkaCluster, partitions: list[tuple[str, int]]) -> Offsets:
        """Where each partition begins: as the program says, as its consumer group has committed, or at an end."""
        group, reset = self._parameters.group, self._parameters.reset
        first, last = (cluster.ends(partitions, which) for which in ("earliest", "latest"))
        found = {part: offset for part, offset in self._begin.items() if part in first}
        wrong = {part: offset for part, offset in found.items() if not first[part] <= offset <= last[part]}
        if wrong and self._parameters.options.get("failOnDataLoss") != "false":
            listed = "; ".join(
                f"{topic}[{number}] at {offset}, and there is {first[topic, number]} to {last[topic, number]}"
                for (topic, number), offset in wrong.items()
            )
            raise DStreamStateError(
                f"{self.op}: fromOffsets are not in the topics ({listed}). What is before them was deleted, or the "
                "offsets are of another topic. Nothing was started. Give offsets that are there, or "
                "'failOnDataLoss': 'false' in kafkaParams to go on with what there is."
            )
        rest = [part for part in partitions if part not in found]
        if group is not None and rest:
            for part, offset in cluster.committed(group, rest).items():
                if first[part] <= offset <= last[part]:
                    found[part] = offset
                else:
                    log.warning(
                        "%s: the group %s has committed offset %d of %s[%d], which has %d to %d; beginning at the %s",
                        self.describe(), group, offset, *part, first[part], last[part], reset,
                    )  # fmt: skip
        rest = [part for part in partitions if part not in found]
        if rest and reset == "none":
            raise DStreamStateError(
                f"{self.op}: auto.offset.reset is 'none', and the group {group} has no offsets of "
                f"{', '.join(f'{topic}[{number}]' for topic, number in rest)}. Give fromOffsets, or 'earliest' or "
                "'latest'."
            )
        return found | {part: (first if reset == "earliest" else last)[part] for part in rest}

    def hand_over(self, rdd: RDD[Any], read: Read) -> RDD[Any]:
        """Give the program an RDD that knows its offsets."""

        def ranges() -> list[OffsetRange]:
            known = ranges_between(*map(parse_offsets, read.span()))
            return [*map(_range_of, read.inputs()), *(each for each in known if not each.count())]

        return KafkaRDD(*parts_of(rdd), ranges)

    def fed(self, rdd: RDD[Any], span: Callable[[], tuple[int, int]]) -> RDD[Any]:
        """Count the records as if they were those of one partition."""
        topic = next(iter(self._topics.topics), self._topics.pattern or "topic")
        return KafkaRDD(*parts_of(rdd), lambda: [OffsetRange(topic, 0, *span())])

    def first_offset(self, entry: str) -> str | None:
        """Read the entry: a zero byte, the version, and the offsets."""
        return entry.partition("\n")[2] if entry.startswith("\0") else None

    def completed(self, sc: SparkContext, read: Read) -> None:
        """Commit the offsets of a batch to the consumer group, where the program wants that."""
        if self.commits:
            before, at = map(parse_offsets, read.span())
            if new := {part: offset for part, offset in at.items() if before.get(part) != offset}:
                self.committer.commit(sc, new)

    def input_info(self, read: Read) -> tuple[int, str] | None:
        """Count of the records, and the ranges in the old engine's words."""
        ranges = ranges_between(*map(parse_offsets, read.span()))
        lines = [
            f"topic: {each.topic}\tpartition: {each.partition}\toffsets: {each.fromOffset} to {each.untilOffset}"
            for each in ranges
        ]
        return sum(each.count() for each in ranges), "\n".join(lines)

    def explain(self, failure: str) -> str | None:
        """Say what to do about records that are gone, and about brokers that do not answer."""
        first = next((line for line in failure.splitlines() if _GONE.search(line)), None)
        if first is not None:
            return (
                f"{self.describe()}: what it has to read is not there any more; a topic was deleted or made anew, or "
                "its records were deleted before the program came to them. Nothing more is read, so that nothing is "
                "skipped in silence. To go on with what there is, give 'failOnDataLoss': 'false' in kafkaParams. "
                f"Kafka says: {_clause(first)}"
            )
        if re.search(r"kafka\S*TimeoutException", failure):
            return (
                f"{self.describe()}: the brokers at {self._parameters.servers} have not answered for too long. "
                "Start the program again when they do: with a checkpoint directory it goes on where it was."
            )
        return None

    def waits(self, status: str) -> str | None:
        """Say that the brokers do not answer."""
        if not status.startswith("Getting offsets from Kafka"):
            return None
        return f"{self.describe()}: waiting for the brokers at {self._parameters.servers}, which do not answer"

    def close(self) -> None:
        """Wait for commits that are under way."""
        self.committer.close()


def _clause(text: str) -> str:
    """Shorten what Spark says to the part that matters."""
    return text.rpartition("terminated with exception: ")[2].strip()[:500]


def _range_of(planned: JavaObject) -> OffsetRange:
    """Range of what Spark's source has planned for a partition."""
    found = planned.offsetRange()
    part = found.topicPartition()
    return OffsetRange(part.topic(), part.partition(), found.fromOffset(), found.untilOffset())
