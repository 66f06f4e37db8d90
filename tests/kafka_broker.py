"""A real Kafka broker in a process of its own, and a client that fills it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyspark
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

JARS = Path(__file__).resolve().parent.parent / ".jars"
CONNECTOR = max(JARS.glob(f"connector-{pyspark.__version__[:3]}.*"), default=JARS / "connector")
"""Of this Spark's own version where it has been fetched; that of the newest runs on others too, but not on 4.1."""
USER, PASSWORD = "alice", "open-sesame-1"

_SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SASL_PLAINTEXT://127.0.0.1:{sasl}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
log.dirs={folder}/data
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
message.max.bytes=20000000
log.retention.check.interval.ms=500
file.delete.delay.ms=0
"""


class Broker:
    """One broker, which is its own controller; a context manager that ends it.

    Parameters
    ----------
    folder : Path
        Where it keeps its files.
    """

    def __init__(self, folder: Path) -> None:
        assert any(JARS.glob("broker/kafka_2.13-*.jar")), "the jars of Kafka are not there: run `make jars`"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        plain, controller, sasl = _free_ports(3)
        self.servers = f"127.0.0.1:{plain}"
        self.sasl_servers = f"127.0.0.1:{sasl}"
        self._settings = folder / "server.properties"
        self._settings.write_text(
            _SETTINGS.format(plain=plain, controller=controller, sasl=sasl, folder=folder, user=USER, password=PASSWORD)
        )

    def __enter__(self) -> Broker:
        self._java("kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", str(self._settings)).wait(
            60
        )
        self.start()
        self._admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        self._producer = Producer(
            {"bootstrap.servers": self.servers, "log_level": 0, "message.max.bytes": 20_000_000, "linger.ms": 0}
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = self._java("kafka.Kafka", str(self._settings))
        deadline = time.monotonic() + 90
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        while True:
            assert self._process.poll() is None, (self._folder / "broker.log").read_text()[-3000:]
            try:
                admin.list_topics(timeout=1)
                return
            except Exception:
                assert time.monotonic() < deadline, "the broker does not answer"

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; what it has stays for the next start."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    def topic(self, partitions: int = 1, prefix: str = "t") -> str:
        """Make a topic with a name of its own."""
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        self._admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
        self._settle(lambda: len(self._partitions(name)) == partitions)
        return name

    def grow(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions."""
        self._admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(30)
        self._settle(lambda: len(self._producer.list_topics(topic, 30).topics[topic].partitions) == partitions)

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        self._admin.delete_topics([topic])[topic].result(30)
        self._settle(lambda: not self._partitions(topic))

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete the records before an offset, as retention does."""
        part = TopicPartition(topic, partition, offset)
        for future in self._admin.delete_records([part]).values():
            future.result(30)

    def send(self, topic: str, records: Iterable[Any], partition: int | None = None) -> None:
        """Send values, or pairs of key and value, or triples with headers; returns when the broker has them."""
        for record in records:
            key, value, headers = (*record, None)[:3] if isinstance(record, tuple) else (None, record, None)
            where = {} if partition is None else {"partition": partition}
            while True:
                try:
                    self._producer.produce(topic, value, key, headers=headers, on_delivery=_delivered, **where)
                    break
                except BufferError:
                    self._producer.poll(0.1)
        assert self._producer.flush(60) == 0

    def committed(self, group: str, topic: str, partitions: int = 1) -> list[int]:
        """Offsets that a group has committed; -1001 where it has none."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group, "log_level": 0})
        try:
            parts = [TopicPartition(topic, number) for number in range(partitions)]
            return [part.offset for part in consumer.committed(parts, timeout=30)]
        finally:
            consumer.close()

    def commit(self, group: str, topic: str, offsets: dict[int, int]) -> None:
        """Commit offsets for a group."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group, "log_level": 0})
        try:
            parts = [TopicPartition(topic, number, offset) for number, offset in offsets.items()]
            consumer.commit(offsets=parts, asynchronous=False)
        finally:
            consumer.close()

    def _partitions(self, topic: str) -> dict[int, Any]:
        found = self._admin.list_topics(timeout=30).topics.get(topic)
        return {} if found is None else found.partitions

    @staticmethod
    def _settle(done: Any) -> None:
        deadline = time.monotonic() + 30
        while not done():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _java(self, *command: str) -> subprocess.Popen[bytes]:
        java = os.path.join(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else "java"
        options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", f"{JARS}/broker/*"]
        with open(self._folder / "broker.log", "ab") as log:
            return subprocess.Popen(
                [java, *options, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )


def _delivered(error: Any, _: Any) -> None:
    assert error is None, error


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
