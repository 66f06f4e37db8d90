"""One start of a program on its checkpoint directory: anew, or from where an earlier run has got to."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyspark

from dstreams._plan.identity import initial_id
from dstreams._run.checkpoint import Ownership
from dstreams._run.layout import TICK, Layout
from dstreams._run.log_folder import log_folder
from dstreams._run.program import Program, hashing, read_program, save_program
from dstreams._run.query_log import Offsets, Position, QueryLog
from dstreams._run.runs import LOG, Runs, exchange_folder, folder_name, move_names
from dstreams._run.upgrade import Upgrade
from dstreams._sources.start import Start
from dstreams._spark.files import files_of
from dstreams.errors import CheckpointError

if TYPE_CHECKING:
    from pyspark import SparkContext

    from dstreams._plan.graph import Node

__all__ = ["Recovery"]

log = logging.getLogger("dstreams")


class Recovery:
    """A program's directory, from its start to its end.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    directory : str
        Full name of the directory.
    program : Program
        What starts; its layouts come with :meth:`begin`.
    payload : bytes
        Its pickled graph.
    saved : Program, optional
        What the directory holds, if the program goes on with it.

    Attributes
    ----------
    position : Position or None
        How far an earlier run has got.
    """

    def __init__(
        self, sc: SparkContext, directory: str, program: Program, payload: bytes, saved: Program | None
    ) -> None:
        self._sc = sc
        self._directory = files_of(sc, directory)
        self._files = self._directory
        self._program = program
        self._payload = payload
        self._saved = saved
        self._ownership = Ownership(self._directory)
        self.position: Position | None = None

    def open(self) -> None:
        """Become the driver of the directory, and read how far an earlier run has got.

        Raises
        ------
        CheckpointError
            If another driver has it, or something in it is missing.
        """
        self._ownership.take()
        try:
            self._runs = Runs(self._directory)
            if self._saved is not None:
                assert self._runs.current is not None
                self._files = self._runs.files(self._runs.current)
                found = read_program(self._files)
                if found is None or found[0] != self._saved:
                    raise CheckpointError.unreadable(
                        self._directory.root,
                        "another program has changed it since this one began to start. Start again.",
                    )
                self._check_process(self._saved)
                log_of_query = QueryLog(self._files)
                sources = len(self._saved.layouts[0].sources)
                self.position = log_of_query.position(sources)
                if self.position is not None and self.position.pending and self._without_time(self.position):
                    log_of_query.forget(self.position.batch)
                    self.position = log_of_query.position(sources)
                for number in range(1, len(self._saved.layouts)):
                    self._check_exchange(number)
        except BaseException:
            self._ownership.release()
            raise

    def check(self) -> None:
        """See that this is still the driver of the directory."""
        self._ownership.check()

    def close(self) -> None:
        """Let others have the directory."""
        self._ownership.release()

    # ------------------------------------------------------------------ where to go on

    def times(self) -> tuple[int, int | None, int | None] | None:
        """Zero time, time of the last batch that is done, and of the one that has to be run again, in ms."""
        if self.position is None:
            return None
        at = self._tick(self.position.at.sources)
        before = self._tick(self.position.done.sources) if self.position.done else None
        zero_ms = int(at["zero"])
        if self._saved is not None and self._saved.interval_ms != self._program.interval_ms:
            done_ms = int(before["time"]) if before else zero_ms
            zero_ms = done_ms // self._program.interval_ms * self._program.interval_ms
        done = int(before["time"]) if before else None
        return zero_ms, done, int(at["time"]) if self.position.pending else None

    def committed_tick(self) -> dict[str, Any] | None:
        """Offset of the tick at the end of the last batch that was committed."""
        return self._tick(self.position.done.sources) if self.position is not None and self.position.done else None

    def start_of(self, node: Node) -> Start:
        """From where a source goes on."""
        position = committed = None
        if self.position is not None and self._saved is not None:
            sources = self._saved.layouts[0].sources
            at = dict(zip(sources, self.position.at.sources, strict=True))
            done = dict(zip(sources, self.position.done.sources, strict=True)) if self.position.done else {}
            position, committed = (_offset(offsets.get(node.id)) for offsets in (at, done))
            if node.source is not None and node.source.initial and committed is None and self._has_state(node.id):
                position = committed = {"n": 1}  # its operation goes on with what it has
        # An upgrade gives it another place, before it is asked for.
        return Start(position, committed, lambda: log_folder(self._files, f"{LOG}/{folder_name(node.id)}"))

    def _has_state(self, initial: str) -> bool:
        assert self._saved is not None and self.position is not None
        kept = (id for layout in self._saved.layouts for id in layout.state)
        return self.position.done is not None and any(initial_id(id) == initial for id in kept)

    def _without_time(self, position: Position) -> bool:
        """Whether a batch was logged when no batch time followed any more: new files came while the program stopped.

        Nothing of it has run. Forgotten, its records are in the next batch, which has a time.
        """
        before = self._time(position.before.sources) if position.before is not None else None
        return self._time(position.at.sources) in (None, 0, before)

    def _time(self, offsets: list[str | None]) -> int | None:
        assert self._saved is not None
        tick = _offset(offsets[self._saved.layouts[0].sources.index(TICK)])
        return None if tick is None else int(tick["time"])

    def _tick(self, offsets: list[str | None]) -> dict[str, Any]:
        assert self._saved is not None
        tick = _offset(offsets[self._saved.layouts[0].sources.index(TICK)])
        if not isinstance(tick, dict):
            raise CheckpointError.unreadable(self._files.root, "the offset log has no batch time. Nothing was changed.")
        return tick

    # ------------------------------------------------------------------ the directory is touched

    def begin(self, layouts: list[Layout]) -> str:
        """Bring the directory into the state from which the queries can start.

        Parameters
        ----------
        layouts : list of Layout
            Of the program's query and of its exchanges.

        Returns
        -------
        str
            Full name of the checkpoint location of the program's query.

        Raises
        ------
        UpgradeError
            If the program cannot go on with what is there; then nothing has been changed.
        """
        program = replace(self._program, layouts=layouts)
        if self._saved is None:
            self._begin_anew(program)
            return self._files.root
        if self._files.root != self._saved.root:  # it was moved, or is a copy
            for folder in ("", *map(exchange_folder, range(1, len(self._saved.layouts)))):
                move_names(self._files, folder, self._saved.root, self._files.root)
        upgrade = Upgrade(self._sc, self._files, self._saved, program, self.position) if self.position else None
        changed = (self._saved.written_ms, self._saved.root) != (program.written_ms, self._files.root)
        if upgrade is not None and upgrade.needed():
            upgrade.check()
            run = self._runs.following()
            files = self._runs.files(run)
            upgrade.run(files, self._payload)
            self._ownership.check()
            self._runs.switch(run)
            self._files = files
        elif upgrade is None or changed:
            # New code for the same plan, or a new place.
            save_program(self._files, program, self._payload)
        if program.written_ms != self._saved.written_ms:
            _log_upgrade(self._saved, program)
        return self._files.root

    def _begin_anew(self, program: Program) -> None:
        """As on the old engine; what was there is kept once."""
        run, before = self._runs.following(), self._runs.current
        self._files = self._runs.files(run)
        save_program(self._files, program, self._payload)
        self._ownership.check()
        self._runs.switch(run)
        if before is not None:
            log.warning(
                "%s holds an earlier run, which this program does not go on with (StreamingContext.getOrCreate does); "
                "it is kept in %s until another one begins, and this one is in %s",
                self._directory.root, self._runs.files(before).root, self._files.root,
            )  # fmt: skip
        elif run.location:
            log.info(
                "checkpoint: %s has files of others, so this program's are in %s",
                self._directory.root, self._files.root,
            )  # fmt: skip

    def exchange(self, number: int) -> tuple[int | None, bool]:
        """Prepare the start of an exchange.

        Returns
        -------
        tuple of int or None, and bool
            The time of the last batch that it has begun, in ms, and whether it runs that again. An exchange commits
            before the program's own query: what it has committed beyond that is taken back.
        """
        query = QueryLog(self._files.below(exchange_folder(number)))
        position = query.position() if self.position is not None else None
        times = self.times()
        last_ms = _exchange_ms(position.at) if position is not None else None
        if position is None or times is None:
            return None, False
        again = last_ms == times[2]
        if again and not position.pending:
            query.take_back(position.batch)
        return last_ms, again

    def _check_exchange(self, number: int) -> None:
        """See that an exchange has got as far as the program's own query, or to the batch that is run again."""
        assert self._saved is not None
        position = QueryLog(self._files.below(exchange_folder(number))).position()
        _, done_ms, again_ms = self.times() or (0, None, None)
        begun_ms = _exchange_ms(position.at) if position is not None else None
        committed_ms = _exchange_ms(position.done) if position is not None else None
        fits = {done_ms} if again_ms is None else {done_ms, again_ms}
        if not {begun_ms, committed_ms} <= fits:
            raise CheckpointError.unreadable(
                self._files.root,
                f"{exchange_folder(number)} has committed {_up_to(committed_ms)}, the program {_up_to(done_ms)}: they "
                "are not of the same run, or files of one of them are lost. In it is the state of "
                f"{', '.join(self._saved.layouts[number].state)}. Restore both from a copy; or use another directory, "
                "which begins with nothing. Nothing was changed.",
            )

    def _check_process(self, saved: Program) -> None:
        """See that this process can go on with what another one has written."""
        now = hashing(self._sc)
        if saved.hashing != now and any(layout.state for layout in saved.layouts):
            raise CheckpointError.unreadable(
                self._files.root,
                f"its keys were spread over partitions by Python's {saved.hashing[0]} hashes with the seed "
                f"PYTHONHASHSEED={saved.hashing[2]}, and this process (Python's {now[0]}, PYTHONHASHSEED={now[2]}) "
                "would look for them elsewhere. Start with the same Python (3.11 has changed how texts are hashed) and "
                "the same PYTHONHASHSEED. Nothing was changed.",
            )
        if saved.pyspark != pyspark.__version__:
            log.warning(
                "%s was written with pyspark %s, and this is %s; Spark reads what older versions have written",
                self._files.root, saved.pyspark, pyspark.__version__,
            )  # fmt: skip


def _exchange_ms(offsets: Offsets | None) -> int | None:
    """Batch time that all sources of an exchange have as their offset."""
    return next((int(offset) for offset in offsets.sources if offset is not None), None) if offsets else None


def _up_to(ms: int | None) -> str:
    return "no batch" if ms is None else f"the batches up to {ms} ms"


def _offset(line: str | None) -> Any:
    return None if line is None else json.loads(line)


def _log_upgrade(saved: Program, program: Program) -> None:
    """Say what a program has taken over from the one before."""
    before, now = ([operation.id for operation in each.operations] for each in (saved, program))
    parts = {
        "goes on with": [id for id in now if id in before],
        "new": [id for id in now if id not in before],
        "no longer there": [id for id in before if id not in now],
    }
    log.info("upgraded: %s", "; ".join(f"{what}: {', '.join(ids)}" for what, ids in parts.items() if ids))
