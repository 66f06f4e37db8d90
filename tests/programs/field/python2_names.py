import sys
from pyspark import SparkContext
from pyspark.streaming import StreamingContext

sc = SparkContext(appName="Python2Names")
ssc = StreamingContext(sc, 1)
rdds = [sc.parallelize(xrange(n)) for n in (1, 2, 3)]
ssc.queueStream(rdds).pprint()
ssc.start()
ssc.awaitTermination()
