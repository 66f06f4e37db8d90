"""A real MQTT broker, Mosquitto, in a process of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from paho.mqtt import publish

USER, PASSWORD = "alice", "open-sesame-1"


class Mosquitto:
    """One broker; a context manager that ends it.

    Parameters
    ----------
    folder : Path
        Where it keeps its files.
    closed : bool
        Whether it asks for a password.
    """

    def __init__(self, folder: Path, closed: bool = False) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.auth = {"username": USER, "password": PASSWORD} if closed else None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {str(not closed).lower()}", "user root"]
        if closed:
            passwords = folder / "passwords"
            subprocess.run([_tool("mosquitto_passwd"), "-b", "-c", str(passwords), USER, PASSWORD], check=True)
            lines.append(f"password_file {passwords}")
        (folder / "mosquitto.conf").write_text("\n".join(lines))
        self.url = f"tcp://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with open(self._folder / "log", "ab") as log:
            command = [_tool("mosquitto"), "-c", str(self._folder / "mosquitto.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline and self._process.poll() is None, (self._folder / "log").read_text()
                time.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def publish(self, topic: str, *messages: str | bytes) -> None:
        """Send messages, which the broker keeps for nobody who has not subscribed."""
        packets = [{"topic": topic, "payload": message, "qos": 1} for message in messages]
        publish.multiple(packets, hostname="127.0.0.1", port=self.port, auth=self.auth)

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _tool(name: str) -> str:
    path = os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin"
    if shutil.which(name, path=path) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "mosquitto"]):
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    found = shutil.which(name, path=path)
    assert found is not None, "Mosquitto is not installed: apt-get install mosquitto"
    return found
