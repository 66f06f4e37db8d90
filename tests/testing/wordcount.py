"""A program as it is in production: a script that reads a socket, keeps state, and waits."""

import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext


def total(new, old):
    return sum(new) + (old or 0)


def create(host, port):
    sc = SparkContext(appName="counts")
    ssc = StreamingContext(sc, 2)
    lines = ssc.socketTextStream(host, int(port))
    counts = lines.flatMap(lambda line: line.split(" ")).map(lambda word: (word, 1)).updateStateByKey(total)
    counts.pprint()
    return ssc


if __name__ == "__main__":
    context = StreamingContext.getOrCreate("hdfs:///production/counts", lambda: create(*sys.argv[1:]))
    context.start()
    context.awaitTermination()
