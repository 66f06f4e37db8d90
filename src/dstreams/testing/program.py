"""The program under test: a function or a script, called in a thread of its own, as nothing else would call it."""

from __future__ import annotations

import inspect
import os
import runpy
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from pyspark import SparkContext

from dstreams import DStream, StreamingContext, compat
from dstreams._run.environment import Environment, using
from dstreams._spark.context import active_context
from dstreams.errors import DStreamTypeError

__all__ = ["ProgramThread", "as_function", "returned_streams", "takes_context"]


def as_function(program: Any, args: Sequence[str]) -> Callable[..., Any]:
    """Return the program as a function.

    Parameters
    ----------
    program : callable or str or Path
        The program, or the file of one.
    args : sequence of str
        Arguments of a file.

    Raises
    ------
    DStreamTypeError
        If it is neither.
    """
    if callable(program):
        return program  # type: ignore[no-any-return]
    if not isinstance(program, str | Path) or not os.path.isfile(program):
        raise DStreamTypeError(
            f"stream_test: give a function of the StreamingContext, one that makes a StreamingContext, or the path of "
            f"a program; got {program!r}"
        )
    path = os.fspath(program)

    def run() -> None:
        active = sys.modules.get("pyspark.streaming") is sys.modules["dstreams"]
        compat.activate()
        try:
            with mock.patch.object(sys, "argv", [path, *args]):
                runpy.run_path(path, run_name="__main__")
        finally:
            if not active:  # other tests of this process may want the old engine
                compat.deactivate()

    return run


def takes_context(function: Callable[..., Any]) -> bool:
    """Whether a program is to be called with a StreamingContext."""
    parameters = inspect.signature(function).parameters.values()
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


class ProgramThread(threading.Thread):
    """Calls a program, and starts the context that it makes unless it does so itself.

    Parameters
    ----------
    sc : SparkContext
        What ``SparkContext(...)`` in the program gives.
    environment : Environment
        What its StreamingContext meets.
    function : callable
        The program, without arguments.
    changed : threading.Condition
        Notified when the program has ended.

    Attributes
    ----------
    error : BaseException, optional
        What the program raised.
    """

    def __init__(
        self, sc: SparkContext, environment: Environment, function: Callable[[], Any], changed: threading.Condition
    ) -> None:
        super().__init__(name="program under test", daemon=True)
        self.error: BaseException | None = None
        self.ended = False
        self._sc = sc
        self._environment = environment
        self._function = function
        self._changed = changed

    def run(self) -> None:
        """Call the program."""
        try:
            with _shared(self._sc), using(self._environment):
                made = self._function()
                if isinstance(made, StreamingContext) and not made._builder.started and not made._builder.stopped:
                    made.start()
        except BaseException as error:
            self.error = error
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()


@contextmanager
def _shared(sc: SparkContext) -> Iterator[None]:
    """Let ``SparkContext(...)`` be the SparkContext of the test, which the process cannot have two of."""
    make = SparkContext.__init__

    def init(self: SparkContext, *args: Any, **kwargs: Any) -> None:
        if active_context() is None:
            make(self, *args, **kwargs)
        else:
            self.__dict__ = sc.__dict__

    with mock.patch.object(SparkContext, "__init__", init):
        yield


def returned_streams(made: Any) -> dict[str, DStream[Any]]:
    """Streams that a program has returned for the test to look at, by name."""
    if isinstance(made, DStream):
        return {"result": made}
    if isinstance(made, dict):
        return {str(name): stream for name, stream in made.items() if isinstance(stream, DStream)}
    if isinstance(made, list | tuple):
        return {f"result {n}": stream for n, stream in enumerate(made, 1) if isinstance(stream, DStream)}
    return {}
