"""A Kafka program that is killed: every record counts once."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from tests.kafka_broker import CONNECTOR
from tests.programs.program import Program

pytestmark = pytest.mark.recovery

PROGRAM = Path(__file__).with_name("kafka_wordcount.py")


def forget_last_commit(checkpoint: Path) -> None:
    """As if the program had been killed just before it, so that the next start certainly runs a batch again."""
    done = [path for path in checkpoint.glob("commits/*") if path.name.isdigit()]
    for last in sorted(done, key=lambda path: int(path.name))[-1:]:
        last.unlink()
        last.with_name(f".{last.name}.crc").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("mode", "kills"),
    [
        ("checkpoint", 1),
        pytest.param("own", 1, marks=pytest.mark.slow),
        pytest.param("checkpoint", 6, marks=pytest.mark.slow),
        pytest.param("own", 6, marks=pytest.mark.slow),
    ],
)
def test_killed_and_restarted(broker, tmp_path, mode, kills):
    """Offsets in the checkpoint directory, or stored by the program itself (``fromOffsets``)."""
    topic = broker.topic(2)
    result = tmp_path / ("counts.json" if mode == "checkpoint" else "offsets.json")
    command = [sys.executable, str(PROGRAM), broker.servers, topic, mode, str(tmp_path), str(CONNECTOR)]
    sent: dict[str, int] = {}

    def counts():
        found = json.loads(result.read_text()) if result.exists() else {}
        return found.get("counts", {}) if mode == "own" else found

    for turn in range(kills + 1):
        words = ["a", "b", f"turn{turn}"] * 20
        broker.send(topic, [" ".join(words)] * 5)
        for word in words:
            sent[word] = sent.get(word, 0) + 5
        with Program(command, tmp_path) as run:
            if turn < kills:
                run.wait_for(lambda: "batch" in run.lines, "a batch")
                broker.send(topic, ["while it runs"] * 50)
                for word in ("while", "it", "runs"):
                    sent[word] = sent.get(word, 0) + 50
                seen = len(run.lines)
                if turn % 2:  # at once, in the middle of the batch; or when it has begun another
                    run.wait_for(lambda seen=seen: len(run.lines) > seen, "another batch")
                run.process.send_signal(signal.SIGKILL)
                run.finish()
                if turn == 0:
                    forget_last_commit(tmp_path / "checkpoint")
            else:
                run.wait_for(lambda: counts() == sent, f"the exact counts {sent}")
                run.interrupt()
    assert counts() == sent
