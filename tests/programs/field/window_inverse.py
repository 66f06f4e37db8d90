import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

sc = SparkContext(appName="WindowedCounts")
ssc = StreamingContext(sc, 2)
ssc.checkpoint("hdfs:///checkpoints/windowed")
pairs = ssc.socketTextStream(sys.argv[1], int(sys.argv[2])).map(lambda word: (word, 1))
counts = pairs.reduceByKeyAndWindow(lambda x, y: x + y, lambda x, y: x - y, 4, 2)
counts.pprint()
ssc.start()
ssc.awaitTermination()
