"""Questions to a Kafka cluster, and offsets of consumer groups, with the Java client that Spark's connector brings."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyspark
from py4j.protocol import Py4JJavaError

from dstreams._compatibility import KAFKA_PACKAGE
from dstreams._spark.jvm import java_in, jvm_of
from dstreams._spark.kafka import has_connector
from dstreams.errors import DStreamStateError, DStreamValueError
from dstreams.kafka._parameters import ConsumerParameters
from dstreams.kafka._records import Offsets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

__all__ = ["KafkaCluster", "check_jars", "kafka_package"]

_WAIT_MS = 30_000
"""How long an answer may take if the program does not say (``default.api.timeout.ms``), in ms."""


def kafka_package(version: str = pyspark.__version__) -> str:
    """Maven coordinates of Spark's Kafka connector.

    Parameters
    ----------
    version : str
        Version of Spark; by default that of the installed PySpark.
    """
    return f"{KAFKA_PACKAGE}:{version}"


def check_jars(sc: SparkContext, op: str) -> None:
    """See that Spark's Kafka connector is there.

    Raises
    ------
    DStreamStateError
        If not, with the command line that brings it.
    """
    if not has_connector(sc):
        package = kafka_package(sc.version.split("-")[0])
        raise DStreamStateError(
            f"{op}: Spark's Kafka connector is not on the class path. Start the program with\n"
            f"    spark-submit --packages {package} ...\n"
            f"or, where nothing can be downloaded at the start, with the jars of {package} and of what it depends "
            "on (kafka-clients, spark-token-provider-kafka-0-10, commons-pool2):\n"
            "    spark-submit --jars spark-sql-kafka-0-10_2.13.jar,kafka-clients.jar,... ...\n"
            "A program that makes its own SparkContext can call dstreams.kafka.with_kafka(conf) before it does."
        )


class KafkaCluster:
    """A connection for questions; a context manager that closes it.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    op : str
        The operation, for messages.
    parameters : ConsumerParameters
        Brokers, and how to talk to them.
    """

    def __init__(self, sc: SparkContext, op: str, parameters: ConsumerParameters) -> None:
        self._jvm = jvm_of(sc)
        self._op = op
        self._parameters = parameters
        properties = self._jvm.java.util.Properties()
        properties.setProperty("default.api.timeout.ms", str(_WAIT_MS))
        properties.setProperty("request.timeout.ms", str(_WAIT_MS // 2))
        for key, value in parameters.client.items():
            properties.setProperty(key, value)
        with self._clear():
            self._admin = self._jvm.org.apache.kafka.clients.admin.AdminClient.create(properties)

    def close(self) -> None:
        """Close the connection."""
        self._admin.close(self._jvm.java.time.Duration.ofMillis(1000))

    def __enter__(self) -> KafkaCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def topics(self, pattern: str) -> list[str]:
        """Topics whose whole name a (Java) regular expression matches."""
        with self._clear():
            names = list(self._admin.listTopics().names().get())
        compiled = self._jvm.java.util.regex.Pattern.compile(pattern)
        return sorted(name for name in names if compiled.matcher(name).matches())

    def partitions(self, topics: Collection[str]) -> list[tuple[str, int]]:
        """Partitions of topics.

        Raises
        ------
        DStreamValueError
            If there is no such topic.
        """
        found: list[tuple[str, int]] = []
        described = self._admin.describeTopics(self._list(sorted(topics))).topicNameValues()
        for topic in sorted(topics):
            try:
                with self._clear():
                    parts = described[topic].get().partitions()
            except _NoSuchTopic:
                raise DStreamValueError(
                    f"{self._op}: Error getting partition metadata for {topic!r}. Does the topic exist? The brokers "
                    f"at {self._parameters.servers} have none of that name. Make it first, or mend the name."
                ) from None
            found += [(topic, part.partition()) for part in parts]
        return found

    def ends(self, partitions: Collection[tuple[str, int]], reset: str) -> Offsets:
        """First (``earliest``) or next (``latest``) offset of each partition."""
        spec = self._jvm.org.apache.kafka.clients.admin.OffsetSpec
        which = spec.earliest() if reset == "earliest" else spec.latest()
        asked = java_in(self._jvm, "java.util.HashMap")()
        for part in partitions:
            asked.put(self._partition(part), which)
        with self._clear():
            found = self._admin.listOffsets(asked).all().get()
            return {(key.topic(), key.partition()): value.offset() for key, value in found.items()}

    def committed(self, group: str, partitions: Collection[tuple[str, int]]) -> Offsets:
        """Return the offsets that a consumer group has committed, of those of the partitions where it has any."""
        with self._clear():
            found = self._admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()
            offsets = {
                (key.topic(), key.partition()): value.offset() for key, value in found.items() if value is not None
            }
        return {part: offset for part, offset in offsets.items() if part in partitions}

    def commit(self, group: str, offsets: Offsets) -> None:
        """Let a consumer group go on from offsets."""
        metadata = java_in(self._jvm, "org.apache.kafka.clients.consumer.OffsetAndMetadata")
        asked = java_in(self._jvm, "java.util.HashMap")()
        for part, offset in offsets.items():
            asked.put(self._partition(part), metadata(offset))
        with self._clear():
            self._admin.alterConsumerGroupOffsets(group, asked).all().get()

    def _partition(self, part: tuple[str, int]) -> JavaObject:
        return java_in(self._jvm, "org.apache.kafka.common.TopicPartition")(part[0], int(part[1]))

    def _list(self, items: Collection[str]) -> JavaObject:
        found = java_in(self._jvm, "java.util.ArrayList")()
        for item in items:
            found.add(item)
        return found

    @contextmanager
    def _clear(self) -> Iterator[None]:
        """Turn what the client raises into an error that says what to do."""
        try:
            yield
        except Py4JJavaError as error:
            raise self._translated(error.java_exception) from None

    def _translated(self, error: JavaObject) -> Exception:
        names, texts = [], []
        while error is not None:
            names.append(error.getClass().getSimpleName())
            texts.append(str(error.getMessage()))
            error = error.getCause()
        if any(re.search("UnknownTopicOrPartition|InvalidTopic", name) for name in names):
            return _NoSuchTopic()
        servers = self._parameters.servers
        for pattern, meaning in _MEANINGS.items():
            if any(re.search(pattern, name) for name in names):
                return DStreamStateError(f"{self._op}: {meaning.format(servers=servers, text=texts[-1])}")
        return DStreamStateError(f"{self._op}: the brokers at {servers} answered {names[-1]}: {texts[-1]}")


class _NoSuchTopic(Exception):
    """A topic is not there."""


_MEANINGS = {
    "Authentication|SaslException|SslException|LoginException": (
        "the brokers at {servers} refused to let this program in ({text}). See security.protocol, sasl.* and ssl.* in "
        "kafkaParams."
    ),
    "Authorization": "the brokers at {servers} do not allow that ({text}). Ask for the permission.",
    "Timeout": (
        "no broker answers at {servers}. Nothing was started. See that Kafka runs there and that bootstrap.servers "
        "and security.protocol in kafkaParams are right; 'default.api.timeout.ms' there says how long to wait."
    ),
    "ConfigException": "kafkaParams cannot be right: {text}",
}
"""What the names of the client's exceptions mean."""
