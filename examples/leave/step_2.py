"""Step 2 of docs/how-to/leave.md: the source is one of Spark's own, the rest is as it was.

python examples/leave/step_2.py FEED DIRECTORY
"""

import json
import os
import sys
from operator import add

from pyspark import SparkConf, SparkContext

from dstreams import StreamingContext

FEED, DIRECTORY = sys.argv[1:]


def read(spark):
    return spark.readStream.text(FEED)


def count(new, total):
    return sum(new) + (total or 0)


def total_line(pair):
    return json.dumps({"word": pair[0], "n": pair[1]})


def window_lines(time, rdd):
    return rdd.map(lambda pair: json.dumps({"until": time.isoformat(), "word": pair[0], "n": pair[1]}))


def setup():
    conf = SparkConf().setAppName("words").set("spark.streaming.stopGracefullyOnShutdown", "true")
    ssc = StreamingContext(SparkContext(conf=conf), 1)
    lines = ssc.dataFrameStream(read).named("files").map(lambda row: row.value)
    words = lines.flatMap(str.split).map(lambda word: (word, 1))
    totals = words.updateStateByKey(count).named("totals")
    window = words.reduceByKeyAndWindow(add, None, 10, 1).named("window")

    lines.saveAsTextFiles(f"{DIRECTORY}/lines/batch")
    totals.map(total_line).saveAsTextFiles(f"{DIRECTORY}/totals/batch")
    window.transform(window_lines).saveAsTextFiles(f"{DIRECTORY}/window/batch")
    return ssc


os.makedirs(FEED, exist_ok=True)
ssc = StreamingContext.getOrCreate(f"{DIRECTORY}/checkpoint", setup, upgrade=True)
ssc.start()
ssc.awaitTermination()
