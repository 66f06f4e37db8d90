"""What exceptions say, those of workers too, whose traceback is somewhere in what the JVM says about a failed job."""

from __future__ import annotations

import re

__all__ = ["exception_text", "one_line", "remade", "worker_traceback"]

_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\n(?:(?!\s*at |\tat |\t\.\.\. |Driver stacktrace|Caused by).*\n?)+"
)


def one_line(error: BaseException) -> str:
    """All that an exception says, as a part of a sentence."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def worker_traceback(text: str) -> str | None:
    """Return the last Python traceback in a text, without what the JVM adds to it; None if there is none."""
    found = [match.group(0) for match in _TRACEBACK.finditer(text)]
    return found[-1].rstrip() if found else None


def exception_text(traceback: str) -> str:
    """Return what a traceback says after its last frame: ``ValueError: message``, the message as long as it is."""
    lines = traceback.splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    start = frames[-1] + 1 if frames else 1
    while start < len(lines) and lines[start].startswith("    "):
        start += 1
    return "\n".join(lines[start:])


def remade(kind: type[BaseException], text: str) -> BaseException | None:
    """Make an exception of a class anew, with a text, whatever its constructor takes; None where that is not to be."""
    try:
        made = kind(text)
        if str(made) == text:
            return made
    except Exception:  # it wants something else
        pass

    def init(self: BaseException, *_: object) -> None:
        self.args = (text,)

    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__init__": init}
    try:
        return type(kind.__name__, (kind,), names | {"__str__": lambda _: text})(text)  # type: ignore[no-any-return]
    except Exception:
        return None
