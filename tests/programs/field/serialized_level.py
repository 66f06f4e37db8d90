import sys

from pyspark import SparkContext, StorageLevel
from pyspark.streaming import StreamingContext

ssc = StreamingContext(SparkContext(appName="SerializedLevel"), 1)
lines = ssc.socketTextStream(sys.argv[1], int(sys.argv[2]), StorageLevel.MEMORY_AND_DISK_SER)
lines.pprint()
ssc.start()
ssc.awaitTermination()
