"""What workers keep of the state has a bound, also where there are more workers than buckets."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.programs.program import SUBMIT, Program

APP = """
import os
import threading
from pyspark import SparkConf, SparkContext
from pyspark.streaming import StreamingContext, StreamingListener

LIMIT = 100_000
sc = SparkContext(conf=SparkConf().set("spark.streaming.dstreams.stateCache", str(LIMIT)))
ssc = StreamingContext(sc, 1)
ssc.checkpoint("checkpoint")
BATCHES, KEYS = 12, 400
enough = threading.Event()


def update(new, old):
    from dstreams._plan import worker

    count, _ = old or (0, "")
    return count + len(new), f"{os.getpid()}:{worker._cache.length}:" + "x" * 500


def look(rdd):
    states = dict(rdd.collect())
    counts = {count for count, _ in states.values()}
    seen = {tuple(map(int, text.split(":")[:2])) for _, text in states.values()}
    assert len(states) == KEYS and len(counts) == 1, "a state is wrong"
    print("batch", counts.pop(), len({pid for pid, _ in seen}), max(length for _, length in seen), flush=True)


class Count(StreamingListener):
    batches = 0

    def onBatchCompleted(self, event):
        self.batches += 1
        if self.batches == BATCHES:
            enough.set()


pairs = ssc.queueStream([[(n, 1) for n in range(KEYS)]] * BATCHES)
# Sixteen buckets of some 13 KB each, and one of an operation with two: eight workers, each of which could have all.
pairs.updateStateByKey(update, 16).foreachRDD(look)
pairs.map(lambda pair: (pair[0] % 2, 1)).updateStateByKey(update, 2).map(lambda pair: (pair[0], pair[1][0])).pprint()
ssc.addStreamingListener(Count())
ssc.start()
assert enough.wait(150)
ssc.stop(stopSparkContext=False, stopGraceFully=True)
"""


def test_more_workers_than_buckets(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    submit = SUBMIT.replace("local[2]", "local[8]") + "--conf spark.streaming.dstreams.paced=false pyspark-shell"
    with Program([sys.executable, "-m", "dstreams", "app.py"], tmp_path, PYSPARK_SUBMIT_ARGS=submit) as program:
        assert program.finish(240) == 0, program.report()
    batches = [list(map(int, line.split()[1:])) for line in program.lines if line.startswith("batch ")]
    assert [count for count, _, _ in batches[:12]] == list(range(1, 13)), program.report()
    kept = [length for _, _, length in batches]
    assert 0 < max(kept) <= 100_000, kept
