"""The program of ``soak.py``: counts by key over Kafka, over all time and over the last minute.

Arguments: brokers, topic, checkpoint directory, a file to which each batch appends a line of JSON.
"""

import json
import sys
import time
from operator import add, sub

from pyspark import SparkContext

from dstreams import StreamingContext, StreamingListener
from dstreams.kafka import KafkaUtils

SERVERS, TOPIC, CHECKPOINT, REPORT = sys.argv[1:]


def total(new, so_far):
    return sum(new) + (so_far or 0)


def note(**fields):
    with open(REPORT, "a") as file:
        file.write(json.dumps(fields) + "\n")


class Delays(StreamingListener):
    """Notes how long each batch waited, and how long it ran."""

    def onBatchCompleted(self, batchCompleted):
        info = batchCompleted.batchInfo()
        note(
            time=info.batchTime().milliseconds(), at=time.time(), scheduling_ms=info.schedulingDelay(),
            processing_ms=info.processingDelay(),
        )  # fmt: skip


def setup():
    ssc = StreamingContext(SparkContext(appName="soak"), 1)
    stream = KafkaUtils.createDirectStream(
        ssc, [TOPIC], {"metadata.broker.list": SERVERS, "auto.offset.reset": "smallest"}
    )
    pairs = stream.map(lambda record: (record[1], 1))
    pairs.updateStateByKey(total).foreachRDD(lambda rdd: note(all=rdd.values().sum()))
    pairs.reduceByKeyAndWindow(add, sub, 60, 5, filterFunc=lambda pair: pair[1] > 0).foreachRDD(
        lambda rdd: note(minute=rdd.values().sum())
    )
    return ssc


ssc = StreamingContext.getOrCreate(CHECKPOINT, setup)
ssc.addStreamingListener(Delays())
ssc.start()
ssc.awaitTermination()
