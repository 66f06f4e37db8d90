"""How a program is doing, at one moment: for people, notebooks and programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from html import escape
from typing import Any

__all__ = ["Status"]


@dataclass(frozen=True)
class Status:
    """What is known of a program when it is asked; prints as a page of text, and as a table in a notebook.

    Attributes
    ----------
    state : str
        ``"not started"``, ``"running"`` or ``"stopped"``.
    interval_ms : int
        Batch interval in ms.
    batches : int
        Batches that have run since the start.
    last_batch_ms : int or None
        Time of the last of them in ms since the epoch; None before the first, as all that follows.
    records : int or None
        Records that receivers gave to it.
    scheduling_delay_ms, processing_ms : int or None
        How late it began, and how long it took, in ms; None where no output was due.
    waiting : int
        Records that receivers have taken and no batch has yet.
    behind : bool
        Whether it took longer than the batch interval.
    outputs : list of dict
        Of each of its outputs ``name``, ``ms`` and ``error`` (None where it did not fail).
    error : str or None
        What the program would be told in ``awaitTermination``.
    """

    state: str
    interval_ms: int
    batches: int = 0
    last_batch_ms: int | None = None
    records: int | None = None
    scheduling_delay_ms: int | None = None
    processing_ms: int | None = None
    waiting: int = 0
    behind: bool = False
    outputs: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The same as a dict of plain values, for JSON."""
        return asdict(self)

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("state", self.state), ("interval", f"{self.interval_ms / 1000:g} s"), ("batches", f"{self.batches:,}")]
        late = ", behind" if self.behind else ""
        if self.last_batch_ms is not None:
            rows += [
                ("last batch", f"{datetime.fromtimestamp(self.last_batch_ms / 1000)}"),
                ("records", f"{self.records:,}"),
            ]
        if self.processing_ms is not None:
            rows += [("began", f"{self.scheduling_delay_ms} ms late"), ("took", f"{self.processing_ms} ms{late}")]
        rows.append(("waiting", f"{self.waiting:,} records"))
        for output in self.outputs:
            failed = f", failed: {output['error']}" if output["error"] else ""
            rows.append((output["name"], f"{output['ms']} ms{failed}"))
        return rows + ([("error", self.error)] if self.error else [])

    def __str__(self) -> str:
        width = max(len(label) for label, _ in self._rows()) + 2
        return "\n".join(label.ljust(width) + text for label, text in self._rows())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = (f"<tr><th>{escape(label)}</th><td>{escape(text)}</td></tr>" for label, text in self._rows())
        return f"<table>{''.join(rows)}</table>"
