"""The program whose JVM leaves the archive of classes: a bit of everything that programs use, on local data.

Run as ``python -m dstreams._run.warm_up_program`` in a folder of its own, where it leaves files.
"""

from __future__ import annotations

import threading
from operator import add, sub
from pathlib import Path
from typing import Any

from pyspark import SparkConf

from dstreams import StreamingContext, StreamingListener
from dstreams._run.launch import QUIET
from dstreams._spark.gateway import end_jvm

BATCHES = 4
SETTINGS = QUIET | {
    "spark.master": "local[2]",
    "spark.app.name": "dstreams warm-up",
    "spark.default.parallelism": "2",
}


class _Enough(StreamingListener):
    """Counts batches."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._seen = 0

    def onBatchCompleted(self, batchCompleted: Any) -> None:
        self._seen += 1
        if self._seen >= BATCHES:
            self.reached.set()


def main() -> int:
    """Run some batches, end the JVM in good order, and wait for what it does at its end.

    Returns
    -------
    int
        Exit code of the JVM.
    """
    conf = SparkConf()
    for key, value in SETTINGS.items():
        conf.set(key, value)
    ssc = StreamingContext(conf, 1)
    ssc.checkpoint("checkpoint")
    enough = _Enough()
    ssc.addStreamingListener(enough)
    words = ssc.queueStream([[("a", 1), ("b", 1)]] * 2)
    words.reduceByKey(add).pprint()
    words.updateStateByKey(lambda new, old: sum(new) + (old or 0)).pprint()
    words.reduceByKeyAndWindow(add, sub, 2, 1).pprint()
    Path("incoming").mkdir()
    ssc.textFileStream("incoming").flatMap(str.split).countByValue().pprint()
    ssc.start()
    Path("lines.txt").write_text("to be or not to be\n")
    Path("lines.txt").rename("incoming/lines.txt")
    while not enough.reached.is_set() and not ssc.awaitTerminationOrTimeout(0.2):
        continue
    ssc.stop(stopGraceFully=True)
    return end_jvm()


if __name__ == "__main__":
    raise SystemExit(main())
