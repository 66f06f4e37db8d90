"""Let a program with state run for long on a cluster, and watch its memory, its checkpoint directory and its delay.

``make soak`` (``MINUTES=45``). A standalone cluster of two workers, a Kafka broker, batches of a second,
500 records a second with 10,000 keys. Writes ``results/soak.json``, and ``docs/soak.png`` where matplotlib is
installed.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.cluster.standalone import Cluster
from tests.kafka_broker import CONNECTOR, Broker
from tests.recovery.killer import processes

HERE = Path(__file__).resolve().parent
RATE, KEYS = 500, 10_000
SAMPLE_SECONDS = 15
RESULT = HERE / "results" / "soak.json"
PLOT = HERE.parent / "docs" / "soak.png"


def main(minutes: float) -> None:
    with tempfile.TemporaryDirectory(prefix="dstreams-soak-") as scratch:
        folder = Path(scratch)
        (folder / "kafka").mkdir()
        with Broker(folder / "kafka") as broker, Cluster(folder / "cluster") as cluster:
            topic = broker.topic(4)
            checkpoint, report = folder / "checkpoint", folder / "report.jsonl"
            command = cluster.submit(
                "--conf", "spark.default.parallelism=2", "--jars", ",".join(map(str, CONNECTOR.glob("*.jar"))),
                "--driver-memory", "1g", str(HERE / "soak_program.py"), broker.servers, topic,
                str(checkpoint), str(report),
                spark__executor__extraJavaOptions="",  # not those of the tests, whose programs run for seconds
            )  # fmt: skip
            environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
            with (folder / "log.txt").open("w") as log:
                driver = subprocess.Popen(
                    command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True
                )
            sending = _Sender(broker, topic)
            samples = []
            end = time.monotonic() + minutes * 60
            while time.monotonic() < end:
                time.sleep(SAMPLE_SECONDS)
                if driver.poll() is not None:
                    sys.exit(f"the program ended with {driver.returncode}\n{(folder / 'log.txt').read_text()[-5000:]}")
                samples.append(_sample(driver.pid, cluster, checkpoint))
                if len(samples) % 8 == 0:
                    print(samples[-1], flush=True)
            sending.stop()
            time.sleep(10)
            batches = [json.loads(line) for line in report.read_text().splitlines()]
            driver.kill()
    delays = [batch for batch in batches if "scheduling_ms" in batch]
    counted = max(batch["all"] for batch in batches if "all" in batch)
    found = {"minutes": minutes, "sent": sending.sent, "counted": counted, "samples": samples, "batches": delays}
    RESULT.write_text(json.dumps(found) + "\n")
    print(_summary(found))
    _plot(found)


class _Sender:
    """Sends records at an even rate."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self._broker, self._topic = broker, topic
        self._ending = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        rng = random.Random(1)
        begun = time.monotonic()
        while not self._ending.wait(0.1):
            due = int((time.monotonic() - begun) * RATE) - self.sent
            self._broker.send(self._topic, [f"key-{rng.randrange(KEYS)}" for _ in range(due)])
            self.sent += due


def _sample(driver: int, cluster: Cluster, checkpoint: Path) -> dict:
    """Memory in MiB by kind of process, and the checkpoint directory's files and MiB."""
    kinds: dict[str, float] = {}
    for place, session in [("driver", driver), *(("executors", worker.pid) for worker in cluster.workers)]:
        for pid in processes(session):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"deploy.worker.Worker" in command:
                continue
            kind = f"{place}, {'JVM' if b'java' in command.split(bytes(1))[0] else 'Python'}"
            kinds[kind] = kinds.get(kind, 0) + pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    files = [path for path in checkpoint.rglob("*") if path.is_file()]
    size = 0
    for path in files:
        try:
            size += path.stat().st_size
        except FileNotFoundError:  # deleted meanwhile
            continue
    rounded = {kind: round(size) for kind, size in sorted(kinds.items())}
    return {"at": time.time(), **rounded, "files": len(files), "checkpoint MiB": round(size / 2**20, 1)}


def _summary(found: dict) -> str:
    samples = found["samples"]
    delay = max(batch["scheduling_ms"] for batch in found["batches"][-60:])
    lines = [
        f"{found['minutes']:g} minutes, {len(found['batches'])} batches; {found['sent']} records sent, "
        f"{found['counted']} counted; "
        f"scheduling delay of the last 60 batches: at most {delay} ms",
        "",
        "| | second quarter | last quarter |",
        "|---|---|---|",
    ]
    for name in [key for key in samples[-1] if key != "at"]:
        means = [sum(sample.get(name, 0) for sample in part) / len(part) for part in _quarters(samples)]
        unit = "" if name in ("files", "checkpoint MiB") else " MiB"
        lines.append(f"| {name} | {means[0]:.0f}{unit} | {means[1]:.0f}{unit} |")
    for name in ("scheduling_ms", "processing_ms"):
        medians = [statistics.median(batch[name] for batch in part) for part in _quarters(found["batches"])]
        lines.append(f"| {name}, median | {medians[0]:.0f} ms | {medians[1]:.0f} ms |")
    return "\n".join(lines)


def _quarters(rows: list[dict]) -> tuple[list[dict], list[dict]]:
    """The second quarter and the last."""
    quarter = max(1, len(rows) // 4)
    return rows[quarter : 2 * quarter] or rows, rows[-quarter:]


def _plot(found: dict) -> None:
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    samples, batches = found["samples"], found["batches"]
    start = samples[0]["at"]
    minutes = [(sample["at"] - start) / 60 for sample in samples]
    figure, (memory, disk, delay) = pyplot.subplots(3, 1, figsize=(9, 10), sharex=True)
    for name in [key for key in samples[-1] if "," in key]:
        memory.plot(minutes, [sample.get(name, 0) for sample in samples], label=name)
    memory.set(ylabel="memory, MiB", ylim=(0, None))
    memory.legend()
    disk.plot(minutes, [sample["files"] for sample in samples], label="files")
    disk.plot(minutes, [sample["checkpoint MiB"] for sample in samples], label="MiB")
    disk.set(ylabel="checkpoint directory", ylim=(0, None))
    disk.legend()
    at = [(batch["at"] - start) / 60 for batch in batches]
    delay.plot(at, [batch["processing_ms"] for batch in batches], label="processing", linewidth=0.5)
    delay.plot(at, [batch["scheduling_ms"] for batch in batches], label="scheduling", linewidth=0.5)
    delay.set(xlabel="minutes", ylabel="delay of a batch, ms", ylim=(0, None))
    delay.legend()
    figure.tight_layout()
    figure.savefig(PLOT, dpi=80)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 45)
