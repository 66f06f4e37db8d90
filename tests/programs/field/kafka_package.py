import os

os.environ["PYSPARK_SUBMIT_ARGS"] = (
    "--packages org.apache.spark:spark-streaming-kafka-0-8_2.11:2.0.2 pyspark-shell"
)

from pyspark import SparkContext
from pyspark.streaming import StreamingContext
from pyspark.streaming.kafka import KafkaUtils

sc = SparkContext(appName="KafkaPackage")
ssc = StreamingContext(sc, 60)
stream = KafkaUtils.createDirectStream(ssc, ["tweets"], {"metadata.broker.list": "localhost:9092"})
stream.map(lambda v: v[1]).pprint()
ssc.start()
ssc.awaitTermination(timeout=180)
