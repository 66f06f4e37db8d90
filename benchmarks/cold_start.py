"""Seconds from nothing to ten batches with state, in a process that has just started: what a small test costs.

python benchmarks/cold_start.py
SPARK_SUBMIT_OPTS='-XX:SharedArchiveFile=.cache/spark.jsa -XX:TieredStopAtLevel=1' python benchmarks/cold_start.py
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

from pyspark import SparkConf, SparkContext

from dstreams import StreamingContext, StreamingListener

BATCHES = 10
# When the process started, before anything was imported: its age, from its start in ticks since the machine's start.
TICKS = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
done = threading.Event()


def say(what):
    print(f"{what}: {time.clock_gettime(time.CLOCK_BOOTTIME) - TICKS:.1f} s", flush=True)


class Counter(StreamingListener):
    """Counts batches."""

    seen = 0

    def onBatchCompleted(self, event):
        self.seen += 1
        if self.seen == 1:
            say("first batch")
        if self.seen == BATCHES:
            done.set()


conf = SparkConf().setMaster("local[2]").set("spark.ui.enabled", "false").set("spark.log.level", "ERROR")
conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
conf.set("spark.default.parallelism", "2").set("spark.streaming.dstreams.paced", "false")
sc = SparkContext(conf=conf)
say("SparkContext")
ssc = StreamingContext(sc, 1)
ssc.checkpoint(tempfile.mkdtemp())
ssc.addStreamingListener(Counter())
totals = ssc.queueStream([[("a", 1)]] * BATCHES).updateStateByKey(lambda new, old: sum(new) + (old or 0))
totals.foreachRDD(lambda rdd: rdd.collect())
ssc.start()
say("started")
done.wait(300)
say(f"{BATCHES} batches")
ssc.stop()
