"""A page of text about a checkpoint directory: labels, times with their age, sizes; no passwords."""

from __future__ import annotations

import re
import textwrap
from datetime import datetime
from typing import TYPE_CHECKING

from dstreams._run.checkpoint import OWNER

if TYPE_CHECKING:
    from dstreams._run.files import Files
    from dstreams._run.program import Program

__all__ = ["Page", "count", "size_text", "without_passwords"]

_WIDTH = 100
_LABEL = 12


class Page:
    """Lines of text about a directory.

    Parameters
    ----------
    directory : Files
        Its files.
    now_ms : int
        Time of which ages are told.
    """

    def __init__(self, directory: Files, now_ms: int) -> None:
        self.directory = directory
        self._now_ms = now_ms
        self._lines = [f"Checkpoint directory {directory.root}", ""]

    def heading(self, text: str) -> None:
        self._lines += ["", *textwrap.wrap(text, _WIDTH)]

    def line(self, text: str) -> None:
        self._wrap("  ", "      ", text)

    def row(self, label: str, text: str, indent: int = 2) -> None:
        head = " " * indent + label.ljust(_LABEL)
        self._wrap(head, " " * len(head), text)

    def written(self) -> str:
        """All lines."""
        return without_passwords("\n".join(self._lines))

    def when(self, ms: int) -> str:
        """A time, and how long ago it was."""
        fraction = f".{ms % 1000:03d}" if ms % 1000 else ""
        age = self._now_ms - ms
        side = "ago" if age >= 0 else "from now"
        return f"{datetime.fromtimestamp(ms // 1000):%Y-%m-%d %H:%M:%S}{fraction} ({_duration(abs(age))} {side})"

    def program_rows(self, program: Program) -> None:
        """What the program is."""
        self.row(
            "program",
            f"{program.app!r}, from {program.script or 'a shell'}; batches of {program.interval_ms / 1000:g} s, "
            f"{count(program.parallelism, 'partition')} by default, master {program.conf.get('spark.master', '-')}",
        )
        when = self.when(program.written_ms // 1000 * 1000)
        by = f"dstreams {program.dstreams}, pyspark {program.pyspark}, Python {program.python}"
        self.row("saved", f"{when} by {by}")

    def driver_row(self, running: bool | None) -> None:
        """Which driver runs on it."""
        try:
            owner = self.directory.read(OWNER).decode().rpartition(", ")[0]
        except Exception:  # it has just been made, or somebody has deleted it
            owner = "an unknown process"
        if running is None:
            text = f"the last was {owner}; whether it is running cannot be told on this file system"
        elif running:
            text = f"running on it now: {owner}"
        else:
            text = f"none is running on it; the last was {owner}"
        self.row("driver", text)

    def _wrap(self, first: str, others: str, text: str) -> None:
        # Names are not broken, so that they can be copied.
        self._lines += textwrap.wrap(
            text, _WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
        )


def without_passwords(text: str) -> str:
    """Hide the password of addresses like ``s3a://key:secret@bucket``."""
    return re.sub(r"(//[^/@:\s]*):[^/@\s]+@", r"\1:***@", text)


def count(number: int, noun: str) -> str:
    plural = noun.removesuffix("y") + "ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def size_text(number: float) -> str:
    if number < 1024:
        return count(int(number), "byte")
    for unit in ("KiB", "MiB", "GiB"):
        number /= 1024
        if number < 1024:
            return f"{number:.1f} {unit}"
    return f"{number / 1024:.1f} TiB"


def _duration(ms: int) -> str:
    """The two largest units of a time."""
    seconds = ms // 1000
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next((i for i, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number or unit == "s")
