"""Restart after a kill: from the start of the SparkContext to the end of the first batch with all of the state.

Run as a script this is the program, ``python restart.py ENGINE CHECKPOINT INCOMING REPORT``: a running count of the
words of files, restored with ``getOrCreate``. It writes a line of JSON when the SparkContext is about to start, and
one for each batch that has been counted.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

TIMEOUT = 600


def run_restart(engine, scratch, keys, interval):
    """Fill the state, kill the program with everything that it has started, start it again.

    Returns
    -------
    dict
        One row with the time in ms, and the versions that the program told.
    """
    scratch = Path(scratch)
    incoming, report = scratch / "incoming", scratch / "report.jsonl"
    incoming.mkdir()
    command = [sys.executable, __file__, engine, str(scratch / "checkpoint"), str(incoming), str(report)]
    with _process(command, scratch / "log-1.txt") as first:
        _wait(first, report, lambda events: any("count" in event for event in events))
        words = scratch / "words.txt"
        words.write_text("\n".join(f"key{i}" for i in range(keys)) + "\n")
        os.rename(words, incoming / "words.txt")
        events = _wait(first, report, lambda events: _full(events, keys))
        # The old engine writes the RDD of its state every ten seconds; the kill comes when it has had time for that.
        full = next(event["end"] for event in events if event.get("count") == keys)
        _wait(first, report, lambda events: events[-1].get("end", 0) > full + 12 and _full(events, keys))
    done = len(_events(report))
    with _process(command, scratch / "log-2.txt") as second:
        events = _wait(second, report, lambda events: _full(events[done:], keys))[done:]
    began = next(event["began"] for event in events if "began" in event)
    finished = next(event["end"] for event in events if event.get("count") == keys)
    versions = next(event["versions"] for event in events if "versions" in event)
    return {"rows": [{"ms": round((finished - began) * 1000)}], "versions": versions}


class _process:
    """A program in a session of its own, which is killed with all its processes in the end."""

    def __init__(self, command, log):
        self._command, self._log = command, log

    def __enter__(self):
        with open(self._log, "w") as out:
            self.process = subprocess.Popen(self._command, stdout=out, stderr=out, start_new_session=True)
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def check(self):
        if self.process.poll() is not None:
            raise SystemExit(f"the program ended with {self.process.returncode}\n{self._log.read_text()[-5000:]}")


def _full(events, keys):
    return any(event.get("count") == keys for event in events)


def _events(report):
    return [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []


def _wait(process, report, enough):
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        events = _events(report)
        if enough(events):
            return events
        process.check()
        time.sleep(0.2)
    raise TimeoutError("the batches did not come")


# ---------------------------------------------------------------------- the program


class Report:
    """Writes down each batch; a class of this module, so that it can be restored."""

    def __init__(self, path):
        self.path = path

    def __call__(self, rdd):
        self.write({"count": rdd.count(), "end": time.time()})

    def write(self, event):
        with open(self.path, "a") as out:
            out.write(json.dumps(event) + "\n")


def program(engine, checkpoint, incoming, path):
    import engines
    from pyspark import SparkContext
    from workloads import running_word_count

    if engine == "legacy":
        from pyspark.streaming import StreamingContext
    else:
        from dstreams import StreamingContext

    report = Report(path)
    report.write({"began": time.time()})
    sc = SparkContext(conf=engines.conf({"spark.driver.memory": "4g"}))
    sc.setLogLevel("ERROR")

    def setup():
        ssc = StreamingContext(sc, 1)
        counts = running_word_count(ssc.textFileStream(incoming))
        counts.foreachRDD(lambda rdd: report(rdd))  # the old engine asks a function for its code
        return ssc

    report.write({"versions": engines.versions(sc)})
    ssc = StreamingContext.getOrCreate(checkpoint, setup)
    ssc.start()
    ssc.awaitTermination()


if __name__ == "__main__":
    sys.modules["restart"] = sys.modules["__main__"]
    Report.__module__ = "restart"
    program(*sys.argv[1:])
