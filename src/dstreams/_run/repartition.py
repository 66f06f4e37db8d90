"""``python -m dstreams checkpoint DIR --repartition N``: the state of a program that does not run, in N partitions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dstreams._builder import Builder
from dstreams._plan.default_partitions import DefaultPartitions
from dstreams._run.checkpoint import read_directory
from dstreams._run.environment import Environment
from dstreams._run.program import read_graph
from dstreams._run.progress import ListenerBus
from dstreams._run.query import Query
from dstreams._run.recovery import Recovery
from dstreams._run.runs import Runs
from dstreams._run.stored_state import places_of
from dstreams._spark.files import files_of
from dstreams.errors import DStreamValueError

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["repartition"]


def repartition(sc: SparkContext, directory: str, partitions: int) -> str:
    """Let the operations of a saved program that name no number of partitions have another one from now on.

    Parameters
    ----------
    sc : SparkContext
        Does the work.
    directory : str
        Path or URI of the checkpoint directory. What it held before is kept.
    partitions : int
        The new default number of partitions.

    Returns
    -------
    str
        What was done.

    Raises
    ------
    DStreamValueError
        If there is no program in the directory.
    CheckpointError
        If it is used by a driver, or damaged.
    UpgradeError
        If the state cannot be spread anew; nothing has been changed then.
    """
    files = files_of(sc, directory)
    found = read_directory(files)
    if found is None:
        raise DStreamValueError(f"{files.root} holds no program of dstreams")
    program, payload = found
    changed = replace(program, parallelism=partitions)
    builder = Builder(sc, program.interval_ms, DefaultPartitions(partitions))
    builder.graph = read_graph(files, changed, payload)
    recovery = Recovery(sc, files.root, changed, payload, program)
    query = Query(builder, program.remember_ms or 0, True, files.root, recovery, ListenerBus(), Environment())
    query.prepare()
    query.discard()
    saved = read_directory(files)
    assert saved is not None
    before, after = places_of(program.layouts), places_of(saved[0].layouts)
    lines = [f"{files.root}: the default number of partitions is {partitions} now, before {program.parallelism}"]
    for id, place in after.items():
        now, was = len(place.buckets), len(before[id].buckets)
        moved = f"is in {now} partitions, before in {was}" if now != was else f"stays in {now} partitions"
        lines.append(f"  the state of {id} {moved}")
    if before != after and recovery.position is not None:
        runs = Runs(files)
        assert runs.current is not None and runs.previous is not None
        here, there = (runs.files(run).root for run in (runs.current, runs.previous))
        lines.append(f"The program goes on in {here}. What was there before stays in {there} until the next change.")
    return "\n".join(lines)
