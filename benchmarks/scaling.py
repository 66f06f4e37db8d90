"""Measure the same programs on one core, on two, and on a standalone cluster of one and of two workers.

``make bench-scaling`` takes a quarter of an hour, ``make bench-scaling ARGS=1`` (rounds; 2 by default) half of that.
Each worker has one core, and all of them are on this machine: it shows what the way over other processes costs, and
not what a network does. The settings take turns.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

import report
import run
from tests.cluster.standalone import Cluster
from workloads import QUICK, SEED, timed_loop, write_words

HERE = Path(__file__).resolve().parent
WORKLOADS = ("words-1m", "update-100k")
SETTINGS = {"local[1]": 1, "local[2]": 2, "1 worker": 1, "2 workers": 2}
BEGIN, END = "<!-- scaling: begin (written by make bench-scaling) -->", "<!-- scaling: end -->"


def main(rounds: int = 2) -> None:
    found: dict = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), "rows": []}
    with tempfile.TemporaryDirectory(prefix="dstreams-scaling-") as scratch:
        for key in WORKLOADS:
            workload = next(each for each in QUICK if each.key == key)
            for turn in range(rounds):
                for setting, cores in SETTINGS.items():
                    rows = measure(workload, setting, cores, Path(scratch))
                    found["rows"] += [{"workload": key, "setting": setting, "round": turn, **row} for row in rows]
                    print(key, setting, [row["ms"] for row in rows if "ms" in row], flush=True)
    (report.RESULTS / "scaling.json").write_text(json.dumps(found, indent=1) + "\n")
    text = table(found)
    print(text)
    docs = report.DOCS.read_text()
    head, rest = docs.split(BEGIN)
    report.DOCS.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}")


def measure(workload, setting, cores, scratch):
    """Run a workload once with one setting."""
    files, expected = [], []
    if workload.kind == "words":
        for i in range(2):
            files.append(str(scratch / f"{workload.key}-{i}.txt"))
            if not Path(files[-1]).exists():
                write_words(Path(files[-1]), workload.words, SEED + i)
            expected.append(timed_loop(Path(files[-1]))[1])
    job = {**asdict(workload), "engine": "dstreams", "files": files, "expected": expected, "seed": SEED}
    job["scratch"] = str(scratch)
    conf = {"spark.default.parallelism": "2"}
    if setting.startswith("local"):
        os.environ |= {"BENCHMARK_MASTER": setting, "BENCHMARK_CONF": json.dumps(conf)}
        return run.child(job, scratch)["rows"]
    with tempfile.TemporaryDirectory(dir=scratch) as folder, Cluster(Path(folder), workers=cores) as cluster:
        conf |= {
            "spark.executor.memory": "2g",
            "spark.executorEnv.PYTHONPATH": str(HERE),
            "spark.pyspark.python": sys.executable,
        }
        os.environ |= {"BENCHMARK_MASTER": cluster.url, "BENCHMARK_CONF": json.dumps(conf)}
        return run.child(job, scratch)["rows"]


def table(found):
    """Median of all batches, and how much of what the cores could do is reached."""
    versions = f"Measured {found['date'][:10]} on a machine of {os.cpu_count()} cores, two partitions everywhere."
    lines = [
        versions,
        "",
        "| workload | setting | cores | batch | speed-up | efficiency |",
        "|---|---|---|---|---|---|",
    ]
    for key in WORKLOADS:
        base = None
        for setting, cores in SETTINGS.items():
            mine = [row for row in found["rows"] if (row["workload"], row["setting"]) == (key, setting)]
            ms = median(row["ms"] for row in mine if "ms" in row)
            base = base or ms
            speed = base / ms
            lines.append(f"| {key} | {setting} | {cores} | {ms:.0f} ms | {speed:.2f} | {speed / cores:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
