"""Socket programs as users run them, dstreams and the old engine in turn: delays at one second, and lines per second.

``python benchmarks/sockets.py [latency] [lines] [--rounds N]``; raw rows go to ``benchmarks/results/sockets.json``.

*latency*: batches of a second from a socket with 1,000 words a second: a word count, ``updateStateByKey`` with 5,000
keys, and ``reduceByKeyAndWindow`` with an inverse over ten seconds. The figure is the time from a batch's time to
the end of its output: median and 90th percentile, without the first third of the batches.

*lines*: the most lines of 100 bytes a second that one socket, and four, can bring into ``map(...).count()`` without the
batches falling behind, on two cores, while the same program counts words with state on another socket. Found by
doubling the rate of the senders and then by halving the distance between what held and what did not.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "sockets.json"
ENGINES = ("dstreams", "legacy")
KINDS = ("count", "update", "window")
BATCHES = 40
LINE = b"x" * 99 + b"\n"
LINES_SECONDS = 15
KEEPS_UP = 0.9
"""A rate is held if so much of it arrives while it is sent."""


def context(engine, interval):
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark import SparkConf, SparkContext

    if engine == "legacy":
        from pyspark.streaming import StreamingContext
    else:
        from dstreams import StreamingContext
    conf = SparkConf().setMaster("local[2]" if engine == "dstreams" else "local[8]").setAppName("sockets")
    conf.set("spark.ui.enabled", "false").set("spark.ui.showConsoleProgress", "false")
    conf.set("spark.default.parallelism", "2").set("spark.driver.memory", "2g")
    sc = SparkContext(conf=conf)
    sc.setLogLevel("OFF")
    ssc = StreamingContext(sc, interval)
    return sc, ssc


class Sender:
    """Sends lines to whoever connects, so many a second in each twentieth of one."""

    def __init__(self, make, rate):
        self.make, self.rate, self.sent = make, rate, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        connection, _ = self.server.accept()
        began, number = time.monotonic(), 0
        while True:
            number += 1
            count = int(self.rate * number / 20) - int(self.rate * (number - 1) / 20)
            connection.sendall(self.make(count))
            self.sent += count
            time.sleep(max(0.0, began + number / 20 - time.monotonic()))


def latency(engine, kind):
    """Delays of the outputs, in ms."""
    import random

    words = [f"w{n}" for n in range(5000)]
    rng = random.Random(1)
    sender = Sender(lambda count: b"".join(rng.choice(words).encode() + b"\n" for _ in range(count)), 1000)
    _, ssc = context(engine, 1)
    ssc.checkpoint(tempfile.mkdtemp(prefix="benchmark-"))
    pairs = ssc.socketTextStream("127.0.0.1", sender.port).map(lambda word: (word, 1))
    if kind == "count":
        counts = pairs.reduceByKey(lambda a, b: a + b)
    elif kind == "update":
        counts = pairs.updateStateByKey(lambda new, old: sum(new) + (old or 0))
    else:
        counts = pairs.reduceByKeyAndWindow(lambda a, b: a + b, lambda a, b: a - b, 10, 1)
    # In a file: a function with a list of this process cannot be saved in the checkpoint directory.
    report = Path(tempfile.mkdtemp(prefix="benchmark-")) / "rows"
    path = str(report)

    def out(moment, rdd):
        count = rdd.count()
        with open(path, "a") as file:
            file.write(json.dumps([count, (time.time() - moment.timestamp()) * 1000]) + "\n")

    counts.foreachRDD(out)
    ssc.start()
    deadline = time.monotonic() + 4 * BATCHES
    rows = []
    while len(rows) < BATCHES and time.monotonic() < deadline:
        time.sleep(0.5)
        lines = report.read_text().splitlines() if report.exists() else []
        rows = [ms for count, ms in map(json.loads, lines) if count]
    rows = rows[len(rows) // 3 :]
    return {"p50": statistics.median(rows), "p90": statistics.quantiles(rows, n=10)[-1], "batches": len(rows)}


def lines(engine, sockets, rate):
    """Lines that arrive of those sent while senders keep a rate, and how many seconds batches are behind at the end."""
    senders = [Sender(lambda count: LINE * count, rate / sockets) for _ in range(sockets)]
    words = Sender(lambda count: b"a b c d e\n" * count, 200)
    _, ssc = context(engine, 1)
    ssc.checkpoint(tempfile.mkdtemp(prefix="benchmark-"))
    report = Path(tempfile.mkdtemp(prefix="benchmark-")) / "rows"
    path = str(report)
    streams = [ssc.socketTextStream("127.0.0.1", sender.port) for sender in senders]
    pairs = ssc.socketTextStream("127.0.0.1", words.port).flatMap(lambda line: line.split(" ")).map(lambda w: (w, 1))
    pairs.updateStateByKey(lambda new, old: sum(new) + (old or 0)).foreachRDD(lambda rdd: rdd.count())

    def out(moment, rdd):
        count = rdd.count()
        with open(path, "a") as file:
            file.write(json.dumps([count, time.time(), time.time() - moment.timestamp()]) + "\n")

    ssc.union(*streams).map(len).foreachRDD(out)
    ssc.start()

    def rows():
        return [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []

    deadline = time.monotonic() + 60
    while len([row for row in rows() if row[0]]) < 5 and time.monotonic() < deadline:
        time.sleep(0.2)
    before, sent, began = sum(row[0] for row in rows()), sum(s.sent for s in senders), time.monotonic()
    time.sleep(LINES_SECONDS)
    after, sent = sum(row[0] for row in rows()), sum(s.sent for s in senders) - sent
    seconds = time.monotonic() - began
    return {"arrived": (after - before) / seconds, "sent": sent / seconds, "behind": rows()[-1][2] if rows() else 99}


def held(engine, sockets, rate, rows):
    """Whether an engine holds a rate of lines per second."""
    row = child("lines", engine, sockets, rate)
    row["holds"] = row["arrived"] >= KEEPS_UP * rate and row["behind"] < 2
    rows.append({"kind": "lines", "engine": engine, "sockets": sockets, "rate": rate, **row})
    print(f"{engine}, {sockets} socket(s), {rate:,} lines/s: {row}", flush=True)
    return row["holds"]


def most(engine, sockets, rows):
    """The highest rate that an engine holds, within a tenth; 0 where it does not hold a thousand lines a second."""
    low, high = 0, 25_000
    while held(engine, sockets, high, rows):
        low, high = high, 2 * high
    while high - low > max(0.1 * high, 1_000):
        middle = (low + high) // 2
        if held(engine, sockets, middle, rows):
            low = middle
        else:
            high = middle
    return low


def child(*job):
    """Run one job in a process of its own."""
    environment = {**os.environ, "BENCHMARK_JOB": json.dumps(job)}
    ended = subprocess.run(
        [sys.executable, __file__], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=600
    )
    found = [line for line in ended.stdout.decode().splitlines() if line.startswith("{")]
    if not found:
        raise SystemExit(f"{job}: the process ended with {ended.returncode} and said nothing")
    return json.loads(found[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=["latency", "lines", []], help="default: both")
    parser.add_argument("--rounds", type=int, default=3, help="of the delays; lines are measured once")
    args = parser.parse_args()
    rows = []
    summary = []
    if not args.what or "latency" in args.what:
        for number in range(args.rounds):
            for kind in KINDS:
                for engine in ENGINES:
                    row = child("latency", engine, kind)
                    rows.append({"kind": kind, "engine": engine, "round": number, **row})
                    print(f"{kind}, round {number + 1}, {engine}: {row}", flush=True)
        for kind in KINDS:
            found = {
                engine: [statistics.median(r[p] for r in rows if (r["kind"], r["engine"]) == (kind, engine))
                         for p in ("p50", "p90")]
                for engine in ENGINES
            }  # fmt: skip
            (p50, p90), (old50, old90) = found["dstreams"], found["legacy"]
            ratio = f"{p50 / old50:.2f} / {p90 / old90:.2f}"
            summary.append(f"| {kind} | {p50:.0f} / {p90:.0f} ms | {old50:.0f} / {old90:.0f} ms | {ratio} |")
    if not args.what or "lines" in args.what:
        for sockets in (1, 4):
            ours, theirs = (most(engine, sockets, rows) for engine in ENGINES)
            ratio = f"{ours / theirs:.1f}" if theirs else "-"
            summary.append(f"| {sockets} socket(s), lines/s | {ours:,} | {theirs:,} | {ratio} |")
    stamp = {"date": datetime.now().astimezone().isoformat(timespec="seconds"), "cores": os.cpu_count(), "rows": rows}
    RESULTS.write_text(json.dumps(stamp, indent=1) + "\n")
    print("\n| what | dstreams | old engine | ratio |\n|---|---|---|---|\n" + "\n".join(summary))


if __name__ == "__main__":
    if "BENCHMARK_JOB" in os.environ:
        name, *arguments = json.loads(os.environ["BENCHMARK_JOB"])
        print(json.dumps({"latency": latency, "lines": lines}[name](*arguments)), flush=True)
        sys.stdout.flush()
        os._exit(0)  # the figures are written: no need to wait for Spark's orderly end
    main()
