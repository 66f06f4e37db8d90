import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext, StreamingListener


class BatchListener(StreamingListener):
    def __init__(self, path):
        self.path = path

    def onBatchCompleted(self, batchCompleted):
        info = batchCompleted.batchInfo()
        with open(self.path, "a") as log:
            log.write("%d %d\n" % (info.batchTime().milliseconds(), info.numRecords()))

    class Java:
        implements = ["org.apache.spark.streaming.api.java.PythonStreamingListener"]


ssc = StreamingContext(SparkContext(appName="Listener"), 1)
ssc.addStreamingListener(BatchListener(sys.argv[3]))
ssc.socketTextStream(sys.argv[1], int(sys.argv[2])).count().pprint()
ssc.start()
ssc.awaitTermination()
