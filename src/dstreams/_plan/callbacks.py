"""How a callback wants to be called: with or without the batch time.

The old engine looks at ``func.__code__.co_argcount`` and nothing else, so that bound methods count ``self``,
default arguments count as arguments, and partial functions have no code at all. We count the positional
parameters that have to be given, which is the same for every plain function without defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from dstreams.errors import DStreamTypeError

__all__ = ["with_time"]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def with_time(func: Callable[..., Any], rdds: int, operation: str) -> Callable[..., Any]:
    """Return a function ``(time, *rdds)`` that calls `func` with or without the time.

    Parameters
    ----------
    func : callable
        ``(*rdds)`` or ``(time, *rdds)``.
    rdds : int
        Number of RDDs it gets, 1 or 2.
    operation : str
        Name for the error.

    Raises
    ------
    DStreamTypeError
        If it is not callable or takes another number of arguments; the old engine's text.
    """
    if not callable(func):
        raise DStreamTypeError(f"{operation}: func must be a function, got {func!r} of type {type(func).__name__}")
    try:
        parameters = list(inspect.signature(func).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature
        return lambda _, *args: func(*args)
    needed = sum(p.kind in _POSITIONAL and p.default is p.empty for p in parameters)
    possible = sum(p.kind in _POSITIONAL for p in parameters)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        possible = max(possible, rdds + 1)
    if needed == rdds or (needed < rdds == possible):
        return lambda _, *args: func(*args)
    if needed <= rdds + 1 <= possible:
        return func
    words = {1: "one or two", 2: "two or three"}[rdds]
    raise DStreamTypeError(
        f"func should take {words} arguments: {operation} calls it with "
        f"{'(rdd)' if rdds == 1 else '(rdd_a, rdd_b)'} or with the batch time before that; "
        f"{getattr(func, '__name__', func)!s} needs {needed}"
    )
