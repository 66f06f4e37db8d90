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
from typing import TYPE_CHECKING

from dstreams._plan.identity import initial_id
from dstreams._run.layout import TICK, Place
from dstreams._run.migration import Migration, can_repartition
from dstreams._run.program import Program, save_program
from dstreams._run.query_log import Offsets, Position, QueryLog
from dstreams._run.runs import LOG, exchange_folder, folder_name, move_names
from dstreams._run.stored_state import StoredState, places_of
from dstreams._spark.session import private_session
from dstreams.errors import UpgradeError

if TYPE_CHECKING:
    from pyspark import SparkContext

    from dstreams._spark.files import Files

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
        for id, (before, place) in self._kept().items():
            if before.route != place.route:
                problems.append(
                    f"{id!r} has its state spread over partitions by {before.route}, and the program spreads "
                    f"records by {place.route}. Partition its input as before, or give it another name with "
                    ".named() to begin with nothing."
                )
            elif len(before.buckets) != len(place.buckets) and not can_repartition(place):
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
            self._move_state(into)
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

    def _kept(self) -> dict[str, tuple[Place, Place]]:
        """Operations whose state is kept, with the place where it was and the one where it will be."""
        old, new = places_of(self.old.layouts), places_of(self.new.layouts)
        return {id: (old[id], new[id]) for id in new if id in old}

    def _move_state(self, into: Files) -> None:
        """Store the old state where the new program looks for it, and write how far the old one has got."""
        log.info("the state of %d operation(s) moves to where the new program looks for it", len(self._kept()))
        session = private_session(self.sc, into.root)
        old = StoredState(session, self.files, self.old.layouts, self.position)
        migration = Migration(session, old, {operation.id: operation.state for operation in self.new.operations})
        for number, layout in enumerate(self.new.layouts):
            location = into.below(exchange_folder(number)) if number else into
            migration.store(location.root, layout, f"{self.new.app} (dstreams), upgrade")
            written = QueryLog(location).position()
            assert written is not None and not written.pending
            if number:
                lines: list[list[str | None]] = [[str(self._done_ms())] * len(layout.sources)]
            else:
                ends = (self.position.done, self.position.at if self.position.pending else None)
                lines = [self._translated(end) for end in ends if end is not None]
            for batch, sources in enumerate(lines):
                location.write(f"offsets/{batch}", written.at.with_sources(sources).text().encode())
        migration.verify(StoredState(session, into, self.new.layouts, QueryLog(into).position()))
