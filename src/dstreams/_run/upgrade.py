"""Carrying offsets and state over to a program whose plan keeps them elsewhere.

A restart of the same program finds everything where it was. Another program (or the same one, compiled by another
version of this package) has other sources in the offset log and other numbers in the state store. Then a new run is
made in a folder of its own: a query with the same stateful operators stores every entry of the old state at its new
place, as the batch 0 of the new query; the offset log says where the old one has got to. Where state stays at its
places its files are copied. The old run stays as it is.
"""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from dstreams._plan.identity import initial_id
from dstreams._plan.python_stage import transform_with_state
from dstreams._plan.take_over import STORED, TakeOver
from dstreams._run.layout import TICK, Layout, Place
from dstreams._run.program import Program, save_program
from dstreams._run.query_log import Offsets, Position, QueryLog
from dstreams._run.runs import LOG, exchange_folder, folder_name, move_names
from dstreams._run.session import private_session
from dstreams._run.spread import can_spread, misplaced, spread, total
from dstreams._run.stream import start_stream
from dstreams._sources.reader import Offset, Reader, reader_frame
from dstreams.errors import UpgradeError

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

    from dstreams._run.files import Files

__all__ = ["Upgrade"]

log = logging.getLogger("dstreams")

_COPIES = 8
"""Copies that are made at a time: most of one is waiting for the file system."""


@dataclass
class Upgrade:
    """From what a directory holds to what a new program looks for there.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    files : Files
        Files of the old run.
    old, new : Program
        The program that has written it, and the one that shall go on.
    position : Position
        How far the old one has got.
    """

    sc: SparkContext
    files: Files
    old: Program
    new: Program
    position: Position

    def needed(self) -> bool:
        """Whether anything is to be changed."""
        return (self.old.layouts, self.old.interval_ms) != (self.new.layouts, self.new.interval_ms)

    def check(self) -> None:
        """See that all state that is kept can be kept.

        Raises
        ------
        UpgradeError
            If not; nothing has been touched.
        """
        problems = []
        for layout in self.new.layouts:
            for id, place in layout.state.items():
                _, before = self._old_place(id)
                if before is None:
                    continue
                if before.route != place.route:
                    problems.append(
                        f"{id!r} has its state spread over partitions by {before.route}, and the program spreads "
                        f"records by {place.route}. Partition its input as before, or give it another name with "
                        ".named() to begin with nothing."
                    )
                elif len(before.buckets) != len(place.buckets) and not can_spread(place):
                    problems.append(
                        f"{id!r} has its state in {len(before.buckets)} partitions, spread by the program's own "
                        f"{before.route}, and the program asks for {len(place.buckets)}: only state that is spread by "
                        f"Spark's hash can be spread anew. Give it numPartitions={len(before.buckets)} (or that many "
                        "where its input is partitioned), or another name with .named(), to begin with nothing."
                    )
        if problems:
            raise UpgradeError(problems)

    def run(self, into: Files, payload: bytes) -> None:
        """Make the new run.

        Parameters
        ----------
        into : Files
            Files of its folder, in which there is nothing.
        payload : bytes
            The pickled graph of the new program.
        """
        nothing_done = self.position.done is None  # state of a batch that was never committed is none
        if self._moves_state() and not nothing_done:
            log.info("the state of %d operation(s) moves to where the new program looks for it", len(self._kept()))
            for number, layout in enumerate(self.new.layouts):
                self._import(into, number, layout)
        else:
            self._copy(into, "metadata")
            exchanges = [] if nothing_done else [exchange_folder(n) for n in range(1, len(self.new.layouts))]
            if not nothing_done:
                self._copy(into, "commits")
                self._copy_state(into, ["", *exchanges])
            for folder in ("", *exchanges):
                move_names(into, folder, self.files.root, into.root)
            first = self.position.batch
            if self.position.before is not None:
                self._write(into, first - 1, self.position.before)
            self._write(into, first, self.position.at)
        self._copy_source_logs(into)
        save_program(into, self.new, payload)

    def _copy(self, into: Files, name: str, to: str | None = None) -> None:
        self.files.copy(name, into, to or name)

    def _copy_state(self, into: Files, locations: list[str]) -> None:
        """Copy state, which may be large, several partitions at a time."""
        names = []
        for location in locations:
            state = f"{location}/state" if location else "state"
            operators = [f"{state}/{operator}" for operator in self.files.names(state)]
            names += [f"{operator}/{part}" for operator in operators for part in self.files.names(operator)]
            if location:  # all of an exchange's is small but its state
                names += [f"{location}/{name}" for name in self.files.names(location) if name != "state"]
        with ThreadPoolExecutor(_COPIES) as pool:
            for done in [pool.submit(self._copy, into, name) for name in names]:
                done.result()

    # ------------------------------------------------------------------ offsets

    def _write(self, into: Files, batch: int, offsets: Offsets) -> None:
        metadata = json.loads(offsets.metadata)
        # Spark takes it from here; where nothing was committed the new program may have another number.
        metadata["conf"]["spark.sql.shuffle.partitions"] = str(self.new.layouts[0].partitions)
        written = replace(offsets, metadata=json.dumps(metadata), sources=self._translated(offsets))
        into.write(f"offsets/{batch}", written.text().encode())

    def _translated(self, offsets: Offsets) -> list[str | None]:
        """Offsets of the new query's sources."""
        found = dict(zip(self.old.layouts[0].sources, offsets.sources, strict=True))
        tick = found.get(TICK)
        if tick is not None and self.old.interval_ms != self.new.interval_ms:
            fields = json.loads(tick)
            # Slides are counted from a multiple of the new interval.
            fields["zero"] = self._done_ms() // self.new.interval_ms * self.new.interval_ms
            found[TICK] = json.dumps(fields)
        if self.position.done is not None:
            for operation in self._kept():  # it has been given what its state starts from, or must not get it any more
                found[initial_id(operation)] = json.dumps({"n": 1})
        return [found.get(source) for source in self.new.layouts[0].sources]

    def _done_ms(self) -> int:
        """Time of the last batch that is done; of the first one's interval where none is."""
        offsets = self.position.done or self.position.at
        tick = json.loads(offsets.sources[self.old.layouts[0].sources.index(TICK)] or "")
        return int(tick["time"] if self.position.done else tick["zero"])

    def _copy_source_logs(self, into: Files) -> None:
        """Some sources have files of their own: receivers write ahead, and Spark's keep a log by their number."""
        before = {source: number for number, source in enumerate(self.old.layouts[0].numbered)}
        for number, source in enumerate(self.new.layouts[0].numbered):
            if source in before:
                self._copy(into, f"sources/{before[source]}", f"sources/{number}")
        for operation in self.new.operations:
            self._copy(into, f"{LOG}/{folder_name(operation.id)}")

    # ------------------------------------------------------------------ state

    def _moves_state(self) -> bool:
        if len(self.old.layouts) != len(self.new.layouts):
            return True
        pairs = list(zip(self.old.layouts, self.new.layouts, strict=True))
        inner = any(len(old.sources) != len(new.sources) for old, new in pairs[1:])
        return inner or not all(old.same_state(new) for old, new in pairs)

    def _kept(self) -> list[str]:
        return [id for layout in self.new.layouts for id in layout.state if self._old_place(id)[1] is not None]

    def _old_place(self, id: str) -> tuple[int, Place | None]:
        """Number of the query that has the state of an operation, and where in it."""
        for number, layout in enumerate(self.old.layouts):
            if id in layout.state:
                return number, layout.state[id]
        return -1, None

    def _import(self, into: Files, number: int, layout: Layout) -> None:
        """Make the checkpoint location of a query, with the old state as its batch 0."""
        location = into.below(exchange_folder(number)) if number else into
        session = private_session(self.sc, location.root)
        session.conf.set("spark.sql.shuffle.partitions", str(layout.partitions))
        frame = reader_frame(session, _StoredReader(self._stored(session, layout)))
        for exchanges in layout.operators:
            frame = transform_with_state(frame, TakeOver(exchanges), STORED)

        def run(jdf: JavaObject, _: int) -> None:
            jdf.queryExecution().toRdd().count()

        jquery = start_stream(frame, run, 0, location.root, f"{self.new.app} (dstreams), upgrade")
        try:
            jquery.processAllAvailable()
        finally:
            jquery.stop()
        self._verify(session, location.root, layout)
        written = QueryLog(location).position()
        assert written is not None and not written.pending
        if number:
            lines: list[list[str | None]] = [[str(self._done_ms())] * len(layout.sources)]
        else:
            assert self.position.done is not None
            lines = [self._translated(self.position.done)]
            if self.position.pending:
                lines.append(self._translated(self.position.at))
        for batch, sources in enumerate(lines):
            text = written.at.with_sources(sources).text()
            location.write(f"offsets/{batch}", text.encode())

    def _stored(self, session: SparkSession, layout: Layout) -> DataFrame:
        """Entries of the old state that belong into a new query, with their new keys."""
        parts = [session.createDataFrame([], STORED)]
        for id, place in layout.state.items():
            entries = self._old_entries(session, id)
            if entries is None:
                continue
            if self._is_spread(id, place):
                log.info("the state of %s is spread over %d partitions", id, len(place.buckets))
                parts.append(spread(entries, self._step_class(id), place))
                continue
            bucket = sf.expr(f"element_at(array({', '.join(map(str, place.buckets))}), part + 1)")
            op, step = sf.lit(place.exchange).alias("op"), sf.lit(place.step).alias("step")
            parts.append(entries.select(op, bucket.alias("bucket"), "part", step, "slot", "data"))
        return reduce(DataFrame.union, parts)

    def _old_entries(self, session: SparkSession, id: str) -> DataFrame | None:
        """Entries ``part, slot, data`` of the old state of an operation; None if it has none."""
        number, place = self._old_place(id)
        batch = self._state_batch(number) if place is not None else None
        if place is None or batch is None:
            return None
        folder = f"/{exchange_folder(number)}" if number else ""
        return _entries(session, self.files.root + folder, self.old.layouts[number], place, batch)

    def _is_spread(self, id: str, place: Place) -> bool:
        """Whether an operation has its state in another number of partitions than before."""
        before = self._old_place(id)[1]
        return before is not None and len(before.buckets) != len(place.buckets)

    def _step_class(self, id: str) -> str:
        return next(operation.state for operation in self.new.operations if operation.id == id)

    def _verify(self, session: SparkSession, location: str, layout: Layout) -> None:
        """See that all state that was spread anew is there, and where the program will look for it."""
        for id, place in layout.state.items():
            before = self._old_entries(session, id) if self._is_spread(id, place) else None
            if before is None:
                continue
            state = self._step_class(id)
            after = _entries(session, location, layout, place, 0)
            expected, found, wrong = total(before, state), total(after, state), misplaced(after, state, place)
            if expected != found or wrong:
                raise UpgradeError(
                    [
                        f"{id!r} has {expected} values and records, and of those {found} were stored in the new "
                        f"partitions, {wrong} in wrong ones. This is a mistake of dstreams; please report it"
                    ]
                )

    def _state_batch(self, number: int) -> int | None:
        """Number of the last batch that is done, of the query or of an exchange."""
        if not number:
            return self.position.batch - self.position.pending
        return QueryLog(self.files.below(exchange_folder(number))).find(str(self._done_ms()))


class _StoredReader(Reader):
    """Gives entries of an old state as the one batch of a query.

    Parameters
    ----------
    entries : DataFrame
        In the schema of :data:`STORED`.
    """

    name = "dstreams-state"
    schema = STORED

    def __init__(self, entries: DataFrame) -> None:
        self._entries = entries

    def latest(self, previous: Offset | None) -> Offset:
        """The one offset."""
        return 0

    def batch(self, start: Offset | None, end: Offset) -> DataFrame:
        """All entries."""
        return self._entries


def _entries(session: SparkSession, location: str, layout: Layout, place: Place, batch: int) -> DataFrame:
    """Entries ``part, slot, data`` of an operation, as a query has left them after a batch."""
    reader = session.read.format("statestore").option("stateVarName", "state").option("batchId", batch)
    entries = reader.option("operatorId", layout.operator_of(place.exchange)).load(location)
    part = sf.expr(f"cast(array_position(array({', '.join(map(str, place.buckets))}), key.bucket) - 1 as int)")
    mine = (sf.col("key.op") == place.exchange) & (sf.col("user_map_key.step") == place.step)
    slot, data = sf.col("user_map_key.slot").alias("slot"), sf.col("user_map_value.data").alias("data")
    return entries.where(mine).select(part.alias("part"), slot, data)
