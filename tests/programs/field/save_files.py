import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

sc = SparkContext(appName="SaveFiles")
ssc = StreamingContext(sc, 1)
lines = ssc.textFileStream(sys.argv[1])
lines.map(lambda line: line.upper()).saveAsTextFiles(sys.argv[2], "txt")
ssc.start()
ssc.awaitTermination()
