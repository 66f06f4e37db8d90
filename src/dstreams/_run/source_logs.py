"""What the batches of a query have read, from the files that Spark keeps of that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dstreams._run.query_log import QueryLog

if TYPE_CHECKING:
    from dstreams._plan.graph import Node
    from dstreams._run.layout import Layout
    from dstreams._spark.files import Files

__all__ = ["SourceLogs"]


class SourceLogs:
    """Offsets and logs of the sources of one query.

    Parameters
    ----------
    files : Files
        Files of its checkpoint location.
    layout : Layout
        Which source is which there.
    """

    def __init__(self, files: Files, layout: Layout) -> None:
        self._files = files
        self._log = QueryLog(files)
        self._layout = layout

    def span(self, batch: int, node: Node) -> tuple[str | None, str | None]:
        """Where a batch, by its number, begins and ends in the source that a node is."""
        line = self._layout.sources.index(node.id)
        before, at = self._log.offsets_of(batch, line)
        if before is None:
            assert node.source is not None
            before = node.source.first_offset(self._own(node, "0"))
        return before, at

    def entries(self, node: Node, first: int, last: int) -> list[dict[str, Any]]:
        """Entries of a source's own log with the numbers from `first` to `last`."""
        found = []
        for number in range(first, last + 1):
            text = self._own(node, str(number)) or self._own(node, f"{number}.compact")
            entries = (json.loads(line) for line in text.splitlines()[1:] if line)
            found += [entry for entry in entries if entry.get("batchId") == number]
        return found

    def _own(self, node: Node, name: str) -> str:
        if node.id not in self._layout.numbered:
            return ""
        path = f"sources/{self._layout.numbered.index(node.id)}/{name}"
        return self._files.read(path).decode() if self._files.exists(path) else ""
