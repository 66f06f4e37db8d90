"""Measure dstreams against the old engine, against a hand-written job and against no engine at all.

``python benchmarks/run.py --quick`` takes under five minutes, without ``--quick`` about an hour. The engines
take turns, each run is a process of its own, and every figure is a ratio of what one run measured; see
``docs/performance.md``, where the table is written to.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

import report
from workloads import FULL, QUICK, SEED, timed_loop, write_words

HERE = Path(__file__).resolve().parent
CHILD_TIMEOUT = 900


def main() -> None:
    args = arguments()
    mode = "quick" if args.quick else "full"
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dstreams-benchmark-") as scratch:
        for workload in QUICK if args.quick else FULL:
            if args.only and workload.key not in args.only:
                continue
            found = measure(workload, args.rounds, args.seed, Path(scratch))
            report.save(mode, workload.key, found)
    print(f"\n{report.text(mode)}\ntook {time.monotonic() - started:.0f} s", flush=True)
    if not args.no_docs:
        report.write_docs()
    if not args.quick:
        report.plot()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small inputs, few batches")
    parser.add_argument("--only", nargs="*", metavar="WORKLOAD", choices=sorted({w.key for w in QUICK + FULL}))
    parser.add_argument("--rounds", type=int, help="how often the engines take turns")
    parser.add_argument("--seed", type=int, default=SEED, help="of the generated words")
    parser.add_argument("--no-docs", action="store_true", help="leave docs/performance.md alone")
    return parser.parse_args()


def measure(workload, rounds, seed, scratch):
    """Run all engines of a workload in turn; everything that was measured, as it goes to the JSON file."""
    found = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "seed": seed,
        "parameters": asdict(workload),
        "versions": {},
        "loop": [],
        "rows": [],
    }
    files, expected = [], []
    if workload.kind == "words":
        for i in range(2):
            files.append(scratch / f"{workload.key}-{i}.txt")
            write_words(files[-1], workload.words, seed + i)
            expected.append(timed_loop(files[-1])[1])
    turns = workload.turns if rounds is None else workload.turns[:1] * rounds
    for turn, taking_part in enumerate(turns):
        if files:
            found["loop"].append(round(timed_loop(files[turn % 2])[0] * 1000, 1))
        for engine in taking_part:
            job = {**asdict(workload), "engine": engine, "files": list(map(str, files)), "expected": expected}
            job["seed"] = seed
            if engine == "small":
                job.update(engine="dstreams", keys=workload.few_keys)
            result = child({**job, "scratch": str(scratch)}, scratch)
            found["versions"] = result["versions"]
            found["rows"] += [{"engine": engine, "round": turn, **row} for row in result["rows"]]
            what = " ".join(str(row["ms"]) for row in result["rows"] if "ms" in row)
            print(f"{workload.key}, round {turn + 1}, {engine}: {what or 'done'}", flush=True)
    return found


def child(job, scratch):
    """Run one engine in a process of its own."""
    question, answer, log = (scratch / name for name in ("job.json", "result.json", "log.txt"))
    question.write_text(json.dumps(job))
    answer.unlink(missing_ok=True)
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    # The workers find workloads.py here.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), environment.get("PYTHONPATH")]))
    command = [sys.executable, str(HERE / "child.py"), str(question), str(answer)]
    with open(log, "w") as out:
        code = subprocess.run(command, stdout=out, stderr=out, env=environment, timeout=CHILD_TIMEOUT).returncode
    if not answer.exists():
        raise SystemExit(f"{job['engine']}, {job['key']}: the process ended with {code}\n{log.read_text()[-5000:]}")
    return json.loads(answer.read_text())


if __name__ == "__main__":
    main()
