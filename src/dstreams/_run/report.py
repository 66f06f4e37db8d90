"""What a checkpoint directory holds: nothing in it is unpickled or changed, and sizes come from Spark's own reader."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf

from dstreams._plan.identity import initial_id
from dstreams._run.checkpoint import driver_runs, last_driver, read_directory
from dstreams._run.layout import TICK
from dstreams._run.query_log import QueryLog
from dstreams._run.report_text import report_text, without_passwords
from dstreams._run.runs import LOG, Runs, exchange_folder, folder_name
from dstreams._run.stored_state import StoredState, places_of
from dstreams._spark.files import files_of
from dstreams._spark.jvm import jvm_reason
from dstreams._spark.session import private_session
from dstreams.errors import CheckpointError, DStreamValueError

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    from dstreams._plan.identity import Operation
    from dstreams._run.query_log import Offsets, Position

__all__ = ["Report"]

_TRIES = 3
"""How often to read logs that do not fit together: a driver that runs may have written to one of them meanwhile."""


class Report:
    """What a checkpoint directory holds.

    Parameters
    ----------
    sc : SparkContext
        Any context; state is read with it.
    directory : str
        Path or URI of the directory.

    Attributes
    ----------
    data : dict
        All of it: times in ms since the epoch, sizes in bytes, offsets as the sources write them.

    Raises
    ------
    DStreamValueError
        If there is no such directory, or no program in it.
    CheckpointError
        If it is the old engine's, or damaged.
    """

    def __init__(self, sc: SparkContext, directory: str) -> None:
        try:
            files = files_of(sc, directory)
            found = files.is_folder()
        except Exception as error:
            raise DStreamValueError(f"{directory}: {jvm_reason(error)}") from None
        if not found:
            raise DStreamValueError(f"no such directory: {directory}")
        saved = read_directory(files)
        if saved is None:
            raise DStreamValueError(f"{files.root} holds no program of dstreams")
        program = self._program = saved[0]
        runs = Runs(files)
        assert runs.current is not None
        self._files = runs.files(runs.current)
        running = driver_runs(files)
        self._position, *exchanges = self._positions(_TRIES)
        states = self._states(private_session(sc, files.root))
        known = [state for state in states.values() if "error" not in state]
        self.data = {
            "directory": files.root,
            "location": self._files.root,
            "previous": runs.previous and runs.files(runs.previous).root,
            "running": running,
            "driver": last_driver(files),
            **_progress(self._position, self._time),
            "total": {
                "operations": len(states),
                **{unit: sum(state[unit] for state in known) for unit in ("entries", "bytes")},
                "unreadable": len(states) - len(known),
            },
            "program": {
                "app": program.app, "script": program.script, "interval_ms": program.interval_ms,
                "parallelism": program.parallelism, "master": program.conf.get("spark.master"),
                "saved_ms": program.written_ms, "dstreams": program.dstreams, "pyspark": program.pyspark,
                "python": program.python,
            },
            "inputs": [_described(each) | self._offsets(each.id) for each in program.operations if not each.state],
            "state": [
                _described(each) | {"reads": each.of, "initial": self._initial(each.id)} | states[each.id]
                for each in program.operations if each.state
            ],
            "outputs": program.outputs,
            "exchanges": [
                {"id": exchange_folder(number), "state": list(program.layouts[number].state),
                 **_progress(position, _exchange_time)}
                for number, position in enumerate(exchanges, 1)
            ],
            "disk": self._disk(),
        }  # fmt: skip

    def json(self) -> str:
        """All of it as JSON."""
        return without_passwords(json.dumps(self.data, indent=2))

    def text(self, now_ms: int | None = None) -> str:
        """All of it as lines of at most 100 columns, with ages as of a time in ms; by default the time of day."""
        return report_text(self.data, round(time.time() * 1000) if now_ms is None else now_ms)

    def _positions(self, tries: int) -> list[Position | None]:
        """How far the query and the exchanges have got."""
        try:
            query = QueryLog(self._files).position(len(self._program.layouts[0].sources))
            others = (self._files.below(exchange_folder(number)) for number in range(1, len(self._program.layouts)))
            return [query, *(QueryLog(files).position() for files in others)]
        except CheckpointError:
            if tries == 1:
                raise
            return self._positions(tries - 1)

    def _offsets(self, id: str) -> dict[str, Any]:
        """Offsets of a source at the end of the last batch that was committed, and of the last that was begun."""
        position = self._position
        ends = {"committed": position and position.done, "begun": position and position.at}
        return {key: end and self._offset(id, end) for key, end in ends.items()}

    def _offset(self, id: str, offsets: Offsets) -> Any:
        lines = dict(zip(self._program.layouts[0].sources, offsets.sources, strict=True))
        return json.loads(lines.get(id) or "null")

    def _time(self, offsets: Offsets) -> int | None:
        tick = self._offset(TICK, offsets)
        return tick and int(tick["time"])

    def _initial(self, id: str) -> bool | None:
        """Whether an operation has got its initial state; None where it has none."""
        source = initial_id(id)
        if source not in self._program.layouts[0].sources:
            return None
        return self._offsets(source)["committed"] is not None

    def _states(self, session: SparkSession) -> dict[str, dict[str, Any]]:
        """Partitions and size of the state of each operation, or why the size is not known."""
        session.conf.set("spark.sql.shuffle.partitions", "1")
        layouts = self._program.layouts
        stored = StoredState(session, self._files, layouts, self._position)
        states: dict[str, dict[str, Any]] = {
            id: {"partitions": len(place.buckets), "entries": 0, "bytes": 0}
            for id, place in places_of(layouts).items()
        }  # fmt: skip
        for number, layout in enumerate(layouts):
            for operator, exchanges in enumerate(reversed(layout.operators)):
                ids = {(at.exchange, at.step): id for id, at in layout.state.items() if at.exchange in exchanges}
                try:
                    entries = stored.of_operator(number, operator)
                    if entries is not None:
                        size = sf.count("*").alias("entries"), sf.sum(sf.length("data")).alias("bytes")
                        for row in entries.groupBy("op", "step").agg(*size).collect():
                            states[ids[row.op, row.step]].update(entries=row.entries, bytes=row.bytes)
                except Exception as error:
                    for id in ids.values():
                        states[id] = {"partitions": states[id]["partitions"], "error": jvm_reason(error)}
        return states

    def _disk(self) -> dict[str, dict[str, Any]]:
        """Size of each folder of state and of each write-ahead log, with the input that this is of."""
        folders = ["state", *(f"{exchange_folder(number)}/state" for number in range(1, len(self._program.layouts)))]
        disk: dict[str, dict[str, Any]] = {folder: {} for folder in folders if self._files.exists(folder)}
        inputs = {folder_name(operation.id): operation.id for operation in self._program.operations}
        disk |= {f"{LOG}/{name}": {"input": inputs.get(name)} for name in self._files.names(LOG)}
        for folder, about in disk.items():
            try:
                about["bytes"] = self._files.size(folder)
            except Exception as error:
                about["error"] = jvm_reason(error)
        return disk


def _described(operation: Operation) -> dict[str, Any]:
    hint, kind = operation.hint, operation.kind
    call = hint if hint.startswith(kind) or not hint else f"{kind}({hint})"
    return {"id": operation.id, "kind": kind, "call": call, "named": operation.named}


def _progress(position: Position | None, time_of: Callable[[Offsets], int | None]) -> dict[str, Any]:
    """The last batch that was begun, and the last that was committed."""
    begun = committed = None
    if position is not None:
        begun = {"batch": position.batch, "time_ms": time_of(position.at)}
        if position.done is not None:
            committed = {"batch": position.batch - position.pending, "time_ms": time_of(position.done)}
    return {"begun": begun, "committed": committed, "pending": begun != committed}


def _exchange_time(offsets: Offsets) -> int | None:
    return next((int(offset) for offset in offsets.sources if offset is not None), None)
