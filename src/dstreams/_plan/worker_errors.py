"""Finding a worker's Python traceback in what the JVM says about a failed job."""

from __future__ import annotations

import re

__all__ = ["last_line", "worker_traceback"]

_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:(?!\s*at |\tat |Driver stacktrace|Caused by).*\n?)+")


def worker_traceback(text: str) -> str | None:
    """Return the last Python traceback in a text, without what the JVM adds to it; None if there is none."""
    found = [match.group(0) for match in _TRACEBACK.finditer(text)]
    return found[-1].rstrip() if found else None


def last_line(traceback: str) -> str:
    """Return the line of a traceback that names the exception, ``ValueError: message``."""
    lines = traceback.splitlines()
    return next((line for line in reversed(lines) if line and not line.startswith(" ")), "")
