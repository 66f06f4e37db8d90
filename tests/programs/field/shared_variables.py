# Broadcast variables and accumulators that are made once, also after a restart.
import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext


def get_exclude_list(sc):
    if "excludeList" not in globals():
        globals()["excludeList"] = sc.broadcast(["a", "b", "c"])
    return globals()["excludeList"]


def get_dropped(sc):
    if "dropped" not in globals():
        globals()["dropped"] = sc.accumulator(0)
    return globals()["dropped"]


def echo(time, rdd):
    exclude, dropped = get_exclude_list(rdd.context), get_dropped(rdd.context)

    def keep(pair):
        if pair[0] in exclude.value:
            dropped.add(pair[1])
            return False
        return True

    kept = rdd.filter(keep).collect()
    with open(sys.argv[3], "a") as out:
        out.write("%s %d\n" % (sorted(kept), dropped.value))


ssc = StreamingContext(SparkContext(appName="SharedVariables"), 1)
words = ssc.socketTextStream(sys.argv[1], int(sys.argv[2])).flatMap(lambda line: line.split(" "))
words.map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b).foreachRDD(echo)
ssc.start()
ssc.awaitTermination()
