"""What a checkpoint directory holds, told on a page; nothing is unpickled, and sizes come from Spark's own reader."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pyspark.sql import functions as sf

from dstreams._plan.identity import initial_id
from dstreams._run.files import Files, jvm_reason, local_path
from dstreams._run.layout import TICK
from dstreams._run.page import Page, count, size_text, without_passwords
from dstreams._run.program import OURS
from dstreams._run.query_log import QueryLog
from dstreams._run.runs import LOG, Runs, exchange_folder, folder_name
from dstreams._run.session import private_session
from dstreams.errors import CheckpointError

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    from dstreams._plan.identity import Operation
    from dstreams._run.program import Program
    from dstreams._run.query_log import Offsets, Position

__all__ = ["Holdings"]

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

_T = TypeVar("_T")

_LOOKS = 3
"""How often to look at logs that do not fit together: a driver that runs may have written between two looks."""


class _Size(NamedTuple):
    """Of a state: its entries in the state store, and their bytes."""

    entries: int
    bytes: int


class Holdings(Page):
    """What a directory holds.

    Parameters
    ----------
    sc : SparkContext
        Reads the state.
    directory : Files
        Files of the directory.
    program : Program
        The program that is saved there.
    now_ms : int
        Time of which ages are told.
    """

    def __init__(self, sc: SparkContext, directory: Files, program: Program, now_ms: int) -> None:
        super().__init__(directory, now_ms)
        self._program = program
        self._runs = Runs(directory)
        assert self._runs.current is not None
        self.files = self._runs.files(self._runs.current)
        self._running = _driver_runs(directory)
        self._positions = self._look()
        self._position = self._positions[0]
        self._sizes = self._measure(private_session(sc, directory.root))

    def text(self) -> str:
        """All lines."""
        self._overview()
        self._operations()
        self.heading("Outputs")
        for output in self._program.outputs:
            self.line(output)
        self._exchanges()
        self._logs()
        return self.written()

    def as_dict(self) -> dict[str, Any]:
        """The same for programs: times in ms since the epoch, sizes in bytes, offsets as the sources write them."""
        program, position = self._program, self._position
        kept = {id: len(place.buckets) for layout in program.layouts for id, place in layout.state.items()}
        return {
            "directory": without_passwords(self.directory.root),
            "location": without_passwords(self.files.root),
            "previous": self._runs.previous and without_passwords(self._runs.files(self._runs.previous).root),
            "program": {
                "app": program.app, "script": program.script, "interval_ms": program.interval_ms,
                "parallelism": program.parallelism, "saved_ms": program.written_ms, "dstreams": program.dstreams,
                "pyspark": program.pyspark, "python": program.python,
            },
            "running": self._running,
            "begun": position and {"batch": position.batch, "time_ms": self._time(position.at)},
            "committed": position
            and position.done
            and {"batch": position.batch - position.pending, "time_ms": self._time(position.done)},
            "inputs": [
                {"id": operation.id, "kind": operation.kind, "named": operation.named,
                 "committed": self._parsed(operation.id, position.done if position else None),
                 "begun": self._parsed(operation.id, position.at if position else None)}
                for operation in program.operations if not operation.state
            ],
            "state": [
                {"id": operation.id, "kind": operation.kind, "named": operation.named, "reads": list(operation.of),
                 "partitions": kept.get(operation.id), **self._size_dict(operation.id)}
                for operation in program.operations if operation.state
            ],
            "outputs": program.outputs,
        }  # fmt: skip

    def _parsed(self, id: str, offsets: Offsets | None) -> Any:
        line = self._offset(id, offsets)
        return None if line is None else json.loads(line)

    def _size_dict(self, id: str) -> dict[str, Any]:
        size = self._sizes.get(id)
        if isinstance(size, str):
            return {"error": size}
        return {"entries": size.entries if size else 0, "bytes": size.bytes if size else 0}

    def _overview(self) -> None:
        self.program_rows(self._program)
        if self.files is not self.directory:
            self.row("in", f"{self.files.root}, the checkpoint location of its query")
        self._progress()
        self.driver_row(self._running)
        self.row("state", self._state_overview())
        if self._runs.previous is not None:
            files = self._runs.files(self._runs.previous)
            self.row("previous", f"the run before the last upgrade or fresh start is kept in {files.root}")

    def _progress(self) -> None:
        position = self._position
        if position is None:
            self.row("begun", "no batch yet")
            return
        now = "is running, or " if self._running else ""
        pending = f"; pending: it {now}will be run again at the next start"
        self.row("begun", self._batch(position.batch, position.at) + (pending if position.pending else ""))
        done_ms = self._time(position.done)
        if done_ms is None or position.done is None:
            self.row("committed", "no batch yet")
        else:
            nothing = "" if position.pending else "; nothing is pending"
            self.row("committed", self._batch(position.batch - position.pending, position.done) + nothing)

    def _batch(self, number: int, offsets: Offsets) -> str:
        ms = self._time(offsets)
        return f"batch {number}" + ("" if ms is None else f" of {self.when(ms)}")

    # ------------------------------------------------------------------ operations

    def _operations(self) -> None:
        self.heading("Inputs (offsets at the end of the last batch that is committed)")
        for operation in self._program.operations:
            if not operation.state:
                self.line(operation.id)
                self.row("kind", self._kind(operation), 6)
                self._name(operation)
                self.row("offset", self._offsets(operation.id, operation.kind), 6)
                folder = f"{LOG}/{folder_name(operation.id)}"
                if self.files.exists(folder):
                    self.row("log", f"{self._on_disk(folder)} written ahead in {folder}", 6)
        self.line(TICK)
        self.row("offset", self._offsets(TICK, TICK), 6)
        with_state = [operation for operation in self._program.operations if operation.state]
        if with_state:
            self.heading("Operations with state (entries are pieces of pickled state, not keys)")
        for operation in with_state:
            self.line(operation.id)
            self.row("kind", self._kind(operation), 6)
            self._name(operation)
            self.row("reads", ", ".join(operation.of), 6)
            if initial_id(operation.id) in self._program.layouts[0].sources:
                taken = self._offset(initial_id(operation.id), self._position.done if self._position else None)
                self.row("begins", "with an initial state, which " + ("it has" if taken else "it gets yet"), 6)
            for layout in self._program.layouts:
                if operation.id in layout.state:
                    self.row("partitions", str(len(layout.state[operation.id].buckets)), 6)
            self.row("state", self._size(operation.id), 6)

    def _kind(self, operation: Operation) -> str:
        """The public operation with what it reads, or its function."""
        hint, kind = operation.hint, operation.kind
        return hint if hint.startswith(kind) or not hint else f"{kind}({hint})"

    def _name(self, operation: Operation) -> None:
        self.row("named", "yes" if operation.named else "no", 6)

    def _offsets(self, id: str, kind: str) -> str:
        position = self._position
        done = self._offset_text(kind, self._offset(id, position.done if position else None))
        if position is None or not position.pending:
            return done
        return f"{done}; with the pending batch: {self._offset_text(kind, self._offset(id, position.at))}"

    def _offset_text(self, kind: str, line: str | None) -> str:
        if line is None:
            return "nothing yet"
        offset = json.loads(line)
        match offset:
            case {"time": int(ms)} if kind == TICK:
                return f"batch time {self.when(ms)}"
            case {"logOffset": number}:
                return f"logOffset {number}"
            case {"n": int(number), **others} if not others:
                return count(number, "element" if kind == "queueStream" else "record")
        return line

    def _offset(self, id: str, offsets: Offsets | None) -> str | None:
        """Offset of a source, as JSON."""
        if offsets is None:
            return None
        return dict(zip(self._program.layouts[0].sources, offsets.sources, strict=True)).get(id)

    def _time(self, offsets: Offsets | None) -> int | None:
        """Batch time that an entry of the offset log has."""
        tick = self._offset(TICK, offsets)
        return None if tick is None else int(json.loads(tick)["time"])

    # ------------------------------------------------------------------ state

    def _measure(self, session: SparkSession) -> dict[str, _Size | str]:
        """Size of the state of each operation, or why it cannot be told; none where there is no state yet."""
        session.conf.set("spark.sql.shuffle.partitions", "1")
        sizes: dict[str, _Size | str] = {}
        for number, layout in enumerate(self._program.layouts):
            folder = f"{self.files.root}/{exchange_folder(number)}" if number else self.files.root
            stored: dict[int, dict[tuple[int, int], _Size] | str] = {}
            for id, place in layout.state.items():
                operator = layout.operator_of(place.exchange)
                if operator not in stored:
                    stored[operator] = self._tried(partial(self._read, session, folder, operator, number))
                found = stored[operator]
                if isinstance(found, str):
                    sizes[id] = found
                elif found:
                    sizes[id] = found.get((place.exchange, place.step), _Size(0, 0))
        return sizes

    def _read(self, session: SparkSession, folder: str, operator: int, number: int) -> dict[tuple[int, int], _Size]:
        """Sizes of the states of one operator, by exchange and step."""
        batch = self._state_batch(number)
        if batch is None:
            return {}
        reader = session.read.format("statestore").option("stateVarName", "state")
        entries = reader.option("operatorId", operator).option("batchId", batch).load(folder)
        size = sf.sum(sf.length("user_map_value.data"))
        groups = entries.groupBy(sf.col("key.op").alias("op"), sf.col("user_map_key.step").alias("step"))
        return {(row[0], row[1]): _Size(row[2], row[3]) for row in groups.agg(sf.count("*"), size).collect()}

    def _state_batch(self, number: int) -> int | None:
        """Number of the last batch that is done, of the query or of an exchange."""
        position = self._position
        done_ms = self._time(position.done) if position is not None else None
        if position is None or done_ms is None:
            return None
        if not number:
            return position.batch - position.pending
        return QueryLog(self.files.below(exchange_folder(number))).find(str(done_ms))

    def _size(self, id: str) -> str:
        size = self._sizes.get(id)
        if isinstance(size, _Size):
            return f"{count(size.entries, 'entry')}, {size_text(size.bytes)}"
        return "nothing yet" if size is None else f"could not be read: {size}"

    def _state_overview(self) -> str:
        operations = sum(len(layout.state) for layout in self._program.layouts)
        if not operations:
            return "the program has no operation with state"
        known = [size for size in self._sizes.values() if isinstance(size, _Size)]
        unknown = sum(isinstance(size, str) for size in self._sizes.values())
        total = _Size(sum(size.entries for size in known), sum(size.bytes for size in known))
        text = f"{count(operations, 'operation')}, {count(total.entries, 'entry')}, {size_text(total.bytes)}"
        text += f" (without {unknown} that could not be read)" if unknown else ""
        folders = ["state", *(f"{exchange_folder(n)}/state" for n in range(1, len(self._program.layouts)))]
        disk = ", ".join(f"{folder} {self._on_disk(folder)}" for folder in folders if self.files.exists(folder))
        return f"{text}; on disk: {disk or 'nothing yet'}"

    # ------------------------------------------------------------------ the rest

    def _exchanges(self) -> None:
        if len(self._program.layouts) == 1:
            return
        self.heading("Exchanges (inner queries, which run the operations with state that follow the batch side)")
        for number, layout in enumerate(self._program.layouts[1:], 1):
            position = self._positions[number]
            self.line(f"exchange {number}: {', '.join(layout.state)}")
            if position is None:
                self.row("begun", "no batch yet", 6)
                continue
            ms = next((int(offset) for offset in position.at.sources if offset is not None), None)
            batch = f"batch {position.batch}" + ("" if ms is None else f" of {self.when(ms)}")
            self.row("pending" if position.pending else "committed", batch, 6)

    def _logs(self) -> None:
        """Write-ahead logs that no input has any more."""
        known = {folder_name(operation.id) for operation in self._program.operations}
        left = [name for name in self.files.names(LOG) if name not in known]
        if left:
            self.heading("Write-ahead logs of inputs that the program does not have")
        for name in left:
            self.line(f"{LOG}/{name}: {self._on_disk(f'{LOG}/{name}')}")

    def _on_disk(self, name: str) -> str:
        found = self._tried(lambda: self.files.size(name))
        return f"could not be read: {found}" if isinstance(found, str) else size_text(found)

    def _look(self) -> list[Position | None]:
        """How far the query and the exchanges have got."""
        for left in reversed(range(_LOOKS)):
            try:
                folders = [self.files.below(exchange_folder(n)) for n in range(1, len(self._program.layouts))]
                sources = len(self._program.layouts[0].sources)
                positions = [QueryLog(self.files).position(sources)]
                positions += [QueryLog(folder).position() for folder in folders]
                break
            except CheckpointError:
                if not left:
                    raise
        return positions

    def _tried(self, action: Callable[[], _T]) -> _T | str:
        """What an action gives, or the first line of why it fails."""
        try:
            return action()
        except Exception as error:
            return jvm_reason(error)


def _driver_runs(files: Files) -> bool | None:
    """Whether a driver runs on a directory; None where that cannot be told.

    A driver on a disk of this machine holds a lock. A shared one that is let go at once does not take it away.
    """
    path = local_path(files.root)
    if path is None or fcntl is None:
        return None
    try:
        lock = os.open(f"{path}/{OURS}/lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(lock)
    return False
