"""The Python of the pages, run on a real Spark.

A fragment is executed with the names that `names` gives: what it calls is there and takes what it is given. Its program
is not started, except in tests, which are run as tests. The pages of RUN_BY_OTHERS have tests of their own.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from operator import add, sub
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pyspark import SparkConf, SparkContext

from dstreams import Minutes, StateSpec, StreamingContext, compat
from dstreams._run.environment import Environment, using
from dstreams.testing import StreamTest
from tests.docs import PROJECT, Block, blocks

pytestmark = pytest.mark.engine

RUN_BY_OTHERS = {
    "README.md": "tests/programs/test_running.py",  # test_main_job runs the example that it is
    "docs/tutorial.md": "tests/programs/test_tutorial.py",
    "docs/how-to/leave.md": "tests/programs/test_leave.py",
    "docs/how-to/migrate.md": "tests/programs/test_migrate.py",
}
BEFORE_SPARK = "sc = SparkContext(conf=with_kafka("
"""How a fragment begins that has to come before the SparkContext; `with_kafka` has tests of its own."""

FRAGMENTS = [block for block in blocks("python") if block.page not in RUN_BY_OTHERS]


def test_pages_that_others_run() -> None:
    for page, test in RUN_BY_OTHERS.items():
        has_code = any(block.page == page for block in blocks("python"))
        assert not has_code or (PROJECT / test).exists(), f"{page}: there is no {test}"


class Elsewhere(Environment):
    """Lets the directories that a page names be temporary ones."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def directory(self, path: str) -> str:
        return str(self._root / path.rpartition("/")[2])


def track(key: str, value: int | None, state: Any) -> tuple[str, int | None]:
    return key, value


def names(sc: SparkContext, ssc: StreamingContext) -> dict[str, Any]:
    """What a page takes for granted."""
    pairs = ssc.queueStream([[("a", 1)]])
    return {
        "__name__": "page",
        "SparkConf": SparkConf,
        "SparkContext": SparkContext,
        "StreamingContext": StreamingContext,
        "StateSpec": StateSpec,
        "Minutes": Minutes,
        "threading": threading,
        "add": add,
        "sub": sub,
        "sc": sc,
        "ssc": ssc,
        "setup": lambda: ssc,
        "track": track,
        "words": pairs,
        "clicks": pairs,
        "pairs": pairs,
    }


@pytest.mark.parametrize("block", [block for block in FRAGMENTS if BEFORE_SPARK not in block.text], ids=str)
def test_fragment(
    block: Block,
    streaming: Callable[[], StreamingContext],
    spark_context: SparkContext,
    stream_test: Callable[..., StreamTest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(PROJECT / "examples")
    compat.activate()
    with using(Elsewhere(tmp_path)):
        ssc = streaming()
        try:
            namespace = names(spark_context, ssc)
            exec(compile(dedent(block.text), str(block), "exec"), namespace)
        finally:
            compat.deactivate()
            ssc.stop(stopSparkContext=False)
    for name, function in namespace.items():
        if name.startswith("test_") and inspect.isfunction(function):
            function(stream_test)


def test_fragments_are_found() -> None:
    assert len(FRAGMENTS) > 10
    assert any(BEFORE_SPARK in block.text for block in FRAGMENTS)
