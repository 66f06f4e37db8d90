"""From where a source goes on: at the beginning, or where the query's offset log ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dstreams._sources.driver_files import DriverFiles

__all__ = ["FRESH", "Start", "count"]


@dataclass(frozen=True)
class Start:
    """What a source is told of the runs before this one.

    Attributes
    ----------
    position : dict, optional
        Offset, as the source itself gives them (``{"n": 12}``), at which the last batch in the query's offset log
        ended; None when the program starts for the first time.
    committed : dict, optional
        The same of the last batch that was committed; where it differs from `position`, the batch in between is
        run again.
    log : str, optional
        Folder of this source, a URI of any Hadoop file system, where a receiver writes ahead; None without a checkpoint
        directory.
    files : DriverFiles, optional
        Reads and writes the log for receivers, where its directory is not on a disk of this machine.
    """

    position: dict[str, Any] | None = None
    committed: dict[str, Any] | None = None
    log: str | None = None
    files: DriverFiles | None = None


FRESH = Start()
"""Nothing has run before, and nothing is kept."""


def count(offset: dict[str, Any] | None) -> int:
    """Count of records or elements that an offset stands for; 0 where there is none."""
    return 0 if offset is None else int(offset["n"])
