"""Kafka without Kafka: parameters, offsets, decoders, coordinates of the connector, and what is said while waiting."""

from __future__ import annotations

import logging
import re

import pyarrow as pa
import pytest
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext, cloudpickle
from pyspark.sql import SparkSession

from dstreams._run.waiting import Waiting
from dstreams.errors import DStreamStateError, DStreamTypeError, DStreamValueError
from dstreams.kafka import (
    Broker,
    KafkaMessageAndMetadata,
    OffsetRange,
    TopicAndPartition,
    kafka_package,
    utf8_decoder,
    with_kafka,
)
from dstreams.kafka._cluster import check_jars
from dstreams.kafka._parameters import ConsumerParameters
from dstreams.kafka._records import offsets_text, parse_offsets, ranges_between
from dstreams.kafka._source import KafkaDecoder, KafkaSource, Topics


def parse(**given):
    return ConsumerParameters.parse("op", {name.replace("_", "."): value for name, value in given.items()})


def test_parameters_of_kafka_08():
    found = ConsumerParameters.parse(
        "op",
        {
            "metadata.broker.list": "h:1,i:2", "auto.offset.reset": "smallest", "group.id": "g",
            "zookeeper.connect": "zk:2181", "fetch.message.max.bytes": 5000000, "auto.commit.enable": "false",
        },
    )  # fmt: skip
    assert found.client == {"bootstrap.servers": "h:1,i:2", "max.partition.fetch.bytes": "5000000"}
    assert (found.servers, found.reset, found.group, found.auto_commit) == ("h:1,i:2", "earliest", "g", False)


def test_parameters_of_today():
    found = ConsumerParameters.parse(
        "op",
        {
            "bootstrap.servers": "h:1", "key.deserializer": "x", "value.deserializer": "x", "kafka.client.id": "me",
            "enable.auto.commit": True, "failondataloss": False, "minPartitions": 8,
        },
    )  # fmt: skip
    assert found.client == {"bootstrap.servers": "h:1", "client.id": "me"}
    assert found.options == {"failOnDataLoss": "false", "minPartitions": "8"}
    assert (found.reset, found.group, found.auto_commit) == ("latest", None, True)
    assert found.source_options() == {
        "kafka.bootstrap.servers": "h:1", "kafka.client.id": "me", "failOnDataLoss": "false", "minPartitions": "8",
    }  # fmt: skip
    assert parse(bootstrap_servers="h:1", group_id="g").source_options()["groupIdPrefix"] == "g"


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (None, DStreamTypeError, "op: kafkaParams should be dict, got NoneType"),
        ({1: "a"}, DStreamTypeError, "names to texts or numbers"),
        ({"sasl.jaas.config": ["hunter2"]}, DStreamTypeError, "'sasl.jaas.config' has a list"),
        ({"group.id": "g"}, DStreamValueError, "must name the brokers"),
    ],
)
def test_parameters_that_cannot_be_meant(given, error, text):
    with pytest.raises(error, match=text) as raised:
        ConsumerParameters.parse("op", given)
    assert "hunter2" not in str(raised.value)


def test_secrets_are_not_in_the_text_of_parameters():
    found = ConsumerParameters.parse(
        "op", {"bootstrap.servers": "h:1", "ssl.keystore.password": "hunter2", "sasl.jaas.config": "p='hunter2'"}
    )
    assert "h:1" in repr(found) and "hunter2" not in repr(found)


def test_offsets_and_ranges():
    offsets = {("b", 10): 3, ("a", 0): 1, ("a", 1): 2}
    assert offsets_text(offsets) == '{"a": {"0": 1, "1": 2}, "b": {"10": 3}}'
    assert parse_offsets(offsets_text(offsets)) == offsets and parse_offsets(None) == {}
    found = ranges_between({("a", 0): 1}, {("a", 1): 4, ("a", 0): 3})
    assert found == [OffsetRange("a", 0, 1, 3), OffsetRange("a", 1, 0, 4)]
    assert [each.count() for each in found] == [2, 4]
    assert str(found[0]) == "OffsetRange(topic: a, partition: 0, range: [1 -> 3])"
    assert found[0].topicAndPartition() == TopicAndPartition("a", 0)
    assert found[0] != TopicAndPartition("a", 0) and len({*found, OffsetRange("a", 0, 1, 3)}) == 2
    part = TopicAndPartition("a", 0)
    assert (part.topic, part.partition, part._topic, part._partition) == ("a", 0, "a", 0)
    assert len({part, TopicAndPartition("a", 0), TopicAndPartition("a", 1)}) == 2
    assert (repr(part), repr(Broker("h", 1))) == ("TopicAndPartition('a', 0)", "Broker('h', 1)")


def test_what_a_stream_is_called():
    assert [str(topics) for topics in (Topics(["a", "b"]), Topics([], "a.*"), Topics([], partitions=[("a", 1)]))] == [
        "a, b", "pattern a.*", "a[1]",
    ]  # fmt: skip


def batch(keys, values, *more):
    columns = [pa.array(keys, pa.binary()), pa.array(values, pa.binary()), *more]
    return pa.RecordBatch.from_arrays(columns, names=[str(i) for i in range(len(columns))])


def test_decoders():
    rows = [batch([b"k", None], ["ü".encode(), b""])]
    assert list(KafkaDecoder(utf8_decoder, utf8_decoder, None)(iter(rows))) == [("k", "ü"), (None, "")]
    assert list(KafkaDecoder(utf8_decoder, len, None)(iter(rows))) == [("k", 2), (None, 0)]
    assert list(KafkaDecoder(lambda key: key, utf8_decoder, None)(iter(rows))) == [(b"k", "ü"), (None, "")]
    with pytest.raises(UnicodeDecodeError):
        list(KafkaDecoder(utf8_decoder, utf8_decoder, None)(iter([batch([None], [b"\xff"])])))


def test_handler_gets_all_that_a_record_carries():
    headers = pa.array(
        [[{"key": "h", "value": b"1"}], None],
        pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())])),
    )
    rows = batch([b"k", None], [b"v", b"\xff"], pa.array(["t", "t"]), pa.array([1, 1]), pa.array([7, 8]),
                 pa.array([1000, 2000]), headers)  # fmt: skip
    first, second = KafkaDecoder(utf8_decoder, len, lambda message: message)(iter([rows]))
    assert (first.topic, first.partition, first.offset, first.key, first.message) == ("t", 1, 7, "k", 1)
    assert (first.timestamp, first.headers, second.headers, second.key) == (1000, [("h", b"1")], [], None)
    assert repr(first) == "KafkaMessageAndMetadata(t, 1, 7)"
    assert KafkaMessageAndMetadata("t", 0, 0, None, "ü".encode()).message == "ü"


def source(**given):
    decoder = KafkaDecoder(utf8_decoder, utf8_decoder, None)
    return KafkaSource(
        "createDirectStream", Topics(["t"]), parse(bootstrap_servers="h:1", **given), {}, decoder, None, False
    )


def test_source_can_be_saved_and_says_what_failed():
    again = cloudpickle.loads(cloudpickle.dumps(source(group_id="g")))
    assert again.describe() == "KafkaUtils.createDirectStream(t)"
    assert again.explain("ValueError: no") is None
    assert "have not answered for too long" in again.explain("org.apache.kafka.common.errors.TimeoutException: x")
    lost = again.explain("STREAM_FAILED terminated with exception: [KAFKA_DATA_LOSS.X] partitions gone\n\tat a.b")
    assert lost.endswith("Kafka says: [KAFKA_DATA_LOSS.X] partitions gone")


def test_waiting_is_said_once(caplog):
    times = iter([0.0, 4.0, 5.0, 9.0, 10.0])
    waiting = Waiting([source()], lambda: next(times))
    caplog.set_level(logging.INFO, "dstreams")
    asking = "Getting offsets from KafkaV2[SubscribePattern[t]]"
    for status in (asking, asking, asking, asking, "Processing new data", asking, asking, "Waiting for data"):
        waiting.observe(status)
    name = "KafkaUtils.createDirectStream(t)"
    assert [record.getMessage() for record in caplog.records] == [
        f"{name}: waiting for the brokers at h:1, which do not answer", f"{name}: goes on",
    ]  # fmt: skip


def test_connector_that_is_not_there():
    class Loader:
        def loadClass(self, name):
            raise Py4JError("ClassNotFoundException")

    class Anything:
        version = "4.3.0-rc1"

        def __getattr__(self, name):
            return (lambda: Loader()) if name == "getContextClassLoader" else Anything()

        def __call__(self):
            return self

    wanted = r"--packages org.apache.spark:spark-sql-kafka-0-10_2.13:4.3.0 \.\.\.\n.*--jars spark-sql-kafka"
    with pytest.raises(DStreamStateError, match=re.compile(wanted, re.DOTALL)):
        check_jars(Anything(), "createDirectStream")


def test_connector(tmp_path, monkeypatch):
    monkeypatch.setattr(SparkContext, "_active_spark_context", None)  # of other tests
    assert kafka_package("4.3.0") == "org.apache.spark:spark-sql-kafka-0-10_2.13:4.3.0"
    conf = SparkConf(loadDefaults=False).set("spark.jars.packages", "a:b:1")
    assert with_kafka(conf).get("spark.jars.packages") == f"a:b:1,{kafka_package()}"
    with pytest.raises(DStreamValueError, match="has no spark-sql-kafka"):
        with_kafka(conf, tmp_path)
    (tmp_path / "spark-sql-kafka-0-10_2.13-4.3.0.jar").touch()
    (tmp_path / "kafka-clients.jar").touch()
    assert with_kafka(conf, tmp_path).get("spark.jars").count(".jar") == 2
    builder = with_kafka(SparkSession.builder.config("spark.jars", "/other.jar"), tmp_path)
    jars = builder._options["spark.jars"]
    assert jars.startswith("/other.jar,") and "spark-sql-kafka" in jars
