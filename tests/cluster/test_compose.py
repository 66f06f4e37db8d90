"""The commands of ``docker/compose.yaml``, run in its order outside containers: an engine for those is not needed."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cluster.nodes import ROOT
from tests.cluster.standalone import SPARK_HOME, Cluster, end
from tests.kafka_broker import CONNECTOR, Broker
from tests.programs.program import Program

pytestmark = pytest.mark.slow

SERVICES = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
ORDER = ["kafka", "feed", "master", "worker-1", "worker-2", "driver"]

PRODUCER = """#!{python}
# Stands for the script of the image.
import sys
from confluent_kafka import Producer
_, _, servers, _, topic = sys.argv
producer = Producer({{"bootstrap.servers": servers, "linger.ms": 0}})
for line in sys.stdin:
    producer.produce(topic, line.rstrip())
    producer.poll(0)
"""


class Outside:
    """What a command of the file is outside its container.

    Parameters
    ----------
    broker : Broker
        Stands for the service kafka.
    cluster : Cluster
        Its addresses stand for those of the services master and workers.
    topic : str
        Stands for the topic words.
    checkpoint : Path
        Stands for the volume.
    """

    def __init__(self, broker: Broker, cluster: Cluster, topic: str, checkpoint: Path) -> None:
        self._places = {
            "kafka:9092": broker.servers,
            "spark://master:7077": cluster.url,
            "/checkpoint": str(checkpoint),
            "/opt/jars": str(CONNECTOR),
            "/opt/demo": str(ROOT / "docker"),
            "/usr/local/bin/run_dstreams.py": str(Path(sys.executable).with_name("run_dstreams.py")),
            "spark.driver.host=driver": "spark.driver.host=127.0.0.1",
            "spark.driver.bindAddress=0.0.0.0": "spark.driver.bindAddress=127.0.0.1",
            "--topic words": f"--topic {topic}",
        }
        self._topic = topic

    def command(self, service: str) -> list[str]:
        """Command line of a service."""
        words = [self._topic if word == "words" else word for word in SERVICES[service]["command"]]
        for inside, outside in self._places.items():
            words = [word.replace(inside, outside) for word in words]
        return words


def test_the_whole_demo(broker, tmp_path):
    """Kafka, feed, master, two workers, driver; then the driver is killed as its restart policy knows it."""
    assert list(SERVICES) == ORDER
    topic = broker.topic(4)
    tools = tmp_path / "bin"
    tools.mkdir()
    producer = tools / "kafka-console-producer.sh"
    producer.write_text(PRODUCER.format(python=sys.executable))
    producer.chmod(0o755)
    with Cluster(tmp_path / "cluster", workers=0) as cluster:  # its master: with the class and options of the file
        assert _main_class("master") == "org.apache.spark.deploy.master.Master"
        assert _main_class("worker-1") == _main_class("worker-2") == "org.apache.spark.deploy.worker.Worker"
        for _ in range(2):
            cluster.start_worker()
        outside = Outside(broker, cluster, topic, tmp_path)
        feed = [word.replace("/opt/kafka/bin", str(tools)) for word in outside.command("feed")]
        feeding = subprocess.Popen(feed, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            _demo(outside.command("driver"), tmp_path)
        finally:
            end(feeding, 9)


def _demo(command: list[str], cwd: Path) -> None:
    environment = {
        "PATH": f"{SPARK_HOME / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }  # fmt: skip
    before = 0
    for turn in range(3):
        with Program(command, cwd, **environment) as driver:

            def totals() -> list[int]:
                return [int(line.rpartition(":")[2]) for line in driver.lines if line.startswith("words in all:")]

            driver.wait_for(lambda: len(totals()) >= 4 and totals()[-1] > before, "totals that grow")  # noqa: B023
            assert totals() == sorted(totals()) and totals()[0] >= before, (before, totals())
            pairs = [ast.literal_eval(line) for line in driver.lines if re.match(r"\('", line)]
            assert dict(pairs).keys() & {"to", "be", "the", "in"}
            before = totals()[-1]
            if turn == 1:
                os.killpg(driver.process.pid, signal.SIGTERM)  # as tini does it at `docker stop`
                driver.finish()
                assert not [line for line in driver.lines if "Traceback" in line], driver.report()
                before = totals()[-1]
            # else: the end of the block kills it, as `docker compose kill driver` does


def _main_class(service: str) -> str:
    command = SERVICES[service]["command"]
    assert command[0] == "spark-class"
    return command[1]


def test_files_that_the_image_copies_are_there():
    """And are let through to the engine."""
    text = (ROOT / "docker" / "Dockerfile").read_text()
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        source
        for line in text.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert source in allowed, source
