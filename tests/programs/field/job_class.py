# An application that is a class, with settings for production.
import sys

from pyspark import SparkConf, SparkContext
from pyspark.streaming import StreamingContext
from pyspark.streaming.dstream import DStream


class ClickJob(object):
    def __init__(self, host, port):
        conf = SparkConf().setAppName("Clicks")
        conf.set("spark.streaming.stopGracefullyOnShutdown", "true").set("spark.streaming.concurrentJobs", "2")
        self.sc = SparkContext.getOrCreate(conf)
        self.ssc = StreamingContext(self.sc, batchDuration=1)
        self.host, self.port = host, port

    def source(self):
        return self.ssc.socketTextStream(self.host, self.port)

    @staticmethod
    def clean(lines: DStream) -> DStream:
        return lines.map(lambda line: line.strip()).filter(lambda line: line)

    def run(self):
        self.clean(self.source()).countByValue().pprint()
        self.ssc.start()
        self.ssc.awaitTermination()


if __name__ == "__main__":
    ClickJob(sys.argv[1], int(sys.argv[2])).run()
