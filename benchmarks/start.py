"""Measure what starting costs: contexts, programs, a test, and a restart; dstreams and the old engine in turn.

``make bench-start`` takes some minutes a round (``ARGS="--rounds 1 --only program"``). Raw rows go to
``results/start.json``, medians to the screen. *No archive* is dstreams with ``DSTREAMS_CLASS_ARCHIVE=off``, all else of
it with the archive of classes that ``python -m dstreams warm-up`` makes; the old engine knows none. *Hand-written* is a
Structured Streaming query with the same work, without the archive: what Spark itself takes to start one.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

import report
import run
import workloads
from tests.programs.feed import Feed
from tests.recovery.killer import kill_session

from dstreams._run.class_archive import SWITCH, archive_path, usable, used
from dstreams._run.warm_up import make

HERE = Path(__file__).resolve().parent
ENGINES = ("dstreams", "no archive", "handwritten", "legacy")
CONTEXTS = 6
INTERVAL = 0.2
BATCHES = 10
TIMEOUT = 300
TEST = f"""
def counts(ssc):
    words = ssc.socketTextStream("production", 9999).map(lambda word: (word, 1))
    return words.updateStateByKey(lambda new, old: sum(new) + (old or 0))


def test_counts(stream_test):
    run = stream_test(counts)
    for number in range({BATCHES}):
        run.batch(["a", "b"]).expect([("a", number + 1), ("b", number + 1)])
"""
SETTINGS = """
[pytest]
spark_options =
    spark.master = local[2]
    spark.ui.enabled = false
    spark.driver.host = 127.0.0.1
    spark.driver.bindAddress = 127.0.0.1
"""


def main() -> None:
    args = arguments()
    if not usable(archive_path()):
        make(archive_path())
    for key, measure in MEASUREMENTS.items():
        if args.only and key not in args.only:
            continue
        rows, versions = [], {}
        for turn in range(args.rounds):
            for engine in ENGINES:
                if engine == "handwritten" and not key.startswith("contexts"):
                    continue
                with tempfile.TemporaryDirectory(prefix="dstreams-start-") as scratch, environment(engine):
                    found = measure(engine, Path(scratch))
                versions = found.get("versions", versions)
                rows += [{"engine": engine, "round": turn, **row} for row in found["rows"]]
                print(f"{key}, round {turn + 1}, {engine}: {found['rows']}", file=sys.stderr, flush=True)
        report.save("start", key, {**about(), "rounds": args.rounds, "versions": versions, "rows": rows})
    print(table())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often the engines take turns")
    parser.add_argument("--only", nargs="*", metavar="MEASUREMENT", choices=sorted(MEASUREMENTS))
    return parser.parse_args()


def about():
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }


@contextmanager
def environment(engine):
    """What the processes of an engine inherit."""
    if engine != "dstreams":
        os.environ[SWITCH] = "off"
    try:
        yield
    finally:
        os.environ.pop(SWITCH, None)


# ---------------------------------------------------------------------- measurements


def contexts(state: bool):
    """The first context of a process, and later ones."""

    def measure(engine, scratch):
        job = {"key": "contexts", "kind": "contexts", "state": state, "contexts": CONTEXTS, "interval": INTERVAL}
        return child(engine, job, scratch)

    return measure


def restart(engine, scratch):
    """What ``benchmarks/restart.py`` measures, which is a program that makes its SparkContext itself."""
    return child(engine, {**asdict(workloads.restart(100_000, ())), "seed": workloads.SEED}, scratch)


def child(engine, job, scratch):
    """Run a job of ``child.py``, whose JVM starts as under ``python -m dstreams``."""
    job = {"warm_up": 0, "measured": 1, **job, "engine": "dstreams" if engine == "no archive" else engine}
    with used() if job["engine"] == "dstreams" else nullcontext():
        return run.child({**job, "scratch": str(scratch)}, scratch)


def program(state: bool):
    """From the start of a program's process to its first result; with state also the number of Python processes."""

    def measure(engine, scratch):
        launcher = [] if engine == "legacy" else ["-m", "dstreams"]
        directory = [str(scratch / "checkpoint")] if state else []
        with Feed() as feed:
            threading.Thread(target=talk, args=(feed,), daemon=True).start()
            command = [sys.executable, *launcher, str(HERE / "start_program.py"), feed.host, str(feed.port), *directory]
            with Running(command, scratch) as running:
                running.read_until(lambda line: line.startswith("("))
                row = {"ms": round((time.monotonic() - running.began) * 1000)}
                if state:
                    for _ in range(BATCHES):
                        running.read_until(lambda line: line.startswith("Time:"))
                    row["processes"] = python_processes(running.process.pid)
        return {"rows": [row]}

    return measure


def talk(feed):
    """Send a line twenty times a second to whoever has connected."""
    feed.wait_for_client(timeout=TIMEOUT)
    while True:
        try:
            feed.send(b"to be or not to be\n")
        except OSError:  # it has gone
            return
        time.sleep(0.05)


def fixture(engine, scratch):
    """A whole pytest with one test of ten batches, by a user of the fixture ``stream_test``."""
    if engine == "legacy":  # it has nothing of the kind
        return {"rows": []}
    (scratch / "test_counts.py").write_text(TEST)
    (scratch / "pytest.ini").write_text(SETTINGS)
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=scratch, capture_output=True, text=True,
                          timeout=TIMEOUT, check=False)  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return {"rows": [{"ms": round((time.monotonic() - began) * 1000)}]}


MEASUREMENTS: dict[str, Callable] = {
    "contexts": contexts(state=False),
    "contexts-state": contexts(state=True),
    "program": program(state=False),
    "program-state": program(state=True),
    "fixture": fixture,
    "restart": restart,
}


class Running:
    """A program in a session of its own, which is killed in the end; its output is read line by line."""

    def __init__(self, command, scratch):
        self._command, self._scratch, self._log = command, scratch, scratch / "errors.txt"

    def __enter__(self):
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYSPARK_PYTHON": sys.executable,
                       "PYSPARK_DRIVER_PYTHON": sys.executable}  # fmt: skip
        self.began = time.monotonic()
        with self._log.open("w") as errors:
            self.process = subprocess.Popen(self._command, cwd=self._scratch, env=environment, stdout=subprocess.PIPE,
                                            stderr=errors, text=True, start_new_session=True)  # fmt: skip
        self._watch = threading.Timer(TIMEOUT, self.process.kill)
        self._watch.start()
        return self

    def __exit__(self, *_):
        self._watch.cancel()
        kill_session(self)
        self.process.stdout.close()

    def read_until(self, wanted):
        """Read up to a line that is wanted."""
        for line in self.process.stdout:
            if wanted(line):
                return
        raise SystemExit(f"the program ended before its output\n{self._log.read_text()[-5000:]}")


def python_processes(driver: int) -> int:
    """The driver and all Python processes that it has started, directly or not."""
    parents, python = {}, set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if os.path.basename(os.readlink(folder / "exe")).startswith("python"):
                python.add(int(folder.name))
        except OSError:  # it has ended
            continue
    family, size = {driver}, 0
    while len(family) > size:
        size = len(family)
        family |= {pid for pid, parent in parents.items() if parent in family}
    return len(family & python)


# ---------------------------------------------------------------------- the table


def table():
    """Medians as a Markdown table; a row for each thing that was measured."""
    stored = report.load("start")
    lines = [
        "| | old engine | hand-written query | dstreams, no archive | dstreams | dstreams / old engine |",
        "|---|---|---|---|---|---|",
    ]
    for key, title, figure, unit in FIGURES:
        if key not in stored:
            continue
        found = {engine: [figure(row) for row in stored[key]["rows"] if row["engine"] == engine] for engine in ENGINES}
        found = {engine: [value for value in values if value is not None] for engine, values in found.items()}
        medians = {engine: median(values) for engine, values in found.items() if values}
        cells = [f"{medians[name]:.0f}{unit}" if name in medians else "" for name in reversed(ENGINES)]
        ratio = f"{medians['dstreams'] / medians['legacy']:.2f}" if "legacy" in medians else ""
        lines.append(f"| {title} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


def ms(row):
    return row["ms"]


def of_contexts(first, last):
    return lambda row: row["ms"] if first <= row["context"] <= last else None


FIGURES = [
    ("contexts", "`SparkContext(...)`, with the start of the JVM", of_contexts(0, 0), " ms"),
    ("contexts", "first context of a JVM, to its first output", of_contexts(1, 1), " ms"),
    ("contexts-state", "the same with state", of_contexts(1, 1), " ms"),
    ("contexts", f"contexts 3 to {CONTEXTS} of a JVM, to their first output", of_contexts(3, CONTEXTS), " ms"),
    ("contexts-state", "the same with state", of_contexts(3, CONTEXTS), " ms"),
    ("program", "word count of a socket, from the start of the process to its first result", ms, " ms"),
    ("program-state", "the same with state", ms, " ms"),
    ("fixture", f"pytest with one test of {BATCHES} batches with state", ms, " ms"),
    ("restart", "restart after SIGKILL, 100k keys of state", ms, " ms"),
    ("program-state", f"Python processes after {BATCHES} batches with state", lambda row: row["processes"], ""),
]


if __name__ == "__main__":
    main()
