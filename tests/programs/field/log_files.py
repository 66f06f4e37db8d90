# Errors of the log files that appear in a directory, by host.
import sys
from operator import add

from pyspark import SparkConf, SparkContext
from pyspark.streaming import StreamingContext

conf = SparkConf().setAppName("LogFiles").set("spark.streaming.fileStream.minRememberDuration", "60s")
ssc = StreamingContext(SparkContext(conf=conf), 10)
logs = ssc.textFileStream(sys.argv[1])
errors = logs.filter(lambda line: " ERROR " in line)
by_host = errors.map(lambda line: (line.split()[0], 1)).reduceByKey(add)
by_host.pprint(20)
ssc.start()
ssc.awaitTermination()
