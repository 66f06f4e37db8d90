"""Step 1 of docs/how-to/leave.md: the DStream program, with names for what keeps state.

python examples/leave/step_1.py localhost 9999 DIRECTORY
"""

import json
import sys
from operator import add

from pyspark import SparkConf, SparkContext

from dstreams import StreamingContext

HOST, PORT, DIRECTORY = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def count(new, total):
    return sum(new) + (total or 0)


def total_line(pair):
    return json.dumps({"word": pair[0], "n": pair[1]})


def window_lines(time, rdd):
    return rdd.map(lambda pair: json.dumps({"until": time.isoformat(), "word": pair[0], "n": pair[1]}))


def setup():
    conf = SparkConf().setAppName("words").set("spark.streaming.stopGracefullyOnShutdown", "true")
    ssc = StreamingContext(SparkContext(conf=conf), 1)
    lines = ssc.socketTextStream(HOST, PORT).named("feed")
    words = lines.flatMap(str.split).map(lambda word: (word, 1))
    totals = words.updateStateByKey(count).named("totals")
    window = words.reduceByKeyAndWindow(add, None, 10, 1).named("window")

    lines.saveAsTextFiles(f"{DIRECTORY}/lines/batch")
    totals.map(total_line).saveAsTextFiles(f"{DIRECTORY}/totals/batch")
    window.transform(window_lines).saveAsTextFiles(f"{DIRECTORY}/window/batch")
    return ssc


ssc = StreamingContext.getOrCreate(f"{DIRECTORY}/checkpoint", setup)
ssc.start()
ssc.awaitTermination()
