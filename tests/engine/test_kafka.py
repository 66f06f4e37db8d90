"""Kafka streams on a real broker."""

from __future__ import annotations

import threading

import pytest
from pyspark import cloudpickle

from dstreams import StreamingListener
from dstreams.errors import BatchError, DStreamStateError, DStreamTypeError, DStreamValueError
from dstreams.kafka import KafkaUtils, OffsetRange, TopicAndPartition, utf8_decoder, with_kafka
from tests.harness import Output
from tests.kafka_broker import PASSWORD, USER, Broker

pytestmark = pytest.mark.engine


def params(broker, **more):
    return {"bootstrap.servers": broker.servers, "auto.offset.reset": "earliest", **more}


def values(output):
    return sorted(value for _, value in output.elements)


@pytest.fixture
def settings(spark_context):
    """Settings of the SparkContext that a test may change."""
    before = dict(spark_context._conf.getAll())
    yield spark_context._conf
    for key in {key for key, _ in spark_context._conf.getAll()} - before.keys():
        spark_context._conf._jconf.remove(key)


def test_what_a_stream_reads(streaming, broker):
    """Topics, a pattern, given partitions, offsets; keys, values, None; new topics and partitions."""
    topic, other = broker.topic(2), broker.topic(3)
    broker.send(topic, [("k", "v1"), (None, "v2"), ("ü", None)])
    for number in range(3):
        broker.send(other, [f"{number}-{i}" for i in range(3)], partition=number)
    ssc = streaming()
    whole = Output(KafkaUtils.createDirectStream(ssc, [topic], params(broker)))
    pattern = Output(KafkaUtils.createDirectStream(ssc, None, params(broker), subscribePattern=f"{topic}.*"))
    given = [TopicAndPartition(other, 2), TopicAndPartition(other, 0)]
    assigned = Output(KafkaUtils.createDirectStream(ssc, None, params(broker), assign=given))
    begin = {TopicAndPartition(other, 0): 1, TopicAndPartition(other, 1): 3}
    offsets = Output(KafkaUtils.createDirectStream(ssc, [other], params(broker), begin))
    newest = Output(
        KafkaUtils.createDirectStream(ssc, [topic], {"metadata.broker.list": broker.servers, "group.id": "none-such"})
    )
    ssc.start()
    broker.send(topic, [("k", "later")])  # after start, so that it is news for "latest"
    whole.wait_for(lambda o: len(o.elements) >= 4)
    assert sorted(whole.elements, key=repr) == sorted(
        [("k", "v1"), (None, "v2"), ("ü", None), ("k", "later")], key=repr
    )
    broker.send(broker.topic(1, prefix=topic), ["new topic"])
    broker.grow(topic, 3)
    broker.send(topic, ["new partition"], partition=2)
    pattern.wait_for(lambda o: len(o.elements) >= 6, 240)
    whole.wait_for(lambda o: len(o.elements) >= 5, 240)
    offsets.wait_for(lambda o: len(o.elements) >= 2)
    ssc.stop(stopSparkContext=False)
    assert {(None, "new topic"), (None, "new partition")} <= set(pattern.elements)
    assert values(assigned) == ["0-0", "0-1", "0-2", "2-0", "2-1", "2-2"]
    assert values(offsets) == ["0-1", "0-2"]
    assert values(newest) == ["later", "new partition"]


def test_offset_ranges_are_those_of_the_partitions(streaming, broker):
    topic = broker.topic(3)
    broker.send(topic, ["a", "b"], partition=0)
    broker.send(topic, ["c"], partition=2)
    ssc = streaming()
    seen = []

    def look(rdd):
        seen.append((rdd.offsetRanges(), rdd.map(lambda pair: pair[1]).glom().collect()))

    stream = KafkaUtils.createDirectStream(ssc, [topic], params(broker))
    stream.foreachRDD(look)
    told = []

    class Listener(StreamingListener):
        def onBatchCompleted(self, event):
            (info,) = event.batchInfo().streamIdToInputInfo().values()
            told.append((event.batchInfo().numRecords(), info.metadataDescription().splitlines()[2]))

    ssc.addStreamingListener(Listener())
    out = Output(stream.transform(lambda rdd: rdd.context.parallelize([str(r) for r in rdd.offsetRanges()])))
    ssc.start()
    out.wait_for_batches(1)
    broker.send(topic, ["d"], partition=1)
    out.wait_for(lambda o: any("1, range: [0 -> 1]" in text for text in o.elements))
    ssc.stop(stopSparkContext=False)
    ranges, parts = seen[0]
    assert [ranges[i].partition for i in range(2)] == [{"a": 0, "c": 2}[part[0]] for part in parts]
    assert sorted(map(str, ranges)) == [
        str(OffsetRange(topic, 0, 0, 2)), str(OffsetRange(topic, 1, 0, 0)), str(OffsetRange(topic, 2, 0, 1)),
    ]  # fmt: skip
    assert told[0] == (3, f"topic: {topic}\tpartition: 2\toffsets: 0 to 1")
    last = next(ranges for ranges, parts in seen if parts == [["d"]])
    assert last[0] == OffsetRange(topic, 1, 0, 1)
    assert {r.partition: r.count() for r in last} == {0: 0, 1: 1, 2: 0}


def test_all_that_a_record_carries(streaming, broker):
    topic = broker.topic()
    broker.send(topic, [("k", "v", [("trace", b"\x01"), ("none", None)]), (None, b"\xff")])
    ssc = streaming()

    def handle(message):
        value = message.message if message.offset == 0 else message._rawMessage
        return (message.topic, message.partition, message.offset, message.key, value, message.headers,
                message.timestamp > 1_600_000_000_000)  # fmt: skip

    out = Output(KafkaUtils.createDirectStream(ssc, [topic], params(broker), messageHandler=handle))
    big = broker.topic()
    size = Output(KafkaUtils.createDirectStream(ssc, [big], params(broker), valueDecoder=len))
    ssc.start()
    broker.send(big, [b"x" * 5_000_000] * 3)
    size.wait_for(lambda o: len(o.elements) == 3)
    ssc.stop(stopSparkContext=False)
    assert out.elements == [
        (topic, 0, 0, "k", "v", [("trace", b"\x01"), ("none", None)], True),
        (topic, 0, 1, None, b"\xff", [], True),
    ]
    assert values(size) == [5_000_000] * 3


def test_offsets_of_a_consumer_group(streaming, broker, settings):
    """Begin where the group has ended; commit by hand, after each batch by a setting, and as createStream does."""
    topic = broker.topic(2)
    broker.send(topic, ["a", "b", "c"], partition=0)
    broker.send(topic, ["d"], partition=1)
    broker.commit("hand", topic, {0: 2})
    done = threading.Event()
    answers = []

    def committed(ranges, error):
        answers.append(error)
        if len(ranges) == 2:
            done.set()

    ssc = streaming()
    hand = KafkaUtils.createDirectStream(ssc, [topic], params(broker, **{"group.id": "hand"}))
    out = Output(hand)
    hand.foreachRDD(lambda rdd: hand.commitAsync(rdd.offsetRanges(), committed))
    receiver = Output(
        KafkaUtils.createStream(
            ssc, "zk:2181", "receiver", {topic: 1},
            {"metadata.broker.list": broker.servers, "auto.offset.reset": "smallest"},
        )
    )  # fmt: skip
    without = KafkaUtils.createDirectStream(ssc, [topic], params(broker))
    settings.set("spark.streaming.dstreams.kafka.commit", "true")
    with pytest.raises(DStreamValueError, match=r"give 'group.id' in kafkaParams"):
        KafkaUtils.createDirectStream(ssc, [topic], params(broker))
    KafkaUtils.createDirectStream(ssc, [topic], params(broker, **{"group.id": "setting"}))
    ssc.start()
    out.wait_for(lambda o: len(o.elements) >= 2)
    receiver.wait_for(lambda o: len(o.elements) >= 4)
    assert done.wait(60) and not any(answers), answers
    with pytest.raises(DStreamStateError, match="no group to commit to"):
        without.commitAsync([OffsetRange(topic, 0, 0, 1)])
    with pytest.raises(DStreamTypeError, match="list of OffsetRange"):
        hand.commitAsync([1])
    ssc.stop(stopSparkContext=False)
    assert values(out) == ["c", "d"]
    again, saved = threading.Event(), cloudpickle.loads(cloudpickle.dumps(hand))
    saved.commitAsync([OffsetRange(topic, 0, 0, 1)], lambda ranges, error: again.set())  # as a restored program does
    assert again.wait(60)
    saved.close()
    assert broker.committed("hand", topic, 2) == [1, 1]
    broker.commit("hand", topic, {0: 3})
    for group in ("hand", "receiver", "setting"):
        assert broker.committed(group, topic, 2) == [3, 1], group


def test_rdd_of_ranges(spark_context, broker):
    topic = broker.topic(2)
    broker.send(topic, [f"a{i}" for i in range(5)], partition=0)
    broker.send(topic, [f"b{i}" for i in range(5)], partition=1)
    ranges = [OffsetRange(topic, 1, 2, 4), OffsetRange(topic, 0, 1, 1), OffsetRange(topic, 0, 4, 5),
              OffsetRange(topic, 0, 0, 1)]  # fmt: skip
    rdd = KafkaUtils.createRDD(spark_context, params(broker), ranges)
    assert rdd.values().glom().collect() == [["b2", "b3"], [], ["a4"], ["a0"]]
    assert rdd.offsetRanges() == ranges
    assert KafkaUtils.createRDD(spark_context, params(broker), []).collect() == []
    handled = KafkaUtils.createRDD(
        spark_context, params(broker), ranges[:1], messageHandler=lambda m: (m.offset, m.message)
    )
    assert handled.collect() == [(2, "b2"), (3, "b3")]
    with pytest.raises(DStreamValueError, match=r"does not have all of .*\[4 -> 9\]\); there is 0 to 5"):
        KafkaUtils.createRDD(spark_context, params(broker), [OffsetRange(topic, 0, 4, 9)])


def test_rate_of_each_partition(streaming, broker, settings):
    topic = broker.topic(2)
    for number in range(2):
        broker.send(topic, [str(i) for i in range(50)], partition=number)
    settings.set("spark.streaming.kafka.maxRatePerPartition", "10")
    ssc = streaming(2)
    out = Output(KafkaUtils.createDirectStream(ssc, [topic], params(broker)))
    ssc.start()
    out.wait_for(lambda o: len(o.elements) >= 80)
    ssc.stop(stopSparkContext=False)
    assert [len(batch) for batch in out.batches[:2]] == [40, 40]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (dict(topics="t"), DStreamTypeError, "topics should be list"),
        (dict(topics=[]), DStreamValueError, "no topic"),
        (dict(topics=[1]), DStreamTypeError, "list of names"),
        (dict(kafkaParams=[]), DStreamTypeError, "kafkaParams should be dict"),
        (dict(kafkaParams={}), DStreamValueError, "must name the brokers"),
        (dict(kafkaParams={"bootstrap.servers": "h:1", "auto.offset.reset": "first"}), DStreamValueError, "'earliest'"),
        (dict(fromOffsets=[]), DStreamTypeError, "fromOffsets should be dict"),
        (dict(fromOffsets={"t": 1}), DStreamTypeError, "TopicAndPartition"),
        (dict(fromOffsets={TopicAndPartition("t", 0): -1}), DStreamValueError, "number from 0"),
        (dict(fromOffsets={TopicAndPartition("u", 0): 1}), DStreamValueError, "do not equal to the topic from offsets"),
        (dict(keyDecoder=1), DStreamTypeError, "keyDecoder must be a function"),
        (dict(messageHandler=1), DStreamTypeError, "messageHandler must be a function"),
        (dict(subscribePattern="t.*"), DStreamValueError, "one of topics"),
        (dict(topics=None, subscribePattern=1), DStreamTypeError, "subscribePattern must be a str"),
        (dict(topics=None, assign=["t"]), DStreamTypeError, "list of TopicAndPartition"),
        (dict(topics=None, assign=[]), DStreamValueError, "names no partition"),
    ],
)
def test_arguments_of_a_direct_stream(streaming, call, error, text):
    given = {"topics": ["t"], "kafkaParams": {"bootstrap.servers": "127.0.0.1:1"}, **call}
    with pytest.raises(error, match=text):
        KafkaUtils.createDirectStream(streaming(), **given)


def test_arguments_of_the_others(streaming, spark_context, settings):
    ssc = streaming()
    brokers = {"bootstrap.servers": "127.0.0.1:1"}
    with pytest.raises(DStreamTypeError, match="topics should be dict"):
        KafkaUtils.createStream(ssc, "zk:2181", "g", ["t"])
    with pytest.raises(DStreamTypeError, match="groupId must be a str"):
        KafkaUtils.createStream(ssc, "zk:2181", None, {"t": 1}, brokers)
    with pytest.raises(DStreamValueError, match=r"zkQuorum='zk:2181': Kafka has no .*Instead: name the brokers"):
        KafkaUtils.createStream(ssc, "zk:2181", "g", {"t": 1})
    settings.set("spark.streaming.dstreams.kafka.bootstrap.servers", "127.0.0.1:1")
    stream = KafkaUtils.createStream(ssc, "zk:2181", "g", {"t": 1})
    assert stream._node.source._parameters.servers == "127.0.0.1:1"
    with pytest.raises(DStreamTypeError, match="offsetRanges should be list"):
        KafkaUtils.createRDD(spark_context, brokers, ())
    with pytest.raises(DStreamTypeError, match="list of OffsetRange"):
        KafkaUtils.createRDD(spark_context, brokers, [1])
    with pytest.raises(DStreamValueError, match="does not end after it begins"):
        KafkaUtils.createRDD(spark_context, brokers, [OffsetRange("t", 0, 2, 1)])
    settings.set("spark.streaming.kafka.maxRatePerPartition", "many")
    with pytest.raises(DStreamValueError, match="maxRatePerPartition must be a number"):
        KafkaUtils.createDirectStream(ssc, ["t"], brokers)
    with pytest.raises(DStreamStateError, match=r"with_kafka: .*--packages org.apache.spark:spark-sql-kafka-0-10_2.13"):
        with_kafka(spark_context.getConf())


def test_brokers_that_cannot_be_used(streaming, broker):
    """Each start fails, says why in one piece, and leaves nothing running."""
    topic = broker.topic()
    broker.send(topic, ["a", "b"])
    broker.delete_before(topic, 0, 1)
    sasl = {
        "bootstrap.servers": broker.sasl_servers,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.jaas.config": _login("wrong-word"),
    }
    quick = {"default.api.timeout.ms": 1500, "request.timeout.ms": 1000}
    nobody = {"bootstrap.servers": "127.0.0.1:1", **quick}
    cases = [
        ([topic], nobody, {}, "no broker answers at 127.0.0.1:1. Nothing was started"),
        ([topic], {"bootstrap.servers": "no-such-host.invalid:9092", **quick}, {}, "No resolvable bootstrap urls"),
        (["absent"], params(broker), {}, "Error getting partition metadata for 'absent'. Does the topic exist"),
        ([topic], sasl, {}, "refused to let this program in"),
        ([topic], params(broker, **{"auto.offset.reset": "none"}), {}, "auto.offset.reset is 'none'"),
        ([topic], params(broker), {TopicAndPartition(topic, 0): 7}, r"\[0\] at 7, and there is 1 to 2"),
        ([topic], params(broker), {TopicAndPartition(topic, 0): 0}, r"\[0\] at 0, and there is 1 to 2"),
        ([topic], params(broker), {TopicAndPartition(topic, 3): 0}, "have no partitions"),
    ]
    for topics, given, begin, text in cases:
        ssc = streaming()
        KafkaUtils.createDirectStream(ssc, topics, given, begin).pprint()
        with pytest.raises((DStreamStateError, DStreamValueError), match=text) as raised:
            ssc.start()
        assert "wrong-word" not in str(raised.value) and "\tat " not in str(raised.value)
        ssc.stop(stopSparkContext=False)


def _login(password):
    return f'org.apache.kafka.common.security.plain.PlainLoginModule required username="{USER}" password="{password}";'


def test_credentials_are_not_shown(streaming, broker, capfd):
    topic = broker.topic()
    broker.send(topic, ["a"])
    ssc = streaming()
    given = {
        "bootstrap.servers": broker.sasl_servers,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.jaas.config": _login(PASSWORD),
        "auto.offset.reset": "earliest",
        "group.id": "sasl",
        "enable.auto.commit": True,
    }
    stream = KafkaUtils.createDirectStream(ssc, [topic], given)
    out = Output(stream)
    ssc.start()
    out.wait_for(lambda o: o.elements == [(None, "a")])
    shown = ssc.explain() + repr(stream) + repr(stream._node.source._parameters) + stream._node.source.describe()
    ssc.stop(stopSparkContext=False)
    assert broker.committed("sasl", topic) == [1]
    assert topic in shown
    assert PASSWORD not in shown + "".join(capfd.readouterr())


def test_decoder_that_raises(streaming, broker):
    topic = broker.topic()
    broker.send(topic, ["good", "boom"])
    ssc = streaming()

    def strict(value):
        if value == b"boom":
            raise KeyError("this value")
        return utf8_decoder(value)

    out = Output(KafkaUtils.createDirectStream(ssc, [topic], params(broker), valueDecoder=strict))
    ssc.start()
    with pytest.raises(KeyError, match="this value"):
        ssc.awaitTermination(120)
    broker.send(topic, ["goes on"])
    out.wait_for(lambda o: ("goes on") in [v for _, v in o.elements])
    ssc.stop(stopSparkContext=False)


def test_topic_that_is_deleted(streaming, broker):
    """The program ends and says why; with failOnDataLoss=false it goes on."""
    kept, lost = broker.topic(), broker.topic()
    ssc = streaming()
    out = Output(KafkaUtils.createDirectStream(ssc, [kept, lost], params(broker)))
    ssc.start()
    broker.send(lost, ["a"])
    out.wait_for(lambda o: len(o.elements) == 1)
    broker.delete(lost)
    with pytest.raises(BatchError, match=rf"{lost}.*: what it has to read is not there any more") as raised:
        ssc.awaitTermination(120)
    assert "\tat " not in str(raised.value) and "'failOnDataLoss': 'false'" in str(raised.value)
    ssc.stop(stopSparkContext=False)

    lost = broker.topic()
    ssc = streaming()
    out = Output(KafkaUtils.createDirectStream(ssc, [kept, lost], params(broker, failOnDataLoss=False)))
    ssc.start()
    broker.send(lost, ["a"])
    out.wait_for(lambda o: len(o.elements) == 1)
    broker.delete(lost)
    out.wait_for_more(1)
    broker.send(kept, ["b"])
    out.wait_for(lambda o: values(o) == ["a", "b"])
    ssc.stop(stopSparkContext=False)


@pytest.mark.parametrize("seconds", [7, pytest.param(30, marks=pytest.mark.slow)])
def test_broker_that_is_away_for_a_while(streaming, tmp_path, caplog, seconds):
    """The program waits, says so, and goes on with every record once."""
    caplog.set_level("INFO", "dstreams")
    with Broker(tmp_path) as own:
        topic = own.topic(2)
        ssc = streaming()
        out = Output(KafkaUtils.createDirectStream(ssc, [topic], params(own)))
        ssc.start()
        own.send(topic, ["before"])
        out.wait_for(lambda o: len(o.elements) == 1)
        own.stop()
        threading.Event().wait(seconds)
        own.start()
        own.send(topic, ["after"])
        out.wait_for(lambda o: len(o.elements) >= 2, 240)
        ssc.stop(stopSparkContext=False)
        assert values(out) == ["after", "before"]
        said = [record.getMessage() for record in caplog.records if record.name == "dstreams"]
        assert any(text.endswith(f"waiting for the brokers at {own.servers}, which do not answer") for text in said)
        assert any(text.endswith(": goes on") for text in said)
