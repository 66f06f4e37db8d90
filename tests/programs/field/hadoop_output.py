# Takes an output for granted that only Scala's streams have.
import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

ssc = StreamingContext(SparkContext(appName="HadoopOutput"), 1)
pairs = ssc.socketTextStream(sys.argv[1], int(sys.argv[2])).map(lambda line: (line, 1))
pairs.saveAsHadoopFiles("counts", "seq")
ssc.start()
ssc.awaitTermination()
