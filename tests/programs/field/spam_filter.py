# Leaves out what a static list says is spam: a join with an RDD in transform.
import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

sc = SparkContext(appName="SpamFilter")
ssc = StreamingContext(sc, 1)
spam = sc.parallelize([("casino", True), ("lottery", True)])
words = ssc.socketTextStream(sys.argv[1], int(sys.argv[2])).map(lambda word: (word, 1))
cleaned = words.transform(lambda rdd: rdd.leftOuterJoin(spam).filter(lambda item: not item[1][1]))
cleaned.map(lambda item: item[0]).pprint()
ssc.start()
ssc.awaitTermination()
