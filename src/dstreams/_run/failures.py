"""From what Spark raises to what the user should see: the program's own exception, without the JVM's stack."""

from __future__ import annotations

import builtins
import re
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

from dstreams._plan.worker_errors import exception_text, remade, worker_traceback
from dstreams._run.nodes import missing
from dstreams.errors import BatchError

__all__ = ["as_user_error"]

_FRAME = re.compile(r'(  File "([^"]+)", line \d+, in .*\n(?:    .*\n)*)')
_CAUSES = 20
"""More causes than any chain has, should one be a circle."""
_INTERNAL = tuple(
    str(Path(spec.origin).parent)
    for spec in (find_spec("pyspark"), find_spec("dstreams"))
    if spec is not None and spec.origin is not None
)


def as_user_error(error: BaseException, where: str) -> BaseException:
    """Translate an exception of a batch.

    Parameters
    ----------
    error : BaseException
        What an output operation, or the making of a batch, raised.
    where : str
        The operation, for the message.

    Returns
    -------
    BaseException
        An exception that Python code in the driver raised is returned as it is. For one that came out of
        Spark's workers an exception of the same class and message is made, where the class can be found, whose
        cause is a :class:`BatchError` with the operation and the worker's traceback; otherwise that BatchError.
    """
    if not isinstance(error, (Py4JError, PySparkException)):
        return error
    text = str(error)
    if (lack := missing(text)) is not None:  # an executor that came when the program was running
        return _caused(BatchError(f"{where} failed: {lack}"), error)
    found = worker_traceback(text)
    if found is None:
        return _plain(error, text, where)
    trace = _shorten(found)
    name, _, message = exception_text(trace).partition(": ")
    failed = BatchError(f"{where} failed in a worker:\n{trace}")
    rebuilt = _rebuild(name.strip(), message)
    if rebuilt is None:
        return failed
    rebuilt.__cause__ = failed
    return rebuilt


def _plain(error: BaseException, text: str, where: str) -> BaseException:
    """Keep an error of the JVM's own, reduced to its first line."""
    if isinstance(error, Py4JJavaError):
        with suppress(Exception):  # the JVM may be gone; the text says so
            text = str(error.java_exception.toString())
    first = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    root = _root_cause(error)
    because = f" (in the end: {root})" if root and root not in first else ""
    return _caused(BatchError(f"{where} failed: {first}{because}"), error)


def _root_cause(error: BaseException) -> str:
    """What the innermost of Java's exceptions says: a full disk is named there, and nowhere else."""
    text = ""
    with suppress(Exception):  # the JVM may be gone
        cause = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
        for _ in range(_CAUSES):
            if cause is None or (following := cause.getCause()) is None:
                break
            cause = following
            text = str(cause.getMessage() or cause.getClass().getSimpleName()).strip()
    return next(iter(text.splitlines()), "")


def _caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def _shorten(trace: str) -> str:
    """Leave out the frames of PySpark and of this package, unless there are no others."""
    short = _FRAME.sub(lambda frame: "" if frame.group(2).startswith(_INTERNAL) else frame.group(1), trace + "\n")
    return (short if _FRAME.search(short) else trace).rstrip()


def _rebuild(name: str, message: str) -> BaseException | None:
    module, _, attribute = name.rpartition(".")
    owner = sys.modules.get(module) if module else builtins
    kind = getattr(owner, attribute, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        return None
    return remade(kind, message)
