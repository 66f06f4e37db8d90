"""What happened in the last seconds: counts over a sliding window.

python examples/windows.py
"""

import tempfile
from operator import add, sub

from pyspark import SparkContext

from dstreams import StreamingContext

sc = SparkContext("local[2]", "windows")
sc.setLogLevel("ERROR")
ssc = StreamingContext(sc, 1)
ssc.checkpoint(tempfile.mkdtemp())  # an inverse function makes it a state

clicks = ssc.queueStream([["home"], ["home", "cart"], ["cart"], [], ["home"], [], []]).map(lambda page: (page, 1))
clicks.reduceByKeyAndWindow(add, sub, 3, 1, filterFunc=lambda pair: pair[1] > 0).pprint()  # of 3 s, each second
clicks.groupByKeyAndWindow(4, 2).mapValues(len).pprint()  # of 4 s, every 2 s

ssc.start()
ssc.awaitTerminationOrTimeout(20)
ssc.stop(stopGraceFully=True)
