from pyspark import SparkContext
from pyspark.streaming import StreamingContext

sc = SparkContext("local[2]", "QueueSquares")
ssc = StreamingContext(sc, 1)
rdd_queue = []
for i in range(3):
    rdd_queue += [ssc.sparkContext.parallelize(range(i, i + 3), 2)]
input_stream = ssc.queueStream(rdd_queue)
input_stream.map(lambda x: x * x).reduce(lambda a, b: a + b).pprint()
ssc.start()
ssc.awaitTermination()
