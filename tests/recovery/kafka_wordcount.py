"""Word count over Kafka with state; killed and restarted by its test.

Arguments: brokers, topic, where offsets are kept (``checkpoint`` or ``own``), a directory.
"""

import json
import os
import sys
from pathlib import Path

from pyspark import SparkConf, SparkContext

from dstreams import StreamingContext
from dstreams.kafka import KafkaUtils, TopicAndPartition, with_kafka

SERVERS, TOPIC, MODE, DIRECTORY, JARS = sys.argv[1:]
OFFSETS = os.path.join(DIRECTORY, "offsets.json")
PARAMS = {"metadata.broker.list": SERVERS, "auto.offset.reset": "smallest"}


def context():
    conf = SparkConf().setAppName("kafka word count").set("spark.ui.enabled", "false")
    conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
    conf.setIfMissing("spark.master", "local[2]")  # spark-submit names another one, and its own jars
    sc = SparkContext(conf=with_kafka(conf, JARS) if JARS else conf)
    return StreamingContext(sc, 1)


def write(path, data):
    with open(path + ".tmp", "w") as file:
        json.dump(data, file)
    os.replace(path + ".tmp", path)


def with_checkpoint():
    """State and offsets are in the checkpoint directory."""
    ssc = context()
    lines = KafkaUtils.createDirectStream(ssc, [TOPIC], PARAMS).map(lambda pair: pair[1])
    counts = lines.flatMap(str.split).map(lambda word: (word, 1)).updateStateByKey(
        lambda new, old: sum(new) + (old or 0)
    )  # fmt: skip

    def show(time, rdd):
        write(os.path.join(DIRECTORY, "counts.json"), dict(rdd.collect()))
        print("batch", flush=True)

    counts.foreachRDD(show)
    return ssc


def with_own_offsets():
    """Counts and offsets are in one file of the program's own, written at once: exactly once without a checkpoint."""
    ssc = context()
    known = json.loads(Path(OFFSETS).read_text()) if os.path.exists(OFFSETS) else {"offsets": {}, "counts": {}}
    begin = {TopicAndPartition(TOPIC, int(number)): offset for number, offset in known["offsets"].items()}
    stream = KafkaUtils.createDirectStream(ssc, [TOPIC], PARAMS, fromOffsets=begin)

    def store(rdd):
        ranges = rdd.offsetRanges()
        for word, n in rdd.flatMap(lambda pair: pair[1].split()).countByValue().items():
            known["counts"][word] = known["counts"].get(word, 0) + n
        known["offsets"].update({str(each.partition): each.untilOffset for each in ranges})
        write(OFFSETS, known)
        print("batch", flush=True)

    stream.foreachRDD(store)
    return ssc


if MODE == "checkpoint":
    ssc = StreamingContext.getOrCreate(os.path.join(DIRECTORY, "checkpoint"), with_checkpoint)
else:
    ssc = with_own_offsets()
ssc.start()
ssc.awaitTermination()
