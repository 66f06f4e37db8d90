#!/usr/bin/env python3
"""Make an archive of the classes that Spark loads for a program, so that the JVMs of the tests start faster.

Called by `make test` and others, once. Java reads classes from such an archive in place of verifying some 20,000 of
them anew (class data sharing); a JVM that cannot use it loads them as ever. It is a matter of speed only: nothing that
the package does depends on it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARCHIVE = ROOT / ".cache" / "spark.jsa"

PROGRAM = """
import sys, tempfile
from pyspark import SparkConf, SparkContext
from dstreams import StreamingContext

conf = SparkConf().setMaster("local[2]").set("spark.ui.enabled", "false").set("spark.log.level", "ERROR")
conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
conf.set("spark.default.parallelism", "2").set("spark.streaming.dstreams.paced", "false")
sc = SparkContext(conf=conf)
ssc = StreamingContext(sc, 1)
ssc.checkpoint(tempfile.mkdtemp(dir=sys.argv[1]))
words = ssc.queueStream([[("a", 1)], [("b", 1)]])
words.reduceByKey(max).pprint()
words.updateStateByKey(lambda new, old: sum(new) + (old or 0)).pprint()
ssc.textFileStream(sys.argv[1]).pprint()
ssc.start()
ssc.awaitTerminationOrTimeout(12)
ssc.stop(stopGraceFully=True)
"""


def main() -> None:
    """Make the archive; a failure is told and does no harm."""
    ARCHIVE.parent.mkdir(exist_ok=True)
    ARCHIVE.unlink(missing_ok=True)
    print("[setup] making an archive of Spark's classes, so that tests start faster; this takes a minute", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"SPARK_SUBMIT_OPTS": f"-XX:ArchiveClassesAtExit={ARCHIVE} -Xlog:cds*=off"}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, folder],
            env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    if not ARCHIVE.exists():
        print(f"[setup] there is none (tests are slower without): {(done.stdout + done.stderr)[-500:]}", flush=True)


if __name__ == "__main__":
    main()
