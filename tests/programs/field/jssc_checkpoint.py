import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

streaming_context = StreamingContext(SparkContext(appName="JsscCheckpoint"), 1)
streaming_context._jssc.checkpoint("checkpoint")
streaming_context.socketTextStream(sys.argv[1], int(sys.argv[2])).pprint()
streaming_context.start()
streaming_context.awaitTermination()
