import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext
from pyspark.streaming.flume import FlumeUtils

ssc = StreamingContext(SparkContext(appName="FlumePolling"), 1)
addresses = [(sys.argv[1], int(sys.argv[2]))]
FlumeUtils.createPollingStream(ssc, addresses).map(lambda x: x[1]).pprint()
ssc.start()
ssc.awaitTermination()
