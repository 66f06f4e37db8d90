"""The default number of partitions: a number that a saved program is given anew when it is restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["DefaultPartitions", "restoring_with"]

_restoring: ContextVar[int | None] = ContextVar("dstreams_default_partitions", default=None)


class DefaultPartitions(int):
    """What operations have that name no number of partitions.

    It is an int like any other, but in the pickle of a program it stands for the default: so ``--repartition`` reaches
    the operations that were defined with it, and not those whose number is the program's own.
    """

    def __reduce__(self) -> tuple[Callable[[int], DefaultPartitions], tuple[int]]:
        return _restored, (int(self),)


def _restored(saved: int) -> DefaultPartitions:
    return DefaultPartitions(_restoring.get() or saved)


@contextmanager
def restoring_with(partitions: int) -> Iterator[None]:
    """Within this, what is unpickled has another default."""
    token = _restoring.set(partitions)
    try:
        yield
    finally:
        _restoring.reset(token)
