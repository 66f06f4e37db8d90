"""State that survives: totals go on where they were, however the program ended. Start it twice.

python examples/running_totals.py [DIRECTORY]
"""

import os
import sys
import tempfile

from pyspark import SparkContext

from dstreams import StreamingContext

DIRECTORY = sys.argv[1] if len(sys.argv) > 1 else os.path.join(tempfile.gettempdir(), "dstreams-running-totals")


def setup():
    """Called for the first start only; later ones find the program in its directory."""
    sc = SparkContext("local[2]", "running totals")
    sc.setLogLevel("ERROR")
    ssc = StreamingContext(sc, 1)
    orders = ssc.queueStream([[("alice", 12), ("bob", 3)], [("alice", 1)], [("carol", 7)]], default=[("bob", 1)])
    totals = orders.updateStateByKey(lambda new, total: sum(new) + (total or 0))
    totals.pprint()
    return ssc


ssc = StreamingContext.getOrCreate(DIRECTORY, setup)
ssc.start()
ssc.awaitTerminationOrTimeout(20)
ssc.stop(stopGraceFully=True)
print(f"Start it again: the totals in {DIRECTORY} go on.")
