"""What a source is told when a program starts: from where it goes on, where it writes ahead, and who listens to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dstreams._sources.write_ahead import LogFolder

__all__ = ["FRESH", "Start", "count"]


def _ignore(event: str, text: str) -> None:
    """Where nobody listens."""


@dataclass(frozen=True)
class Start:
    """What a source is told.

    Attributes
    ----------
    position : dict, optional
        Offset, as the source itself gives them (``{"n": 12}``), at which the last batch in the query's offset log
        ended; None when the program starts for the first time.
    committed : dict, optional
        The same of the last batch that was committed; where it differs from `position`, the batch in between is
        run again.
    log : callable, optional
        Gives the folder where a receiver writes ahead, once the query starts; None without a checkpoint directory.
    report : callable
        ``(event, text)``: takes what a receiver says of itself, for the log and the listeners.
    """

    position: dict[str, Any] | None = None
    committed: dict[str, Any] | None = None
    log: Callable[[], LogFolder] | None = None
    report: Callable[[str, str], None] = _ignore


FRESH = Start()
"""Nothing has run before, and nothing is kept."""


def count(offset: dict[str, Any] | None) -> int:
    """Count of records or elements that an offset stands for; 0 where there is none."""
    return 0 if offset is None else int(offset["n"])
