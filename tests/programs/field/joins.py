import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext


def pair(line):
    key, value = line.split(",")
    return key, value


sc = SparkContext(appName="Joins")
ssc = StreamingContext(sc, 1)
orders = ssc.socketTextStream(sys.argv[1], int(sys.argv[2])).map(pair)
users = ssc.socketTextStream(sys.argv[1], int(sys.argv[3])).map(pair)
orders.leftOuterJoin(users).pprint()
orders.join(users).count().pprint()
orders.cogroup(users).mapValues(lambda sides: [sorted(side) for side in sides]).pprint()
orders.union(users).transformWith(lambda a, b: a.subtractByKey(b), users).pprint()
ssc.start()
ssc.awaitTermination()
