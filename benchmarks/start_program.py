"""The program that ``start.py`` starts, written for PySpark: counts the words of a socket.

Arguments: host, port, and for a count over all batches a checkpoint directory.
"""

import sys
from operator import add

from pyspark import SparkConf, SparkContext
from pyspark.streaming import StreamingContext


def add_up(new, total):
    return sum(new, total or 0)


host, port, *directory = sys.argv[1:]
conf = SparkConf().setMaster("local[2]").setAppName("start").set("spark.ui.enabled", "false")
conf.set("spark.ui.showConsoleProgress", "false").set("spark.log.level", "ERROR")
conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
ssc = StreamingContext(SparkContext(conf=conf), 1)
words = ssc.socketTextStream(host, int(port)).flatMap(str.split).map(lambda word: (word, 1))
if directory:
    ssc.checkpoint(directory[0])
(words.updateStateByKey(add_up) if directory else words.reduceByKey(add)).pprint()
ssc.start()
ssc.awaitTermination()
