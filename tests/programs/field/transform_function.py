# Has a function called by the JVM for each batch, with the old engine's own wrapper for it.
import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext
from pyspark.streaming.util import TransformFunction

sc = SparkContext(appName="TransformFunction")
ssc = StreamingContext(sc, 1)
lines = ssc.socketTextStream(sys.argv[1], int(sys.argv[2]))
jfunc = TransformFunction(sc, lambda t, rdd: rdd.foreach(print), sc.serializer)
ssc._jvm.PythonDStream.callForeachRDD(lines._jdstream, jfunc)
ssc.start()
ssc.awaitTermination()
