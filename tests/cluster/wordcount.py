"""A program with state: ``wordcount.py CHECKPOINT BATCHES``. It prints the counts after each batch, and ends.

The batches are lists of lines, as JSON.
"""

import json
import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

BATCHES = json.loads(sys.argv[2])

ssc = StreamingContext(SparkContext(), 0.2)
ssc.checkpoint(sys.argv[1])
done = []


def show(rdd):
    print(dict(sorted(rdd.collect())), flush=True)
    done.append(1)
    if len(done) == len(BATCHES):
        StreamingContext.getActive().stop(stopGraceFully=True)


words = ssc.queueStream(BATCHES).flatMap(str.split).map(lambda word: (word, 1))
words.updateStateByKey(lambda new, old: sum(new) + (old or 0)).foreachRDD(show)
ssc.start()
ssc.awaitTermination()
