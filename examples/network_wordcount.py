"""Count the words of each second's text from a TCP server.

An ordinary DStream program: it imports `pyspark.streaming` and knows nothing of dstreams. Run it with

    python -m dstreams examples/network_wordcount.py localhost 9999

while `nc -lk 9999` (or `python examples/word_feed.py 9999`) serves text in another terminal.
"""

import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

if __name__ == "__main__":
    host, port = sys.argv[1], int(sys.argv[2])
    sc = SparkContext(appName="NetworkWordCount")
    ssc = StreamingContext(sc, 1)
    lines = ssc.socketTextStream(host, port)
    counts = lines.flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b)
    counts.pprint()
    ssc.start()
    # Without a third argument: until somebody stops it.
    ssc.awaitTermination(float(sys.argv[3]) if len(sys.argv) > 3 else None)
    ssc.stop()
