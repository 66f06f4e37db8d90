"""What the outputs of a program got in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

__all__ = ["BatchResult"]


class BatchResult(Mapping[str, "list[Any] | None"]):
    """Records of each output of one batch, by the output's name or its number.

    A name is that of the stream in the dict that the program returned, of the function given to ``foreachRDD``, or of
    the operation (``"pprint"``); where several outputs would have the same, ``"pprint_2"`` is the second of them.

    Parameters
    ----------
    time : datetime
        Batch time.
    records : dict of str to list
        What each output got, in the order of the outputs; None where it was not called, because its stream had no RDD
        at that time.
    """

    def __init__(self, time: datetime, records: dict[str, list[Any] | None]) -> None:
        self.time = time
        self._records = records

    def __getitem__(self, output: str | int) -> list[Any] | None:
        if isinstance(output, int):
            return list(self._records.values())[output]
        if output not in self._records:
            raise KeyError(self._no(output))
        return self._records[output]

    def _no(self, output: str) -> str:
        return f"no output {output!r}; the program has: {', '.join(map(repr, self._records))}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"BatchResult({self.time}, {self._records})"

    def expect(self, *expected: Sequence[Any] | None, **named: Sequence[Any] | None) -> BatchResult:
        """Assert what outputs got, in any order.

        Parameters
        ----------
        *expected : list or None
            Records of the first outputs.
        **named : list or None
            Records of outputs by name; None where the output must not have been called.

        Returns
        -------
        BatchResult
            This one.

        Raises
        ------
        AssertionError
            Tells for each output that differs which records are missing and which were not expected.
        """
        assert len(expected) <= len(self), f"{len(expected)} outputs expected, there are {len(self)}: {list(self)}"
        wanted: list[tuple[str | int, Sequence[Any] | None]] = [*enumerate(expected), *named.items()]
        wrong = [text for output, records in wanted if (text := self._compare(output, records))]
        assert not wrong, f"batch {self.time}: " + "; ".join(wrong)
        return self

    def _compare(self, output: str | int, expected: Sequence[Any] | None) -> str:
        name = list(self)[output] if isinstance(output, int) else output
        if name not in self._records:
            return self._no(name)
        found = self[name]
        if found is None or expected is None:
            if found is expected:
                return ""
            return (f"{name} was called with {found}" if expected is None else
                    f"{name} was not called: its stream has no RDD at this time (is its window or slide due?); "
                    f"expected {list(expected)}")  # fmt: skip
        missing, unexpected = list(expected), []
        for record in found:
            if record in missing:
                missing.remove(record)
            else:
                unexpected.append(record)
        if not missing and not unexpected:
            return ""
        return f"{name}: missing {missing}, not expected {unexpected}, all of it {found}"
