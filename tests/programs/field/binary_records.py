import struct
import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

sc = SparkContext(appName="BinaryRecords")
ssc = StreamingContext(sc, 5)
records = ssc.binaryRecordsStream(sys.argv[1], recordLength=8)
records.map(lambda record: struct.unpack("<ii", record)).groupByKey().mapValues(sorted).pprint()
ssc.start()
ssc.awaitTermination()
