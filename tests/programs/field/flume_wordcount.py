import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext
from pyspark.streaming.flume import FlumeUtils

sc = SparkContext(appName="FlumeWordCount")
ssc = StreamingContext(sc, 1)
kvs = FlumeUtils.createStream(ssc, sys.argv[1], int(sys.argv[2]))
lines = kvs.map(lambda x: x[1])
lines.flatMap(lambda line: line.split(" ")).countByValue().pprint()
ssc.start()
ssc.awaitTermination()
