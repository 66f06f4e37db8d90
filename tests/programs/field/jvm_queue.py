# A stream of a queue of the JVM's own, as programs make it that want to add RDDs while they run.
from pyspark import SparkContext
from pyspark.serializers import BatchedSerializer, CPickleSerializer
from pyspark.streaming import DStream, StreamingContext

sc = SparkContext(appName="JvmQueue")
ssc = StreamingContext(sc, 1)
queue = ssc._jvm.java.util.LinkedList()
stream = DStream(ssc._jssc.queueStream(queue, True), ssc, BatchedSerializer(CPickleSerializer()))
stream.pprint()
ssc.start()
ssc.awaitTermination()
