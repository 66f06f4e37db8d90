"""Word count over a Kafka topic, as it was written for Spark 1.3 to 2.4.

    spark-submit --packages org.apache.spark:spark-sql-kafka-0-10_2.13:4.3.0 \
        "$(python -c 'import dstreams.__main__ as m; print(m.__file__)')" examples/kafka_wordcount.py host:9092 topic
"""

import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext
from pyspark.streaming.kafka import KafkaUtils

if __name__ == "__main__":
    brokers, topic = sys.argv[1:3]
    sc = SparkContext(appName="KafkaWordCount")
    ssc = StreamingContext(sc, 1)
    stream = KafkaUtils.createDirectStream(
        ssc, [topic], {"metadata.broker.list": brokers, "auto.offset.reset": "smallest"}
    )
    counts = stream.map(lambda pair: pair[1]).flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(
        lambda a, b: a + b
    )  # fmt: skip
    counts.pprint()
    stream.foreachRDD(lambda rdd: [print(offsets) for offsets in rdd.offsetRanges() if offsets.count()] and None)
    ssc.start()
    ssc.awaitTermination(float(sys.argv[3]) if len(sys.argv) > 3 else None)
    ssc.stop()
