"""A source of one's own: whatever a Python program can read. Here, the temperature of a machine that we make up.

python examples/own_receiver.py
"""

import math
import threading
import time

from pyspark import SparkContext

from dstreams import StreamingContext
from dstreams.receiver import Receiver


class Thermometer(Receiver):
    """Measures ten times in a second."""

    def onStart(self):
        threading.Thread(target=self.measure, daemon=True).start()

    def measure(self):
        while not self.isStopped():
            self.store(20 + 5 * math.sin(time.time()))
            time.sleep(0.1)


sc = SparkContext("local[2]", "own receiver")
sc.setLogLevel("ERROR")
ssc = StreamingContext(sc, 1)
degrees = ssc.receiverStream(Thermometer())
degrees.map(lambda degree: f"{degree:.1f} degrees").pprint(2)
degrees.count().pprint()

ssc.start()
ssc.awaitTerminationOrTimeout(15)
ssc.stop(stopGraceFully=True)
