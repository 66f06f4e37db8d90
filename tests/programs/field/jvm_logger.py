import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext


def quiet(context):
    log4j = context._jvm.org.apache.log4j
    log4j.Logger.getLogger("org").setLevel(log4j.Level.ERROR)


sc = SparkContext(appName="JvmLogger")
ssc = StreamingContext(sc, 1)
quiet(ssc)
ssc.socketTextStream(sys.argv[1], int(sys.argv[2])).pprint()
ssc.start()
ssc.awaitTermination()
