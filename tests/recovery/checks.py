"""What must be true of the outputs of a program, however often it was killed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from tests.recovery.counting import SLIDE_MS, WINDOW_MS, key_and_value
from tests.recovery.outputs import Line, Logs

__all__ = ["check"]

EVERY_BATCH = {"input", "state", "mapped", "snapshots", "exchange"}


def check(lines: list[Line], logs: Logs, records: list[str]) -> None:
    """Check everything.

    Parameters
    ----------
    lines : list of Line
        What the outputs have written.
    logs : Logs
        Of the directory, as seen after each kill and at the end.
    records : list of str
        What was to be processed.
    """
    batches = repeated_the_same(lines)
    zero_ms = finished(logs)
    delivered(batches, logs, zero_ms)
    each_record_once(batches, records)
    Model(zero_ms).check(batches)


def repeated_the_same(lines: list[Line]) -> dict[int, dict[str, list[Any]]]:
    """Batch times do not go back, and a batch that is run again gives the same; return what each batch gave."""
    batches: dict[int, dict[str, list[Any]]] = {}
    latest = 0
    for line in lines:
        assert line.time_ms >= latest, f"{line.name} of batch {line.time_ms} came after batch {latest}"
        latest = line.time_ms
        known = batches.setdefault(line.time_ms, {}).setdefault(line.name, line.records)
        assert known == line.records, f"batch {line.time_ms} was run again, and {line.name} differs: " + difference(
            known, line.records
        )
    return batches


def finished(logs: Logs) -> int:
    """All batches are committed, those of the exchange too; return what slides are counted from."""
    position = logs.look()
    begun, done, inner_begun, inner_done = position
    assert begun == done and inner_begun == inner_done, f"after a graceful stop the logs end with {position}"
    assert sorted(logs.times) == list(range(begun + 1)), f"batches in the log: {sorted(logs.times)}"
    assert len(logs.zero_ms) == 1, f"slides are counted from {logs.zero_ms}"
    (zero_ms,) = logs.zero_ms
    return zero_ms


def delivered(batches: dict[int, dict[str, list[Any]]], logs: Logs, zero_ms: int) -> None:
    """Every batch in the log has run all outputs that were due, and no others have run."""
    logged = [time_ms for _, time_ms in sorted(logs.times.items())]
    assert logged == sorted(set(logged)), f"batch times of the log: {logged}"
    assert logged == sorted(batches), (
        f"batches without outputs: {set(logged) - set(batches)}; outputs of batches that were never logged: "
        f"{set(batches) - set(logged)}"
    )
    for before_ms, now_ms in zip([zero_ms, *logged], logged, strict=False):
        slide = {"window"} if (now_ms - zero_ms) // SLIDE_MS > (before_ms - zero_ms) // SLIDE_MS else set()
        assert set(batches[now_ms]) == EVERY_BATCH | slide, f"batch {now_ms} has the outputs {set(batches[now_ms])}"


def each_record_once(batches: dict[int, dict[str, list[Any]]], records: list[str]) -> None:
    """No record is lost, doubled, or changed."""
    processed = Counter(record for batch in batches.values() for record in batch["input"])
    lost = [record for record in records if record not in processed]
    doubled = {record: times for record, times in processed.items() if times > 1}
    strange = set(processed) - set(records)
    assert not (lost or doubled or strange), (
        f"of {len(records)} records {len(lost)} are lost: {lost[:20]}; {len(doubled)} were processed in several "
        f"batches: {list(doubled)[:20]}; unknown: {list(strange)[:20]}"
    )


class Model:
    """Computes what each batch must give from what all batches have read.

    Parameters
    ----------
    zero_ms : int
        What slides are counted from.
    """

    def __init__(self, zero_ms: int) -> None:
        self._zero_ms = self._before_ms = zero_ms
        self._totals: dict[str, tuple[int, int]] = {}
        self._read: list[tuple[int, list[tuple[str, int]]]] = []
        self._in_a_window: set[str] = set()

    def check(self, batches: dict[int, dict[str, list[Any]]]) -> None:
        """Compare all outputs of all batches."""
        for time_ms, batch in sorted(batches.items()):
            expected = self.next(time_ms, [key_and_value(record) for record in batch["input"]], "window" in batch)
            for name, records in expected.items():
                assert batch[name] == records, f"{name} of batch {time_ms}: " + difference(records, batch[name])

    def next(self, time_ms: int, pairs: list[tuple[str, int]], window: bool) -> dict[str, list[Any]]:
        """What the next batch must give."""
        mapped = []
        for key, value in pairs:
            total, count = self._totals.get(key, (0, 0))
            self._totals[key] = total + value, count + 1
            mapped.append((key, count + 1))
        self._read.append((time_ms, pairs))
        expected = {
            "state": self._totals.items(),
            "exchange": ((key, (-total, count)) for key, (total, count) in self._totals.items()),
            "snapshots": ((key, count) for key, (_, count) in self._totals.items()),
            "mapped": mapped,
        }
        if window:
            expected["window"] = self._window(self._slide(self._before_ms), self._slide(time_ms)).items()
        self._before_ms = time_ms
        return {name: as_written(records) for name, records in expected.items()}

    def _slide(self, time_ms: int) -> int:
        """The last multiple of the slide until a time."""
        return time_ms - (time_ms - self._zero_ms) % SLIDE_MS

    def _window(self, last_ms: int, end_ms: int) -> dict[str, int]:
        """Sums of the window, with all since the last one; a key that was in one stays, with 0."""
        sums: dict[str, int] = defaultdict(int)
        for read_ms, pairs in self._read:
            if min(end_ms - WINDOW_MS, last_ms) < read_ms <= end_ms:
                for key, value in pairs:
                    sums[key] += value
        self._in_a_window |= set(sums)
        return {key: sums[key] for key in self._in_a_window}


def as_written(records: Iterable[Any]) -> list[Any]:
    """Records as an output has sorted them and JSON gives them back."""
    return [_plain(record) for record in sorted(records, key=repr)]


def _plain(record: Any) -> Any:
    return [_plain(part) for part in record] if isinstance(record, tuple) else record


def difference(expected: list[Any], found: list[Any]) -> str:
    """What one list has and the other has not."""
    missing = Counter(map(repr, expected)) - Counter(map(repr, found))
    extra = Counter(map(repr, found)) - Counter(map(repr, expected))
    return f"missing {sorted(missing.elements())[:20]}, instead {sorted(extra.elements())[:20]}"
