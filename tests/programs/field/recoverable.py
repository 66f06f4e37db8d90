import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext


def create_context(host, port):
    ssc = StreamingContext(SparkContext(appName="Recoverable"), 1)
    lines = ssc.socketTextStream(host, port)
    lines.countByValue().pprint()
    return ssc


if __name__ == "__main__":
    host, port, checkpoint = sys.argv[1:]
    ssc = StreamingContext.getOrCreate(checkpoint, lambda: create_context(host, int(port)))
    ssc.start()
    ssc.awaitTermination()
