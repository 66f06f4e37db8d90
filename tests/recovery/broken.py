"""A run of a program that is broken in some way meanwhile, and what must be true of it at the end."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.recovery.checks import check
from tests.recovery.feeds import CarefulSender, FileFeed
from tests.recovery.killer import Killer

__all__ = ["run_broken"]


def run_broken(
    killer: Killer, feed: FileFeed | CarefulSender, break_it: Callable[[], None], stacks: bool = False
) -> None:
    """Run a program, break it, let it finish, and check everything.

    Parameters
    ----------
    killer : Killer
        Starts the program.
    feed : FileFeed or CarefulSender
        What it reads.
    break_it : callable
        Starts it, and does what it has to survive.
    stacks : bool
        Whether the last run may have stacks of the JVM: Spark tells of parts of a cluster that it has lost with those.
    """
    began = time.monotonic()
    outputs = killer.outputs

    def all_processed() -> bool:
        outputs.refresh()
        return len(outputs.processed) >= len(feed.records)

    with killer:
        break_it()
        ended = killer.finish(feed.finish, all_processed)
        killer.others_end()
    outputs.refresh()
    again = len(outputs.lines) - len({(line.name, line.time_ms) for line in outputs.lines})
    print(
        f"{time.monotonic() - began:.0f} s: {dict(killer.found)}; {len(feed.records)} records, "
        f"{len(killer.logs.times)} batches, {again} outputs repeated"
    )
    check(outputs.lines, killer.logs, feed.records)
    bad = ["Traceback"] if stacks else ["Traceback", "\tat "]
    assert not [line for line in ended.errors if any(word in line for word in bad)], ended.report()
