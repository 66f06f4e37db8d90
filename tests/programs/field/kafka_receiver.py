import json
import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext
from pyspark.streaming.kafka import KafkaUtils

sc = SparkContext(appName="KafkaReceiver")
ssc = StreamingContext(sc, 1)
params = {"bootstrap.servers": sys.argv[2], "auto.offset.reset": "smallest"}
stream = KafkaUtils.createStream(ssc, sys.argv[1], "raw-event-streaming-consumer", {"orders": 1}, params)
orders = stream.map(lambda v: json.loads(v[1]))
orders.map(lambda order: (order["user"], order["amount"])).reduceByKey(lambda a, b: a + b).pprint()
ssc.start()
ssc.awaitTermination()
