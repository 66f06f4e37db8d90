import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext
from pyspark.streaming.kafka import KafkaUtils, TopicAndPartition

offset_ranges = []


def store_offset_ranges(rdd):
    global offset_ranges
    offset_ranges = rdd.offsetRanges()
    return rdd


def print_offset_ranges(rdd):
    for o in offset_ranges:
        print("%s %s %s %s" % (o.topic, o.partition, o.fromOffset, o.untilOffset))


if __name__ == "__main__":
    brokers, topic = sys.argv[1:]
    sc = SparkContext(appName="KafkaDirect")
    ssc = StreamingContext(sc, 2)
    start = {TopicAndPartition(topic, 0): 0}
    kvs = KafkaUtils.createDirectStream(ssc, [topic], {"metadata.broker.list": brokers}, fromOffsets=start)
    lines = kvs.transform(store_offset_ranges).map(lambda x: x[1])
    lines.foreachRDD(print_offset_ranges)
    lines.flatMap(lambda line: line.split(" ")).map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b).pprint()
    ssc.start()
    ssc.awaitTermination()
