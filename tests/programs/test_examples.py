"""The examples run as they are, and print what they are there to show."""

from __future__ import annotations

import sys

import pytest

from tests.kafka_broker import CONNECTOR
from tests.mqtt_broker import Mosquitto
from tests.programs.program import SUBMIT, Program
from tests.programs.test_running import PROJECT

EXAMPLES = PROJECT / "examples"


def run(tmp_path, name, *arguments, command=(), **environment):
    with Program([sys.executable, *command, str(EXAMPLES / name), *arguments], tmp_path, **environment) as program:
        assert program.finish(180) == 0, program.report()
        noise = [line for line in program.errors if "\tat " in line or "Traceback" in line or " ERROR " in line]
        assert not noise, program.report()
    return program


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("first_steps.py", ["('to', 2)", "('be', 2)"]),
        ("windows.py", ["('home', 1)"]),
        ("sessions.py", ["ann is on home"]),
        ("own_receiver.py", ["..."]),
        ("step_by_step.py", ["(0, 0)", "Batch: 0"]),
    ],
)
def test_example(tmp_path, name, lines):
    program = run(tmp_path, name)
    for line in lines:
        assert line in program.lines, program.report()


@pytest.mark.slow
def test_running_totals_go_on(tmp_path):
    """Each batch adds something, so the first of the second start has more than the last of the first."""

    def sums(program):
        found = []
        for line in program.lines:
            if line.startswith("Time: "):
                found.append(0)
            elif line.startswith("('"):
                found[-1] += int(line.rpartition(", ")[2].rstrip(")"))
        return found

    directory = str(tmp_path / "totals")
    first = sums(run(tmp_path, "running_totals.py", directory))
    second = sums(run(tmp_path, "running_totals.py", directory))
    assert first[0] == 15 and second[0] > first[-1], (first, second)


@pytest.mark.slow
def test_kafka_wordcount(tmp_path, broker):
    topic = broker.topic(2)
    broker.send(topic, ["to be or not to be"] * 3)
    jars = f"--jars {','.join(map(str, CONNECTOR.glob('*.jar')))} "
    program = run(
        tmp_path, "kafka_wordcount.py", broker.servers, topic, "20", command=["-m", "dstreams"],
        PYSPARK_SUBMIT_ARGS=SUBMIT + jars + "pyspark-shell",
    )  # fmt: skip
    assert {"('to', 6)", "('be', 6)"} <= set(program.lines), program.report()
    assert any(line.startswith(f"OffsetRange(topic: {topic}") for line in program.lines), program.report()


@pytest.mark.slow
def test_mqtt_receiver(tmp_path):
    """What comes while the program is down is there at its next start."""
    with Mosquitto(tmp_path) as broker:
        arguments = (broker.url, "sensors/+", str(tmp_path / "program"))
        run(tmp_path, "mqtt_receiver.py", *arguments)
        broker.publish("sensors/1", "meanwhile")
        program = run(tmp_path, "mqtt_receiver.py", *arguments)
    assert "meanwhile" in program.lines, program.report()
