import sys

from pyspark import SparkContext, StorageLevel
from pyspark.streaming import StreamingContext

ssc = StreamingContext(SparkContext(appName="Persisted"), 1)
ssc.checkpoint("checkpoint")
lines = ssc.socketTextStream(sys.argv[1], int(sys.argv[2]), StorageLevel.MEMORY_ONLY)
pairs = lines.map(lambda line: (line, 1)).persist(StorageLevel.MEMORY_AND_DISK)
pairs.checkpoint(10)
pairs.groupByKeyAndWindow(2, 1).mapValues(sum).pprint()
pairs.cache().count().pprint()
ssc.start()
ssc.awaitTermination()
