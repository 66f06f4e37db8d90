"""Step 4 of docs/how-to/leave.md: state and outputs are native; functions of single records are still dstreams'.

python examples/leave/step_4.py FEED DIRECTORY
"""

import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from dstreams import StreamingContext

FEED, DIRECTORY = sys.argv[1:]


def read(spark):
    return spark.readStream.text(FEED).select("value", sf.col("_metadata.file_modification_time").alias("at"))


def save_lines(batch, batch_id):
    batch.write.mode("overwrite").text(f"{DIRECTORY}/lines/batch-{batch_id}")


def save_totals(batch, batch_id):
    batch.write.mode("overwrite").json(f"{DIRECTORY}/totals/batch-{batch_id}")


def save_window(batch, batch_id):
    batch.write.mode("overwrite").json(f"{DIRECTORY}/window/batch-{batch_id}")


def start(frame, save, mode):
    """Start the query that saves a DataFrame."""
    checkpoint = f"{DIRECTORY}/native/{save.__name__}"
    writer = frame.writeStream.outputMode(mode).foreachBatch(save).queryName(save.__name__)
    return writer.option("checkpointLocation", checkpoint).trigger(processingTime="1 second").start()


os.makedirs(FEED, exist_ok=True)
spark = SparkSession.builder.appName("words").getOrCreate()
ssc = StreamingContext(spark.sparkContext, 1)  # never started: its streams become DataFrames
lines = ssc.dataFrameStream(read)
words = lines.flatMap(lambda row: [(word, 1, row.at) for word in row.value.split()])

line_frame = lines.map(lambda row: (row.value,)).toDF("value STRING", spark)
word_frame = words.toDF("word STRING, n BIGINT, at TIMESTAMP", spark)
carried = spark.readStream.schema("word STRING, n BIGINT").json(f"{DIRECTORY}/carried")  # the state of step 3
totals = word_frame.select("word", "n").union(carried).groupBy("word").agg(sf.sum("n").alias("n"))
window = (
    word_frame.withWatermark("at", "10 seconds")
    .groupBy(sf.window("at", "10 seconds", "1 second"), "word").agg(sf.sum("n").alias("n"))
    .select(sf.col("window.end").alias("until"), "word", "n")
)  # fmt: skip

start(line_frame, save_lines, "append")
start(totals, save_totals, "complete")
start(window, save_window, "update")
spark.streams.awaitAnyTermination()
