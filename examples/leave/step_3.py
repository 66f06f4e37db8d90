"""Step 3 of docs/how-to/leave.md: outputs are functions of a DataFrame, as foreachBatch will call them.

python examples/leave/step_3.py FEED DIRECTORY
"""

import os
import sys
from operator import add

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from dstreams import StreamingContext

FEED, DIRECTORY = sys.argv[1:]


def read(spark):
    return spark.readStream.text(FEED)


def count(new, total):
    return sum(new) + (total or 0)


def save_lines(batch, batch_id):
    batch.write.mode("overwrite").text(f"{DIRECTORY}/lines/batch-{batch_id}")


def save_totals(batch, batch_id):
    batch.write.mode("overwrite").json(f"{DIRECTORY}/totals/batch-{batch_id}")


def save_window(batch, batch_id):
    batch.write.mode("overwrite").json(f"{DIRECTORY}/window/batch-{batch_id}")


def with_frames(save, schema, row):
    """For foreachRDD, what saves the DataFrame of a batch."""

    def each_batch(time, rdd):
        frame = SparkSession.builder.getOrCreate().createDataFrame(rdd.map(lambda record: row(time, record)), schema)
        save(frame, int(time.timestamp() * 1000))

    return each_batch


def setup():
    conf = SparkConf().setAppName("words").set("spark.streaming.stopGracefullyOnShutdown", "true")
    ssc = StreamingContext(SparkContext(conf=conf), 1)
    lines = ssc.dataFrameStream(read).named("files").map(lambda row: row.value)
    words = lines.flatMap(str.split).map(lambda word: (word, 1))
    totals = words.updateStateByKey(count).named("totals")
    window = words.reduceByKeyAndWindow(add, None, 10, 1).named("window")

    lines.foreachRDD(with_frames(save_lines, "value STRING", lambda time, line: (line,)))
    totals.foreachRDD(with_frames(save_totals, "word STRING, n BIGINT", lambda time, pair: pair))
    window.foreachRDD(
        with_frames(save_window, "until TIMESTAMP, word STRING, n BIGINT", lambda time, pair: (time, *pair))
    )
    return ssc


os.makedirs(FEED, exist_ok=True)
ssc = StreamingContext.getOrCreate(f"{DIRECTORY}/checkpoint", setup, upgrade=True)
ssc.start()
ssc.awaitTermination()
