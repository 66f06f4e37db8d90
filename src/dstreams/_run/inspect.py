"""``python -m dstreams checkpoint DIR``: tells what a checkpoint directory holds, and changes nothing in it.

The saved program is not unpickled: what is told of it is in the readable part of its file. Sizes of states come from
Spark's own reader of state stores.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.sql import functions as sf

from dstreams._plan.identity import initial_id
from dstreams._run.checkpoint import _OWNER, _STEPS, LOG, NEXT, PREVIOUS, exchange_folder, read_directory
from dstreams._run.files import Files, jvm_reason
from dstreams._run.layout import TICK
from dstreams._run.program import OURS, read_program
from dstreams._run.query_log import QueryLog
from dstreams._run.session import private_session
from dstreams._run.upgrade import folder_name
from dstreams._sources.write_ahead import local_path
from dstreams.errors import CheckpointError, DStreamError, DStreamStateError, DStreamValueError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from dstreams._plan.identity import Operation
    from dstreams._run.program import Program
    from dstreams._run.query_log import Offsets, Position

__all__ = ["USAGE", "command", "inspect"]

USAGE = """usage: python -m dstreams checkpoint DIR

Shows what a checkpoint directory holds: the program, how far it has got, and the size of its state. DIR is a path or a
URI of any Hadoop file system. Nothing in it is changed, also while a driver runs on it."""

_T = TypeVar("_T")

_WIDTH = 100
_LABEL = 12
_LOOKS = 3
"""How often to look at logs that do not fit together: a driver that runs may have written between two looks."""


def command(arguments: list[str]) -> int:
    """Run the command, in a process without Spark.

    Parameters
    ----------
    arguments : list of str
        What follows ``checkpoint``.

    Returns
    -------
    int
        Exit code.
    """
    if arguments in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    if len(arguments) != 1:
        return _refuse(f"checkpoint: name one directory, python -m dstreams checkpoint DIR (got {len(arguments)})")
    with tempfile.TemporaryFile() as said:
        try:
            sc = _quiet_context(said.fileno())
        except PySparkRuntimeError as error:
            said.seek(0)
            lines = [line for line in said.read().decode(errors="replace").splitlines() if "WARN" not in line]
            return _refuse(f"checkpoint: Spark cannot be started: {lines[0] if lines else _first_line(error)}")
        except (Py4JError, OSError) as error:
            return _refuse(f"checkpoint: Spark cannot be started: {_first_line(error)}")
        try:
            print(inspect(sc, arguments[0]))
        except (DStreamError, Py4JError) as error:
            return _refuse(_first_line(error))
        finally:
            sc.stop()
    return 0


def inspect(sc: SparkContext, directory: str, now_ms: int | None = None) -> str:
    """Tell what a checkpoint directory holds.

    Parameters
    ----------
    sc : SparkContext
        Any context; state is read with it.
    directory : str
        Path or URI of the directory.
    now_ms : int, optional
        Time of which ages are told, in ms; by default the time of day.

    Returns
    -------
    str
        Lines of at most 100 columns, an overview first.

    Raises
    ------
    DStreamValueError
        If there is no such directory, or no program in it.
    CheckpointError
        If it is the old engine's, or damaged.
    """
    now_ms = round(time.time() * 1000) if now_ms is None else now_ms
    assert sc._jvm is not None and sc._jsc is not None
    try:
        files = _Unchanged(sc._jvm, sc._jsc.hadoopConfiguration(), directory)
        found = files.is_folder()
    except Exception as error:
        raise DStreamValueError(f"{directory}: {_first_line(error)}") from None
    if not found:
        raise DStreamValueError(f"no such directory: {directory}")
    if files.exists(_STEPS):
        return _Interrupted(files, now_ms).text()
    saved = read_directory(files)
    if saved is None:
        raise DStreamValueError(f"{files.root} holds no program of dstreams")
    return _Report(sc, files, saved[0], now_ms).text()


def _refuse(reason: str) -> int:
    print(f"dstreams: {_without_passwords(' '.join(reason.split()))}", file=sys.stderr)
    return 2


def _quiet_context(stderr: int) -> SparkContext:
    """Make a small SparkContext, whose JVM says nothing on the terminal."""
    conf = SparkConf()
    settings = {
        "spark.master": "local[1]",
        "spark.app.name": "dstreams checkpoint",
        "spark.submit.deployMode": "client",
        "spark.log.level": "ERROR",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.eventLog.enabled": "false",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    for key, value in settings.items():
        conf.set(key, value)
    return SparkContext(conf=conf, gateway=launch_gateway(conf, {"stderr": stderr}))


class _Unchanged(Files):
    """Files of a directory in which nothing may change, whatever is called to read it."""

    def is_folder(self) -> bool:
        """Whether there is such a directory."""
        path = self._path("")
        return bool(self._fs.exists(path)) and bool(self._fs.getFileStatus(path).isDirectory())

    def below(self, name: str) -> _Unchanged:
        """Files of a folder."""
        return _Unchanged(self._jvm, self._conf, f"{self.root}/{name}")

    def make_folder(self, name: str) -> NoReturn:
        """Refuse; all that writes begins with this or deletes."""
        raise DStreamStateError(f"{self.root} is being changed by a program that starts now. Look again later.")

    def delete(self, name: str) -> NoReturn:
        """Refuse."""
        self.make_folder(name)

    def can_write(self) -> NoReturn:
        """Refuse."""
        self.make_folder("")


class _Size(NamedTuple):
    """Of a state: its entries in the state store, and their bytes."""

    entries: int
    bytes: int


# ---------------------------------------------------------------------- what is told


class _Page:
    """Lines of text about a directory.

    Parameters
    ----------
    files : _Unchanged
        Its files.
    now_ms : int
        Time of which ages are told.
    """

    def __init__(self, files: _Unchanged, now_ms: int) -> None:
        self.files = files
        self._now_ms = now_ms
        self._lines = [f"Checkpoint directory {files.root}", ""]

    def heading(self, text: str) -> None:
        self._lines += ["", *textwrap.wrap(text, _WIDTH)]

    def line(self, text: str) -> None:
        self._wrap("  ", "      ", text)

    def row(self, label: str, text: str, indent: int = 2) -> None:
        head = " " * indent + label.ljust(_LABEL)
        self._wrap(head, " " * len(head), text)

    def written(self) -> str:
        """All lines."""
        return _without_passwords("\n".join(self._lines))

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
            f"{_count(program.parallelism, 'partition')} by default, master {program.conf.get('spark.master', '-')}",
        )
        when = self.when(program.written_ms // 1000 * 1000)
        by = f"dstreams {program.dstreams}, pyspark {program.pyspark}, Python {program.python}"
        self.row("saved", f"{when} by {by}")

    def driver_row(self, running: bool | None) -> None:
        """Which driver runs on it."""
        try:
            owner = self.files.read(_OWNER).decode().rpartition(", ")[0]
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


class _Interrupted(_Page):
    """A directory in which files are being moved: what is where is known when that has ended."""

    def text(self) -> str:
        """All lines."""
        try:
            steps = json.loads(self.files.read(_STEPS))
        except ValueError:
            raise CheckpointError.unreadable(self.files.root, f"{_STEPS} is damaged. Nothing was changed.") from None
        found = read_program(self.files.below(NEXT)) or read_program(self.files)
        running = _driver_runs(self.files)
        what = "an upgrade" if steps["place"] else "moving an earlier run aside"
        state = "is under way; look again later" if running else "was interrupted; the next start finishes it"
        self.row("state", f"{what} {state}")
        if found is not None:
            self.program_rows(found[0])
        self.driver_row(running)
        return self.written()


class _Report(_Page):
    """What a directory holds.

    Parameters
    ----------
    sc : SparkContext
        Reads the state.
    files : _Unchanged
        Files of the directory.
    program : Program
        The program that is saved there.
    now_ms : int
        Time of which ages are told.
    """

    def __init__(self, sc: SparkContext, files: _Unchanged, program: Program, now_ms: int) -> None:
        super().__init__(files, now_ms)
        self._program = program
        self._running = _driver_runs(files)
        self._positions = self._look()
        self._position = self._positions[0]
        self._sizes = self._measure(private_session(sc, files.root))

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

    def _overview(self) -> None:
        self.program_rows(self._program)
        self._progress()
        self.driver_row(self._running)
        self.row("state", self._state_overview())
        if self.files.exists(PREVIOUS):
            self.row(
                "previous",
                f"{PREVIOUS} ({self._on_disk(PREVIOUS)}) is the run before the last upgrade or fresh start; it may be "
                "deleted",
            )
        if self.files.exists(NEXT):
            self.row("upgrade", f"one is prepared in {NEXT}, and has changed nothing yet; the next start deletes that")

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
                return _count(number, "element" if kind == "queueStream" else "record")
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
            return f"{_count(size.entries, 'entry')}, {_bytes(size.bytes)}"
        return "nothing yet" if size is None else f"could not be read: {size}"

    def _state_overview(self) -> str:
        operations = sum(len(layout.state) for layout in self._program.layouts)
        if not operations:
            return "the program has no operation with state"
        known = [size for size in self._sizes.values() if isinstance(size, _Size)]
        unknown = sum(isinstance(size, str) for size in self._sizes.values())
        total = _Size(sum(size.entries for size in known), sum(size.bytes for size in known))
        text = f"{_count(operations, 'operation')}, {_count(total.entries, 'entry')}, {_bytes(total.bytes)}"
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
        return f"could not be read: {found}" if isinstance(found, str) else _bytes(found)

    def _look(self) -> list[Position | None]:
        """How far the query and the exchanges have got."""
        for left in reversed(range(_LOOKS)):
            try:
                folders = [self.files.below(exchange_folder(n)) for n in range(1, len(self._program.layouts))]
                positions = [QueryLog(folder).position() for folder in (self.files, *folders)]
                break
            except CheckpointError:
                if not left:
                    raise
        if positions[0] is not None:
            self._check(positions[0].at)
            if positions[0].before is not None:
                self._check(positions[0].before)
        return positions

    def _check(self, offsets: Offsets) -> None:
        """See that an entry of the offset log is one of this program's."""
        found, wanted = len(offsets.sources), len(self._program.layouts[0].sources)
        what = f"it has {_count(found, 'source')}, and the program {wanted}"
        try:
            if found == wanted:
                self._time(offsets)
                what = ""
                for line in offsets.sources:
                    json.loads(line or "null")
        except (ValueError, TypeError, KeyError) as error:
            what = f"{type(error).__name__}: {error}"
        if what:
            raise CheckpointError.unreadable(
                self.files.root, f"the offset log is damaged ({what}). Nothing was changed."
            )

    def _tried(self, action: Callable[[], _T]) -> _T | str:
        """What an action gives, or the first line of why it fails."""
        try:
            return action()
        except Exception as error:
            return _first_line(error)


# ---------------------------------------------------------------------- small things


def _driver_runs(files: Files) -> bool | None:
    """Whether a driver runs on a directory; None where that cannot be told.

    A driver on a disk of this machine holds a lock. A shared one that is let go at once does not take it away.
    """
    path = local_path(files.root)
    if path is None:
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


def _first_line(error: Exception) -> str:
    return jvm_reason(error) if str(error).strip() else type(error).__name__


def _without_passwords(text: str) -> str:
    """Hide the password of addresses like ``s3a://key:secret@bucket``."""
    return re.sub(r"(//[^/@:\s]*):[^/@\s]+@", r"\1:***@", text)


def _count(number: int, noun: str) -> str:
    plural = noun.removesuffix("y") + "ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def _bytes(number: float) -> str:
    if number < 1024:
        return _count(int(number), "byte")
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
