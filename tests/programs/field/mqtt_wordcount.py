import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext
from pyspark.streaming.mqtt import MQTTUtils

sc = SparkContext(appName="PythonStreamingMQTTWordCount")
ssc = StreamingContext(sc, 1)
lines = MQTTUtils.createStream(ssc, sys.argv[1], sys.argv[2])
lines.flatMap(lambda line: line.split(" ")).countByValue().pprint()
ssc.start()
ssc.awaitTermination()
