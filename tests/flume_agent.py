"""A real Flume agent in a process of its own: lines that come to its port go on through its Avro sink."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

JARS = Path(__file__).resolve().parent.parent / ".jars" / "flume"

_SETTINGS = """
a.sources = lines
a.channels = memory
a.sinks = avro
a.sources.lines.type = netcat
a.sources.lines.bind = 127.0.0.1
a.sources.lines.port = {port}
a.sources.lines.max-line-length = 4000000
a.sources.lines.channels = memory
a.sources.lines.interceptors = origin
a.sources.lines.interceptors.origin.type = static
a.sources.lines.interceptors.origin.key = origin
a.sources.lines.interceptors.origin.value = test
a.channels.memory.type = memory
a.channels.memory.capacity = 10000
a.channels.memory.transactionCapacity = 1000
a.sinks.avro.type = avro
a.sinks.avro.channel = memory
a.sinks.avro.hostname = 127.0.0.1
a.sinks.avro.port = {target}
a.sinks.avro.batch-size = 50
a.sinks.avro.compression-type = {compression}
"""


class Agent:
    """One agent; a context manager that ends it.

    Parameters
    ----------
    folder : Path
        Where it keeps its files.
    target : int
        Port on this machine that its Avro sink sends to.
    compression : str
        ``none`` or ``deflate``.
    """

    def __init__(self, folder: Path, target: int, compression: str = "none") -> None:
        assert any(JARS.glob("flume-ng-node-*.jar")), "the jars of Flume are not there: run `make jars`"
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        settings = _SETTINGS.format(port=self._port, target=target, compression=compression)
        (folder / "agent.properties").write_text(settings)

    def send(self, *lines: str) -> None:
        """Give the agent lines; returns when it has them."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection:
            connection.sendall("".join(line + "\n" for line in lines).encode())
            answer = b""
            while answer.count(b"OK") < len(lines):
                data = connection.recv(1 << 16)
                assert data, answer
                answer += data

    def __enter__(self) -> Agent:
        java = os.path.join(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else "java"
        options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx200m", "-cp", f"{JARS}/*"]
        command = ["org.apache.flume.node.Application", "-n", "a", "-f", str(self._folder / "agent.properties")]
        with open(self._folder / "agent.log", "ab") as log:
            self._process = subprocess.Popen([java, *options, *command], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return self
            except OSError:
                log_text = (self._folder / "agent.log").read_text()
                assert time.monotonic() < deadline and self._process.poll() is None, log_text[-3000:]
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(30)
