"""The broadcast variables of a Python function: which it refers to, which the JVM sends along, which a task has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark import cloudpickle
from pyspark.core.broadcast import _broadcastRegistry

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import Broadcast, SparkContext

__all__ = ["Snapshot", "marked_broadcast", "send_along", "snapshot_of"]

_TRIES = 5
"""How often something is pickled that another thread of the program is changing just then."""


@dataclass
class Snapshot:
    """Something pickled, and the broadcast variables that it refers to."""

    data: bytes
    broadcasts: list[Broadcast[Any]]


def snapshot_of(sc: SparkContext, thing: Any) -> Snapshot:
    """Pickle something as it is now; raises what cloudpickle does."""
    registry = sc._pickled_broadcast_vars
    for left in reversed(range(_TRIES)):
        registry.clear()
        try:
            return Snapshot(cloudpickle.dumps(thing), list(registry))
        except RuntimeError:  # a dict changed its size meanwhile: another thread of the program writes to it
            if not left:
                raise
        finally:
            registry.clear()
    raise AssertionError("the last try has raised")


def send_along(known: JavaObject, broadcasts: list[Broadcast[Any]], ids: list[int] | None) -> list[int]:
    """Set the list of a ``PythonFunction``, where it has others than these ids; give the ids."""
    java = {broadcast._jbroadcast.id(): broadcast._jbroadcast for broadcast in broadcasts}
    if ids != sorted(java):
        del known[:]  # clear() of py4j fails on an empty list
        known.extend(java.values())
    return sorted(java)


def marked_broadcast(mark: bytes) -> bytes | None:
    """In a worker, what a broadcast variable of this task has after a mark; None if none begins with it."""
    found = (_after(mark, broadcast) for broadcast in list(_broadcastRegistry.values()))
    return next((data for data in found if data is not None), None)


def _after(mark: bytes, broadcast: Broadcast[Any]) -> bytes | None:
    """What a broadcast variable has after a mark; of others no more is read than their beginning."""
    if (path := getattr(broadcast, "_path", None)) is not None:
        with open(path, "rb") as file:
            if mark not in file.read(2 * len(mark)):
                return None
    value = broadcast.value
    return value[len(mark) :] if isinstance(value, bytes) and value.startswith(mark) else None
