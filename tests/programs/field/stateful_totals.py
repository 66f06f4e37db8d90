import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext


def update_function(new_values, last_sum):
    return sum(new_values) + (last_sum or 0)


if __name__ == "__main__":
    sc = SparkContext(appName="StatefulTotals")
    ssc = StreamingContext(sc, 1)
    ssc.checkpoint("checkpoint")
    initial_state = sc.parallelize([(u"hello", 1), (u"world", 1)])
    lines = ssc.socketTextStream(sys.argv[1], int(sys.argv[2]))
    running = lines.flatMap(lambda line: line.split(" ")) \
        .map(lambda word: (word, 1)) \
        .updateStateByKey(update_function, initialRDD=initial_state)
    running.pprint()
    ssc.start()
    ssc.awaitTermination()
