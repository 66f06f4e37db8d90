"""One engine, one workload, one process: ``python child.py JOB RESULT``, two JSON files. Started by ``run.py``."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import contexts
import engines
import kafka
import restart
from pyspark import SparkContext

job = json.loads(Path(sys.argv[1]).read_text())
paces = {name: job[name] for name in ("interval", "warm_up", "measured")}
with tempfile.TemporaryDirectory(dir=job["scratch"]) as scratch:
    if job["kind"] == "words":
        rows = engines.run_words(job["engine"], job["files"], job["expected"], scratch, **paces)
    elif job["kind"] in ("empty", "empty-state"):
        rows = engines.run_empty(job["engine"], scratch, job["kind"] == "empty-state", **paces)
    elif job["kind"] == "contexts":
        rows = contexts.run_contexts(job["engine"], job["state"], job["contexts"], job["interval"], scratch)
    elif job["kind"] == "memory":
        rows = engines.run_memory(job["engine"], job["words"], job["interval"], job["measured"])
    elif job["kind"] == "kafka":
        rows = kafka.run_kafka(job["engine"], scratch, job["touched"], **paces)
    elif job["kind"] == "restart":
        result = restart.run_restart(job["engine"], scratch, job["keys"], job["interval"])
    else:
        sizes = {name: job[name] for name in ("keys", "touched", "slots", "fill", "seed")}
        if job["engine"] == "handwritten":
            few = {"interval": job["interval"], "warm_up": 2, "measured": min(5, job["measured"])}  # seconds each
            rows = engines.run_sums(job["engine"], scratch, sizes, **few)
        else:
            rows = engines.run_queue(job["engine"], job["kind"], scratch, sizes, **paces)
    if job["kind"] != "restart":
        result = {"rows": rows, "versions": engines.versions(SparkContext._active_spark_context)}
    Path(sys.argv[2]).write_text(json.dumps(result))
# The figures are written: no need to wait for Spark's orderly end.
if SparkContext._active_spark_context is not None:
    SparkContext._active_spark_context.stop()
sys.stdout.flush()
os._exit(0)
