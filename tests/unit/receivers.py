"""What the tests of receivers share: a driver's ear, waiting, and the records that a reader would give to a batch."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any

from dstreams._sources.custom import CustomSource
from dstreams._sources.receiver import ReceiverReader, Settings
from dstreams.receiver import Receiver

__all__ = ["QUICK", "Status", "custom", "taken", "until"]

QUICK = Settings(restart_seconds=0.01, block_seconds=0.01)


class Status:
    """Stands in for the driver."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def call(self, method: str, *args: Any) -> None:
        if method == "receiver":
            self.said.append((args[0], args[1]))

    def texts(self, event: str) -> list[str]:
        return [text for said, text in self.said if said == event]


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.002)


def taken(reader: ReceiverReader) -> list[Any]:
    parts = reader.partitions({"n": 0}, reader.latestOffset())
    return [record for part in parts for chunk in part.chunks for record in pickle.loads(chunk)]


def custom(receiver: Receiver[Any], settings: Settings = QUICK) -> CustomSource:
    return CustomSource(receiver, 3, 2, "dstreams-receiver-3", settings)
