"""Step 5 of docs/how-to/leave.md: nothing of dstreams is left.

python examples/leave/step_5.py FEED DIRECTORY
"""

import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

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
lines = read(spark)
words = lines.select(sf.explode(sf.split("value", r"\s+")).alias("word"), sf.lit(1).cast("bigint").alias("n"), "at")
words = words.where("word != ''")

carried = spark.readStream.schema("word STRING, n BIGINT").json(f"{DIRECTORY}/carried")  # the state of step 3
totals = words.select("word", "n").union(carried).groupBy("word").agg(sf.sum("n").alias("n"))
window = (
    words.withWatermark("at", "10 seconds")
    .groupBy(sf.window("at", "10 seconds", "1 second"), "word").agg(sf.sum("n").alias("n"))
    .select(sf.col("window.end").alias("until"), "word", "n")
)  # fmt: skip

start(lines.select("value"), save_lines, "append")
start(totals, save_totals, "complete")
start(window, save_window, "update")
spark.streams.awaitAnyTermination()
