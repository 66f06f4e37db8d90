"""The parameters of a Kafka consumer, old and new names, and what Spark's Kafka source makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dstreams.errors import DStreamTypeError, DStreamValueError

__all__ = ["ConsumerParameters"]

_RENAMED = {
    "metadata.broker.list": "bootstrap.servers",
    "fetch.message.max.bytes": "max.partition.fetch.bytes",
    "fetch.wait.max.ms": "fetch.max.wait.ms",
    "socket.receive.buffer.bytes": "receive.buffer.bytes",
}
"""Names of Kafka 0.8's consumers that later ones have under another name."""
_RESET = {"smallest": "earliest", "largest": "latest", "earliest": "earliest", "latest": "latest", "none": "none"}
_NOT_OURS = {
    # Of consumers that balance themselves with ZooKeeper, which there are no more.
    "zookeeper.connect", "zookeeper.connection.timeout.ms", "zookeeper.session.timeout.ms", "zookeeper.sync.time.ms",
    "auto.commit.enable", "auto.commit.interval.ms", "offsets.storage", "dual.commit.enabled", "consumer.timeout.ms",
    "num.consumer.fetchers", "queued.max.message.chunks", "rebalance.max.retries", "rebalance.backoff.ms",
    "refresh.leader.backoff.ms", "socket.timeout.ms", "auto.create.topics", "consumer.id",
    # Spark hands bytes to the decoders, and says itself from where to read.
    "key.deserializer", "value.deserializer", "enable.auto.commit", "interceptor.classes",
    "auto.offset.reset", "group.id",
}  # fmt: skip
_OF_SPARK = {
    option.lower(): option
    for option in (
        "failOnDataLoss", "minPartitions", "maxRecordsPerPartition", "maxOffsetsPerTrigger", "minOffsetsPerTrigger",
        "maxTriggerDelay", "fetchOffset.numRetries", "fetchOffset.retryIntervalMs", "kafkaConsumer.pollTimeoutMs",
        "groupIdPrefix",
    )
}  # fmt: skip
"""Options of Spark's source that may stand among the parameters."""
_ADVICE = (
    "kafkaParams must name the brokers: {'bootstrap.servers': 'host:9092,...'} (or the old 'metadata.broker.list')"
)
_SECRET = ("password", "secret", "jaas", "token", "key.pem", "credentials")


@dataclass(frozen=True)
class ConsumerParameters:
    """Parameters of one stream.

    Attributes
    ----------
    client : dict of str to str
        Properties of Kafka's clients, under today's names.
    options : dict of str to str
        Options of Spark's source.
    reset : str
        Where a partition begins for which nothing else says: ``earliest``, ``latest``, or ``none`` for an error.
    group : str or None
        Consumer group whose offsets count and are committed.
    auto_commit : bool
        Whether offsets are committed after each batch.
    """

    client: dict[str, str]
    options: dict[str, str]
    reset: str
    group: str | None
    auto_commit: bool

    @classmethod
    def parse(
        cls, op: str, parameters: Any, servers: str | None = None, group: str | None = None, advice: str = _ADVICE
    ) -> ConsumerParameters:
        """Read what a program gives.

        Parameters
        ----------
        op : str
            The operation, for messages.
        parameters : dict of str to object
            ``kafkaParams``.
        servers : str, optional
            Brokers where the parameters name none.
        group : str, optional
            The consumer group, whatever the parameters say.
        advice : str
            What to say where there are no brokers.

        Raises
        ------
        DStreamTypeError, DStreamValueError
            If something cannot be meant; secrets are not shown.
        """
        if not isinstance(parameters, Mapping):
            raise DStreamTypeError(f"{op}: kafkaParams should be dict, got {type(parameters).__name__}")
        given: dict[str, str] = {}
        for name, value in parameters.items():
            if not isinstance(name, str) or not isinstance(value, str | int | float | bool):
                raise DStreamTypeError(
                    f"{op}: kafkaParams should map names to texts or numbers, but {name!r} has a {type(value).__name__}"
                )
            text = str(value).lower() if isinstance(value, bool) else str(value)
            name = name.removeprefix("kafka.")
            given[_RENAMED.get(name, name)] = text
        if servers and not given.get("bootstrap.servers"):
            given["bootstrap.servers"] = servers
        if not given.get("bootstrap.servers"):
            raise DStreamValueError(f"{op}: {advice}")
        reset = given.get("auto.offset.reset", "latest")
        if reset not in _RESET:
            raise DStreamValueError(
                f"{op}: auto.offset.reset must be 'earliest' or 'latest' (the old 'smallest' and 'largest'), or "
                f"'none', got {reset!r}"
            )
        return cls(
            {key: value for key, value in given.items() if key not in _NOT_OURS and key.lower() not in _OF_SPARK},
            {_OF_SPARK[key.lower()]: value for key, value in given.items() if key.lower() in _OF_SPARK},
            _RESET[reset],
            group or given.get("group.id") or None,
            given.get("enable.auto.commit") == "true",
        )

    @property
    def servers(self) -> str:
        """The brokers."""
        return self.client["bootstrap.servers"]

    def source_options(self) -> dict[str, str]:
        """Options of Spark's source."""
        options = {f"kafka.{key}": value for key, value in self.client.items()}
        if self.group:
            # So that a permission for the group and what begins with its name is enough.
            options["groupIdPrefix"] = self.group
        return options | self.options

    def __repr__(self) -> str:
        shown = {k: "..." if any(word in k for word in _SECRET) else v for k, v in self.client.items()}
        return f"ConsumerParameters({shown})"
