"""The offset log and the commit log of a query, as Spark writes them: how far a program has got."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dstreams._spark.jvm import jvm_reason
from dstreams.errors import CheckpointError

if TYPE_CHECKING:
    from dstreams._spark.files import Files

__all__ = ["Offsets", "Position", "QueryLog"]

_NONE = "-"
"""What Spark writes for a source without an offset."""


@dataclass(frozen=True)
class Offsets:
    """One file of the offset log.

    Attributes
    ----------
    version, metadata : str
        Its first two lines.
    sources : list of str or None
        The offset of each source, as JSON.
    """

    version: str
    metadata: str
    sources: list[str | None]

    @classmethod
    def parse(cls, text: str) -> Offsets:
        """Read a file."""
        version, metadata, *lines = text.split("\n")
        if version != "v1" or not lines or not isinstance(json.loads(metadata), dict):
            raise ValueError("it is not in the format of an offset log")
        sources = [None if line == _NONE else line for line in lines]
        for source in sources:
            json.loads(source or "0")
        return cls(version, metadata, sources)

    def with_sources(self, sources: list[str | None]) -> Offsets:
        """The same with other offsets."""
        return replace(self, sources=sources)

    def text(self) -> str:
        """Content of the file."""
        return "\n".join([self.version, self.metadata, *(_NONE if line is None else line for line in self.sources)])


@dataclass(frozen=True)
class Position:
    """How far a query has got.

    Attributes
    ----------
    batch : int
        Number of the last batch that was begun.
    committed : int or None
        Number of the last batch that was committed.
    at : Offsets
        Where the last batch that was begun ends.
    before : Offsets or None
        Where the batch before it ends; None for the first.
    """

    batch: int
    committed: int | None
    at: Offsets
    before: Offsets | None

    @property
    def pending(self) -> bool:
        """Whether the last batch that was begun has to be run again."""
        return self.committed != self.batch

    @property
    def done(self) -> Offsets | None:
        """Where the last batch ends that is done; None where none is."""
        return self.before if self.pending else self.at


class QueryLog:
    """Logs of one query.

    Parameters
    ----------
    files : Files
        Files of its checkpoint location.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def position(self, sources: int | None = None) -> Position | None:
        """Read how far the query has got; None if it has not begun a batch.

        Parameters
        ----------
        sources : int, optional
            Number of sources that its program has.

        Raises
        ------
        CheckpointError
            If a file is missing or damaged, or of another program.
        """
        committed = _batches(self._files, "commits")  # first: a driver may be writing both
        begun = _batches(self._files, "offsets")
        if not begun and not committed:
            return None
        last = committed[-1] if committed else None
        if last is not None and (not begun or begun[-1] < last):
            raise self._broken(
                f"offsets/{last} is missing, although batch {last} was committed. Restore it from a copy; or delete "
                f"commits/{last} (and .{last}.crc) as well: the batch is run again, with what its sources have then"
            )
        batch = begun[-1]
        before = None
        if batch > 0:
            if batch - 1 not in begun:
                raise self._broken(
                    f"offsets/{batch - 1} is missing, which tells where batch {batch} begins. Restore it from a copy"
                )
            before = self._read(batch - 1)
        at = self._read(batch)
        for offsets in (before, at):
            if sources is not None and offsets is not None and len(offsets.sources) != sources:
                raise self._broken(
                    f"the offset log has {len(offsets.sources)} sources, and the program {sources}: they are not of "
                    "the same run. Restore both from a copy"
                )
        # A commit that is missing below the last one has no meaning; without the last one a batch is pending.
        return Position(batch, None if last is None else min(last, batch), at, before)

    def find(self, offset: str) -> int | None:
        """Number of the last batch that ends at an offset, of a query whose sources all have the same."""
        for batch in reversed(_batches(self._files, "offsets")):
            if offset in self._read(batch).sources:
                return batch
        return None

    def offsets_of(self, batch: int, line: int) -> tuple[str | None, str | None]:
        """Offsets of one source before and at the end of a batch; None where there is none."""
        before = self._read(batch - 1).sources[line] if batch > 0 else None
        return before, self._read(batch).sources[line]

    def forget(self, batch: int) -> None:
        """Forget that a batch was begun."""
        self._files.delete(f"offsets/{batch}")

    def take_back(self, batch: int) -> None:
        """Forget that a batch was committed, so that it is run again."""
        self._files.delete(f"commits/{batch}")

    def _read(self, batch: int) -> Offsets:
        try:
            return Offsets.parse(self._files.read(f"offsets/{batch}").decode())
        except Exception as error:
            raise self._broken(f"offsets/{batch} is damaged ({jvm_reason(error)}). Restore it from a copy") from None

    def _broken(self, what: str) -> CheckpointError:
        return CheckpointError.unreadable(
            self._files.root, f"{what}; or use another directory, which begins with nothing. Nothing was changed."
        )


def _batches(files: Files, folder: str) -> list[int]:
    return sorted(int(name) for name in files.names(folder) if name.isdigit())
