"""Contexts one after the other in one JVM: from ``StreamingContext(...)`` to the first output. Used by ``child.py``.

For the hand-written job it is from ``readStream`` to the first output of a query that does the same.
"""

from __future__ import annotations

import queue
import tempfile
import time
from pathlib import Path

from engines import TIMEOUT, HandWritten, conf
from pyspark import SparkContext
from workloads import add_up, pair

WORDS = [f"word{n}" for n in range(100)]
seen: queue.Queue = queue.Queue()


def note(rdd):
    """The output; a function of this module, so that the old engine can save it."""
    seen.put((rdd.values().sum(), time.monotonic()))


def run_contexts(engine, state, contexts, interval, scratch):
    """Make so many contexts; a row for each of them.

    The old engine's batches of a queue wait for the clock, so the interval is small; ours are not paced, as in tests.
    """
    if engine == "handwritten":
        return _queries(state, contexts, interval, scratch)
    if engine == "legacy":
        from pyspark.streaming import StreamingContext
    else:
        from dstreams import StreamingContext
    began = time.monotonic()
    sc = SparkContext(conf=conf({"spark.streaming.dstreams.paced": "false", "spark.default.parallelism": "2"}))
    sc.setLogLevel("ERROR")
    rows = [{"context": 0, "ms": round((time.monotonic() - began) * 1000)}]  # the SparkContext alone
    for number in range(1, contexts + 1):
        began = time.monotonic()
        ssc = StreamingContext(sc, interval)
        stream = ssc.queueStream([WORDS] * 3).map(pair)  # lists, not RDDs, which a checkpoint directory has to compute
        if state:
            ssc.checkpoint(tempfile.mkdtemp(dir=scratch))
            stream = stream.updateStateByKey(add_up)
        stream.foreachRDD(note)
        ssc.start()
        found, at = seen.get(timeout=TIMEOUT)
        if found != len(WORDS):
            raise AssertionError(f"{engine}: the first output has {found} words, not {len(WORDS)}")
        rows.append({"context": number, "ms": round((at - began) * 1000)})
        ssc.stop(stopSparkContext=False)
        while not seen.empty():
            seen.get()
    return rows


def _queries(state, contexts, interval, scratch):
    """The same for the hand-written job, whose batch is a file."""
    directory = Path(scratch, "words")
    directory.mkdir()
    (directory / "batch.txt").write_text("".join(f"{n},1\n" if state else f"{word}\n" for n, word in enumerate(WORDS)))
    began = time.monotonic()
    run = HandWritten(interval)
    rows = [{"context": 0, "ms": round((time.monotonic() - began) * 1000)}]
    for number in range(1, contexts + 1):
        began = time.monotonic()
        start = run.start_sums if state else run.start
        start(str(directory), lambda _, count: seen.put((count, time.monotonic())))
        found, at = seen.get(timeout=TIMEOUT)
        if found != len(WORDS):
            raise AssertionError(f"hand-written: the first output has {found} words, not {len(WORDS)}")
        rows.append({"context": number, "ms": round((at - began) * 1000)})
        run.stop()
    return rows
