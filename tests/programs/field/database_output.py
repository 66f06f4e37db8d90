# Writes each partition over a connection of its own, as to a database.
import sqlite3
import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

DATABASE = sys.argv[3]


def send_partition(records):
    connection = sqlite3.connect(DATABASE, timeout=30)
    with connection:
        connection.executemany("insert into words values (?, ?)", list(records))
    connection.close()


def send_rdd(rdd):
    if not rdd.isEmpty():
        rdd.foreachPartition(send_partition)


connection = sqlite3.connect(DATABASE)
connection.execute("create table if not exists words (word text, n int)")
connection.close()
ssc = StreamingContext(SparkContext(appName="DatabaseOutput"), 1)
lines = ssc.socketTextStream(sys.argv[1], int(sys.argv[2]))
lines.map(lambda word: (word, len(word))).foreachRDD(send_rdd)
ssc.start()
ssc.awaitTermination()
