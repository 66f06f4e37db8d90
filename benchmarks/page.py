"""What Spark's Streaming page costs a batch: the same program without a UI, with it, and with the page in it.

``python benchmarks/page.py [--rounds N]``; raw rows go to ``benchmarks/results/page.json``. A word count with state
over a queue, batches as fast as they go; the figure is the median time from one batch's end to the next one's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results" / "page.json"
KINDS = {
    "no UI": {"spark.ui.enabled": "false"},
    "UI": {"spark.ui.port": "0", "spark.streaming.ui.enabled": "false"},
    "UI with the page": {"spark.ui.port": "0"},
}
BATCHES, WARM = 150, 50


def child(kind: str) -> None:
    """Run the program in this process, and print the time of its batches in ms."""
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    import threading
    import time

    from pyspark import SparkConf

    from dstreams import StreamingContext

    settings = {"spark.master": "local[2]", "spark.app.name": "page", "spark.ui.showConsoleProgress": "false",
                "spark.log.level": "ERROR", "spark.streaming.dstreams.paced": "false", **KINDS[kind]}  # fmt: skip
    conf = SparkConf()
    for key, value in settings.items():
        conf.set(key, value)
    ended: list[float] = []
    done = threading.Event()

    def look(rdd):
        rdd.count()
        ended.append(time.perf_counter())
        if len(ended) == BATCHES:
            done.set()

    with tempfile.TemporaryDirectory() as folder:
        ssc = StreamingContext(conf, 1)
        ssc.sparkContext.setCheckpointDir(folder)
        words = ssc.queueStream([[(f"w{n}", 1) for n in range(100)]] * (BATCHES * 2))
        words.updateStateByKey(lambda new, old: sum(new) + (old or 0)).foreachRDD(look)
        ssc.start()
        assert done.wait(300)
        ssc.stop()
    print(json.dumps([1000 * (b - a) for a, b in zip(ended[WARM:BATCHES], ended[WARM + 1 : BATCHES], strict=False)]))


def main() -> None:
    """Run all kinds in turn, and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child")
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    rows = []
    for number in range(options.rounds):
        for kind in KINDS:
            command = [sys.executable, __file__, "--child", kind]
            ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
            times = json.loads(ended.stdout.splitlines()[-1])
            rows.append({"round": number, "kind": kind, "ms": statistics.median(times)})
            print(f"round {number + 1}, {kind}: {rows[-1]['ms']:.1f} ms a batch", flush=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    for kind in KINDS:
        print(f"{kind}: {statistics.median(row['ms'] for row in rows if row['kind'] == kind):.1f} ms a batch")


if __name__ == "__main__":
    main()
