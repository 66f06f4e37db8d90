"""Kafka read by executors of a cluster, which are killed; so is the driver. Every record counts once."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.parts import Parts
from tests.kafka_broker import CONNECTOR
from tests.programs.program import Program

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parent.parent / "recovery" / "kafka_wordcount.py"
ROUNDS = 10


def test_executors_and_driver_killed(broker, cluster, rng, tmp_path):
    topic = broker.topic(4)
    result = tmp_path / "counts.json"
    jars = ",".join(map(str, CONNECTOR.glob("*.jar")))
    command = cluster.submit("--jars", jars, str(PROGRAM), broker.servers, topic, "checkpoint", str(tmp_path), "")
    parts = Parts(cluster, rng)
    sent: Counter[str] = Counter()

    def send(turn: int) -> None:
        words = ["a", "b", f"turn{turn}"] * 20
        broker.send(topic, [" ".join(words)] * 5)
        sent.update({word: 5 * words.count(word) for word in set(words)})

    def counts() -> dict[str, int]:
        return json.loads(result.read_text()) if result.exists() else {}

    for turn in range(ROUNDS):
        with Program(command, tmp_path) as run:
            send(2 * turn)
            run.wait_for(lambda: counts() == sent, "the counts before", timeout=300)
            parts.executor_killed()
            send(2 * turn + 1)
            if turn < ROUNDS - 1:
                seen = len(run.lines)
                run.wait_for(lambda: len(run.lines) > seen, "another batch", timeout=300)  # noqa: B023
                os.kill(run.process.pid, signal.SIGKILL)
                run.finish()
            else:
                run.wait_for(lambda: counts() == sent, f"the exact counts {sent}", timeout=300)
                run.interrupt()
