"""Words of a Kafka topic, counted in all and over the last minute: unmodified, as for the DStream API of Spark 2.

Usage: spark-submit ... run_dstreams.py demo.py BROKERS TOPIC CHECKPOINT
"""

import sys
from operator import add, sub

from pyspark import SparkContext
from pyspark.streaming import StreamingContext
from pyspark.streaming.kafka import KafkaUtils

BROKERS, TOPIC, CHECKPOINT = sys.argv[1:]


def total(new, so_far):
    return sum(new) + (so_far or 0)


def setup():
    ssc = StreamingContext(SparkContext(appName="dstreams demo"), 1)
    records = KafkaUtils.createDirectStream(
        ssc, [TOPIC], {"metadata.broker.list": BROKERS, "auto.offset.reset": "smallest"}
    )
    pairs = records.flatMap(lambda record: record[1].split()).map(lambda word: (word, 1))
    last_minute = pairs.reduceByKeyAndWindow(add, sub, 60, 5)
    last_minute.transform(lambda rdd: rdd.sortBy(lambda pair: -pair[1])).pprint(5)
    totals = pairs.updateStateByKey(total)
    totals.foreachRDD(lambda rdd: print("words in all:", rdd.values().sum(), flush=True))
    return ssc


ssc = StreamingContext.getOrCreate(CHECKPOINT, setup)
ssc.start()
ssc.awaitTermination()
