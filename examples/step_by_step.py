"""Migrating step by step: a streaming DataFrame comes in, a DStream program works on it, and goes on natively.

python examples/step_by_step.py
"""

import tempfile

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from dstreams import StreamingContext

spark = SparkSession.builder.master("local[2]").appName("step by step").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
ssc = StreamingContext(spark.sparkContext, 1)

numbers = ssc.dataFrameStream(lambda spark: spark.readStream.format("rate").option("rowsPerSecond", 3).load())
squares = numbers.map(lambda row: (row.value, row.value**2))  # the part that is still a DStream program
squares.pprint(3)

# And the part that has been migrated: a query of Spark's own on the same stream.
frame = squares.toDF("n BIGINT, square BIGINT", spark)
query = (
    frame.where(sf.col("n") % 2 == 0).writeStream.format("console")
    .option("checkpointLocation", tempfile.mkdtemp()).trigger(processingTime="2 seconds").start()
)  # fmt: skip

ssc.start()
ssc.awaitTerminationOrTimeout(15)
query.stop()
ssc.stop(stopGraceFully=True)
