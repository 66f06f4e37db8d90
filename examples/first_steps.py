"""A first program of one's own, without any server: its input is a list, one element for each batch.

python examples/first_steps.py
"""

from pyspark import SparkContext

from dstreams import StreamingContext

LINES = [["to be or not to be"], ["that is the question"], [], ["whether tis nobler", "in the mind to suffer"]]

sc = SparkContext("local[2]", "first steps")
sc.setLogLevel("ERROR")
ssc = StreamingContext(sc, 1)  # a batch every second

lines = ssc.queueStream(LINES)
words = lines.flatMap(str.split)
words.map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b).pprint(3)
# The real RDD of each batch is at hand too, with everything that RDDs can do.
words.transform(lambda rdd: rdd.distinct().sortBy(len, ascending=False)).pprint(1)
words.count().foreachRDD(lambda time, rdd: print(f"{time:%H:%M:%S}: {sum(rdd.collect())} words"))

ssc.start()
ssc.awaitTerminationOrTimeout(15)
ssc.stop(stopGraceFully=True)
