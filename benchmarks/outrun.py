"""Let a receiver bring in more than the program can take, and watch its memory; ``make soak-receiver`` (``MINUTES=5``).

The receiver stores numbered records of 100 bytes as fast as it may, with a checkpoint directory and so with a
write-ahead log; the program takes some 20 microseconds for each, on ``local[2]``. At the end what the batches counted
must be the first so many numbers, each once. Writes ``results/outrun.json``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from itertools import count
from pathlib import Path
from statistics import mean

from tests.recovery.killer import processes

RESULT = Path(__file__).resolve().parent / "results" / "outrun.json"
SAMPLE_SECONDS = 5
PAGES_PER_MIB = 2**20 // os.sysconf("SC_PAGE_SIZE")


# ---------------------------------------------------------------------- the program


def work(record):
    """Take a while, and give the record's number."""
    end = time.perf_counter() + 2e-5
    while time.perf_counter() < end:
        pass
    return int(record[:12])


def program(checkpoint, report):
    from pyspark import SparkConf

    from dstreams import StreamingContext
    from dstreams.receiver import Receiver

    class Numbers(Receiver):
        def onStart(self):
            threading.Thread(target=self.receive, daemon=True).start()

        def receive(self):
            for first in count(0, 1000):
                self.store([f"{number:012d}{'x' * 88}" for number in range(first, first + 1000)])

    def note(moment, rdd):
        found, total = rdd.map(work).aggregate((0, 0), lambda at, n: (at[0] + 1, at[1] + n), _both)
        with open(report, "a") as file:
            file.write(json.dumps({"records": found, "total": total, "late": time.time() - moment.timestamp()}) + "\n")

    conf = SparkConf().setMaster("local[2]").setAppName("outrun").set("spark.driver.memory", "1g")
    ssc = StreamingContext(conf.set("spark.ui.enabled", "false"), 1)
    ssc.checkpoint(checkpoint)
    ssc.receiverStream(Numbers()).foreachRDD(note)
    ssc.start()
    ssc.awaitTermination()


def _both(one, other):
    return one[0] + other[0], one[1] + other[1]


# ---------------------------------------------------------------------- what watches it


def main(minutes):
    with tempfile.TemporaryDirectory(prefix="dstreams-outrun-") as scratch:
        checkpoint, report, log = (Path(scratch, name) for name in ("checkpoint", "report", "log"))
        command = [sys.executable, __file__, "program", str(checkpoint), str(report)]
        environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
        with log.open("w") as output:
            driver = subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)
        samples, end = [], time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            time.sleep(SAMPLE_SECONDS)
            if driver.poll() is not None:
                sys.exit(f"the program ended with {driver.returncode}\n{log.read_text()[-5000:]}")
            samples.append(sample(driver.pid, checkpoint))
        for pid in processes(driver.pid):
            os.kill(pid, signal.SIGKILL)
        batches = [json.loads(line) for line in report.read_text().splitlines()]
    records = sum(batch["records"] for batch in batches)
    exact = records > 0 and sum(batch["total"] for batch in batches) == records * (records - 1) // 2
    found = {"minutes": minutes, "records": records, "exact": exact, "samples": samples, "batches": batches}
    RESULT.write_text(json.dumps(found) + "\n")
    print(f"{records:,} records in {len(batches)} batches, {'each once' if exact else 'NOT EACH ONCE'}")
    print("| MiB | second quarter | last quarter | most |\n|---|---|---|---|")
    size = len(samples) // 4
    for name in samples[-1]:
        values = [row[name] for row in samples]
        print(f"| {name} | {mean(values[size : 2 * size]):.0f} | {mean(values[-size:]):.0f} | {max(values)} |")
    if not exact:
        sys.exit(1)


def sample(driver, checkpoint):
    """Memory by kind of process, and the size of the checkpoint directory, in MiB."""
    found = {"driver, Python": 0, "JVM": 0, "workers, Python": 0, "checkpoint directory": 0}
    for pid in processes(driver):
        try:
            java = b"java" in Path(f"/proc/{pid}/cmdline").read_bytes().split(bytes(1))[0]
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        kind = "driver, Python" if pid == driver else "JVM" if java else "workers, Python"
        found[kind] += round(pages / PAGES_PER_MIB)
    for path in checkpoint.rglob("*"):
        try:
            found["checkpoint directory"] += path.stat().st_size
        except FileNotFoundError:  # deleted meanwhile
            continue
    found["checkpoint directory"] //= 2**20
    return found


if __name__ == "__main__":
    if sys.argv[1] == "program":
        program(*sys.argv[2:])
    else:
        main(float(sys.argv[1]))
