"""What programs know of Kafka: topics and their partitions, ranges of offsets, records with all that they carry."""

from __future__ import annotations

import json
from typing import Any

from dstreams._sources.decoder import Decoder, utf8_decoder

__all__ = ["Broker", "KafkaMessageAndMetadata", "OffsetRange", "TopicAndPartition"]


class TopicAndPartition:
    """A partition of a topic.

    Parameters
    ----------
    topic : str
        Name of the topic.
    partition : int
        Number of the partition.
    """

    def __init__(self, topic: str, partition: int) -> None:
        self._topic = topic
        self._partition = partition

    @property
    def topic(self) -> str:
        """Name of the topic."""
        return self._topic

    @property
    def partition(self) -> int:
        """Number of the partition."""
        return self._partition

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TopicAndPartition) and self._pair() == other._pair()

    def __hash__(self) -> int:
        return hash(self._pair())

    def __repr__(self) -> str:
        return f"TopicAndPartition({self._topic!r}, {self._partition})"

    def _pair(self) -> tuple[str, int]:
        return self._topic, self._partition


class OffsetRange:
    """The records of one partition from one offset to before another.

    Parameters
    ----------
    topic : str
        Name of the topic.
    partition : int
        Number of the partition.
    fromOffset : int
        First offset.
    untilOffset : int
        Offset after the last one.
    """

    def __init__(self, topic: str, partition: int, fromOffset: int, untilOffset: int) -> None:
        self.topic = topic
        self.partition = partition
        self.fromOffset = fromOffset
        self.untilOffset = untilOffset

    def count(self) -> int:
        """Return the number of offsets."""
        return self.untilOffset - self.fromOffset

    def topicAndPartition(self) -> TopicAndPartition:
        """Return the partition."""
        return TopicAndPartition(self.topic, self.partition)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OffsetRange) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((self.topic, self.partition, self.fromOffset, self.untilOffset))

    def __repr__(self) -> str:
        return (
            f"OffsetRange(topic: {self.topic}, partition: {self.partition}, "
            f"range: [{self.fromOffset} -> {self.untilOffset}])"
        )


class Broker:
    """Address of a broker; accepted where the old API asks for one.

    Parameters
    ----------
    host : str
        Its host.
    port : int
        Its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def __repr__(self) -> str:
        return f"Broker({self.host!r}, {self.port})"


class KafkaMessageAndMetadata:
    """A record and where it comes from; what a ``messageHandler`` gets.

    Parameters
    ----------
    topic : str
        Name of the topic.
    partition : int
        Number of the partition.
    offset : int
        Its offset there.
    key, message : bytes or None
        Key and value as they were sent.
    timestamp : int
        When it was made or appended, in ms since the epoch; -1 where unknown.
    headers : list of tuple of str and bytes
        Its headers.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        offset: int,
        key: bytes | None,
        message: bytes | None,
        timestamp: int = -1,
        headers: list[tuple[str, bytes | None]] | None = None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
        self.headers = headers or []
        self._rawKey = key
        self._rawMessage = message
        self._keyDecoder: Decoder = utf8_decoder
        self._valueDecoder: Decoder = utf8_decoder

    def _set_key_decoder(self, decoder: Decoder) -> None:
        self._keyDecoder = decoder

    def _set_value_decoder(self, decoder: Decoder) -> None:
        self._valueDecoder = decoder

    @property
    def key(self) -> Any:
        """The key, decoded."""
        return self._keyDecoder(self._rawKey)

    @property
    def message(self) -> Any:
        """The value, decoded."""
        return self._valueDecoder(self._rawMessage)

    def __repr__(self) -> str:
        return f"KafkaMessageAndMetadata({self.topic}, {self.partition}, {self.offset})"


# ---------------------------------------------------------------------- offsets as Spark writes them

Offsets = dict[tuple[str, int], int]
"""An offset for each ``(topic, partition)``."""


def parse_offsets(text: str | None) -> Offsets:
    """Read ``{"topic": {"0": 12}}``; nothing where there is none."""
    topics = json.loads(text) if text else {}
    return {(topic, int(number)): offset for topic, parts in topics.items() for number, offset in parts.items()}


def offsets_text(offsets: Offsets) -> str:
    """Write what :func:`parse_offsets` reads."""
    topics: dict[str, dict[str, int]] = {}
    for (topic, partition), offset in sorted(offsets.items()):
        topics.setdefault(topic, {})[str(partition)] = offset
    return json.dumps(topics)


def ranges_between(before: Offsets, at: Offsets) -> list[OffsetRange]:
    """Ranges of a batch, by topic and partition; one that came up during the program begins at 0."""
    return [OffsetRange(*part, before.get(part, 0), until) for part, until in sorted(at.items())]
