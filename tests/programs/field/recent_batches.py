# Looks back at the RDDs of earlier batches.
import sys
from datetime import timedelta

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

ssc = StreamingContext(SparkContext(appName="RecentBatches"), 1)
ssc.remember(60)
lines = ssc.socketTextStream(sys.argv[1], int(sys.argv[2]))


def compare(time, rdd):
    before = lines.slice(time - timedelta(seconds=2), time - timedelta(seconds=1))
    with open(sys.argv[3], "a") as out:
        out.write("%d before, %d now\n" % (sum(r.count() for r in before), rdd.count()))


lines.foreachRDD(compare)
ssc.start()
ssc.awaitTermination()
