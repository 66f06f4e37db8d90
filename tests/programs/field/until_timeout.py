import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

sc = SparkContext(appName="UntilTimeout")
ssc = StreamingContext(sc, 1)
ssc.queueStream([["a", "b"], ["c"]]).map(lambda x: x * 2).pprint()
ssc.start()
while not ssc.awaitTerminationOrTimeout(10):
    pass
ssc.stop(stopSparkContext=False, stopGraceFully=True)
