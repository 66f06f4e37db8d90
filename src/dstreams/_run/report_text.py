"""A report on a checkpoint directory as text: labels and values, times with their age, no passwords."""

from __future__ import annotations

import json
import re
import textwrap
from datetime import datetime, timedelta
from typing import Any

__all__ = ["report_text", "without_passwords"]

_WIDTH, _LABEL = 100, 12
_SECTIONS = {
    "program": "Program",
    "inputs": "Inputs",
    "state": "Operations with state (entries are pieces of pickled state, not keys)",
    "outputs": "Outputs",
    "exchanges": "Exchanges (inner queries, which run the operations with state that follow the batch side)",
    "disk": "On disk",
}
_LABELS = {"bytes": "size", "n": "elements"}
_NOT_IN_ROWS = {"directory", "id", "kind"}


def report_text(data: dict[str, Any], now_ms: int) -> str:
    """Write a report as lines of at most 100 columns.

    Parameters
    ----------
    data : dict
        Values, and sections: dicts, or lists of texts or of dicts with an id.
    now_ms : int
        Time as of which ages are given.
    """
    overview = {key: value for key, value in data.items() if key not in _SECTIONS}
    lines = [f"Checkpoint directory {data['directory']}", "", *_rows(overview, "  ", now_ms)]
    for key, title in _SECTIONS.items():
        if data[key]:
            lines += ["", title]
        if isinstance(data[key], dict):
            lines += _rows(data[key], "  ", now_ms)
        else:
            for item in data[key]:
                about = {"id": item} if isinstance(item, str) else item
                lines += [*_wrapped("  ", about["id"], 6), *_rows(about, "      ", now_ms)]
    return without_passwords("\n".join(lines))


def without_passwords(text: str) -> str:
    """Hide the password of addresses like ``s3a://key:secret@bucket``."""
    return re.sub(r"(//[^/@:\s]*):[^/@\s]+@", r"\1:***@", text)


def _rows(fields: dict[str, Any], indent: str, now_ms: int) -> list[str]:
    lines = []
    for key, value in fields.items():
        if key not in _NOT_IN_ROWS:
            head = f"{indent}{_label(key):<{_LABEL - 1}} "
            lines += _wrapped(head, _text(key, value, now_ms), len(indent) + _LABEL)
    return lines


def _wrapped(head: str, text: str, indent: int) -> list[str]:
    # Names are not broken, so that they can be copied.
    return textwrap.wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=" " * indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _label(key: str) -> str:
    return _LABELS.get(key, key.removesuffix("_ms"))


def _text(key: str, value: Any, now_ms: int) -> str:
    match key, value:
        case "running", None:
            return "cannot be told on this file system"
        case "pending", True:
            return "yes: the batch that was begun is running, or will be run again at the next start"
        case "previous", str():
            return f"the run before the last upgrade or fresh start is kept in {value}"
        case "initial", bool():
            return "with an initial state, which it " + ("has" if value else "gets yet")
        case "input", None:
            return "one that the program does not have"
        case "begun" | "committed", None:
            return "nothing yet"
        case "error", str():
            return f"could not be read: {value}"
        case _, None:
            return "none"
        case _, bool():
            return "yes" if value else "no"
        case "interval_ms", int():
            return f"{value / 1000:g} s"
        case "time_ms" | "saved_ms", int():
            when = datetime.fromtimestamp(value / 1000).isoformat(" ", "milliseconds").removesuffix(".000")
            age = timedelta(seconds=abs(now_ms - value) // 1000)
            return f"{when} ({age} {'ago' if value <= now_ms else 'from now'})"
        case "bytes", int():
            return _size(value)
        case "entries" | "n", int():
            return f"{value:,}"
        case _, dict() if not any(isinstance(each, dict | list) for each in value.values()):
            return ", ".join(f"{_label(name)} {_text(name, each, now_ms)}" for name, each in value.items())
        case _, list() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def _size(number: float) -> str:
    units = ["TiB", "GiB", "MiB", "KiB", "bytes"]
    unit = units.pop()
    while number >= 1024 and units:
        number, unit = number / 1024, units.pop()
    return f"{number} bytes" if unit == "bytes" else f"{number:.1f} {unit}"
