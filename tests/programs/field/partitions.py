import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

sc = SparkContext(appName="Partitions")
ssc = StreamingContext(sc, 1)
numbers = ssc.socketTextStream(sys.argv[1], int(sys.argv[2])).map(int)
means = numbers.map(lambda n: (n % 2, n)).combineByKey(
    lambda n: (n, 1), lambda acc, n: (acc[0] + n, acc[1] + 1), lambda a, b: (a[0] + b[0], a[1] + b[1]), 2)
means.mapValues(lambda acc: acc[0] / float(acc[1])).pprint()
numbers.repartition(1).glom().pprint()
numbers.mapPartitions(lambda part: [sum(part)]).pprint()
numbers.mapPartitionsWithIndex(lambda index, part: [(index, n) for n in part]).partitionBy(2).pprint()
ssc.start()
ssc.awaitTermination()
