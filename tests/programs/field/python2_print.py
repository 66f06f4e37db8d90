import sys
from pyspark import SparkContext
from pyspark.streaming import StreamingContext

def show(time, rdd):
    print "------ %s" % time
    for word, n in rdd.take(10):
        print word, n

ssc = StreamingContext(SparkContext(appName="Python2"), 1)
lines = ssc.socketTextStream(sys.argv[1], int(sys.argv[2]))
lines.flatMap(lambda line: line.split(" ")).map(lambda w: (w, 1)).reduceByKey(lambda a, b: a + b).foreachRDD(show)
ssc.start()
ssc.awaitTermination()
