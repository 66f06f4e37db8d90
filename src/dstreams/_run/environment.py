"""What a program gets from outside: clock, directories, sources. A test replaces it (see dstreams.testing)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from dstreams._run.clock import Clock

if TYPE_CHECKING:
    from pyspark import RDD

    from dstreams._plan.graph import Graph, Output

__all__ = ["Environment", "current_environment", "using"]


class Environment:
    """The environment of a program that is not under test."""

    def directory(self, path: str) -> str:
        """Where to keep what the program keeps in a checkpoint directory."""
        return path

    def state_directory(self) -> str | None:
        """Where to keep the state of a program that names no directory; None if it has to name one."""
        return None

    def begin(self, graph: Graph) -> None:
        """Take part in a program that is about to be started; its sources may be exchanged."""

    def clock(self, interval_ms: int, logical: bool, paced: bool) -> Clock:
        """Return the clock of the program."""
        return Clock(interval_ms, logical, paced)

    def output(self, output: Output, rdd: RDD[Any]) -> None:
        """Look at the RDD of an output, before the output does."""

    def may_commit(self) -> bool:
        """Whether the batch whose outputs have run may be committed."""
        return True


_current: ContextVar[Environment] = ContextVar("environment", default=Environment())  # noqa: B039 - it has no state


def current_environment() -> Environment:
    """Return the environment that a context made here and now has for its life."""
    return _current.get()


@contextmanager
def using(environment: Environment) -> Iterator[None]:
    """Let contexts that this thread makes meanwhile have an environment."""
    token = _current.set(environment)
    try:
        yield
    finally:
        _current.reset(token)
