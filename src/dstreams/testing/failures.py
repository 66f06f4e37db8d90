"""What a test is told when the program under test does not do what it should; all are AssertionErrors."""

from __future__ import annotations

import sys
import threading
import traceback

__all__ = ["BatchFailed", "ProgramFailed", "place_of"]

_OURS = ("dstreams", "pyspark", "py4j", "threading.py", "runpy", "<frozen")


class ProgramFailed(AssertionError):
    """The program did not start, ended by itself, or takes too long."""


class BatchFailed(AssertionError):
    """A batch of the program raised; ``__cause__`` is the program's own exception."""


def place_of(thread: threading.Thread | None) -> str:
    """Line of the program, or of what it has called, that a thread is at; an empty text where that is not known.

    Parameters
    ----------
    thread : threading.Thread, optional
        The thread.
    """
    frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
    if frame is None:
        return ""
    lines = [f"{entry.filename}:{entry.lineno}: {(entry.line or entry.name).strip()}"
             for entry in traceback.extract_stack(frame)
             if not any(part in entry.filename for part in _OURS)]  # fmt: skip
    return lines[-1] if lines else ""
