"""docs/how-to/migrate.md: its program on both engines side by side, its comparison, and state that is carried over."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guides import blocks
from tests.programs.program import SUBMIT, Program
from tests.programs.test_running import PROJECT

pytestmark = [pytest.mark.engine, pytest.mark.slow]

PAGE = PROJECT / "docs" / "how-to" / "migrate.md"
ENVIRONMENT = {"PYSPARK_SUBMIT_ARGS": SUBMIT + "pyspark-shell", "PYSPARK_PYTHON": sys.executable}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the programs of the page, as a reader would save them."""
    for block in blocks(PAGE, "python"):
        if block.startswith("# "):
            (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block)
    for name in ("in", "old", "new"):
        (tmp_path / name).mkdir()
    return tmp_path


def put(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("".join(f"{line}\n" for line in lines))
    (folder / name).rename(folder / "in" / name)


def totals(out: Path) -> list[str]:
    """Lines of the last batch that is complete."""
    done = [mark.parent for mark in out.glob("totals-*/_SUCCESS")]
    if not done:
        return []
    last = max(done, key=lambda path: int(path.name.partition("-")[2]))
    return sorted(line for part in last.glob("part-*") for line in part.read_text().splitlines())


def wait(program: Program, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline and program.process.poll() is None, program.report()
        time.sleep(0.2)


def test_side_by_side_and_over(folder: Path) -> None:
    def run(*command: str) -> Program:
        return Program([sys.executable, *command], folder, **ENVIRONMENT)

    with run("orders.py", "old") as old, run("-m", "dstreams", "orders.py", "new") as new:
        for program, out in ((old, "old"), (new, "new")):
            wait(program, lambda out=out: any((folder / out).glob("totals-*")))
        put(folder, "1.txt", "alice,12", "bob,3")
        put(folder, "2.txt", "alice,12")
        expected = ["('alice', 24)", "('bob', 3)"]
        for program, out in ((old, "old"), (new, "new")):
            wait(program, lambda out=out: totals(folder / out) == expected)
        checkpoints = set((folder / "old" / "checkpoint").glob("*/rdd-*"))
        wait(old, lambda: bool(set((folder / "old" / "checkpoint").glob("*/rdd-*")) - checkpoints))
        for program, out in ((old, "old"), (new, "new")):
            (folder / out / "stop").touch()
            assert program.finish(90) == 0, program.report()

    with run("compare.py", "old/orders", "new/orders") as compare:
        assert compare.finish(90) == 0, compare.report()
        assert compare.lines == ["0 of 2 lines differ"], compare.report()
    put(folder, "aside.txt", "carol,1")
    (folder / "in" / "aside.txt").rename(folder / "new" / "orders-1")
    with run("compare.py", "old/orders", "new/orders") as compare:
        assert compare.finish(90) == 0, compare.report()
        assert compare.lines == ["1 more in the new: carol,1", "1 of 3 lines differ"], compare.report()

    with run("state.py", "old/checkpoint", "state") as state:
        assert state.finish(90) == 0, state.report()
        assert re.match(r"saved 2 keys of .*/rdd-\d+$", state.lines[-1]), state.report()
    carried_over(folder)
    with run("-m", "dstreams", "orders.py", "carried") as carried:
        wait(carried, lambda: totals(folder / "carried") == expected)
        put(folder, "3.txt", "bob,1")
        wait(carried, lambda: totals(folder / "carried") == ["('alice', 24)", "('bob', 4)"])
        (folder / "carried" / "stop").touch()
        assert carried.finish(90) == 0, carried.report()

    with run("-m", "dstreams", "orders.py", "old") as refused:
        assert refused.finish(90) == 1, refused.report()
        assert any("is a checkpoint directory of the old engine" in line for line in refused.errors), refused.report()


def carried_over(folder: Path) -> None:
    """Change the program as the page says."""
    (change,) = [block for block in blocks(PAGE, "python") if "initialRDD" in block]
    program = folder / "orders.py"
    line = '    orders.updateStateByKey(add).saveAsTextFiles(OUT + "/totals")\n'
    assert program.read_text().count(line) == 1
    program.write_text(program.read_text().replace(line, change))
    (folder / "carried").mkdir()


def test_what_is_no_python_3_is_found(tmp_path: Path) -> None:
    (command,) = [block for block in blocks(PAGE, "console") if "compileall" in block]
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "good.py").write_text("print('fine')\n")

    def found() -> subprocess.CompletedProcess[str]:
        arguments = command.removeprefix("$ python3 ").split()
        return subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert found().returncode == 0
    (tmp_path / "jobs" / "bad.py").write_text("swapped = pairs.map(lambda (k, v): (v, k))\n")
    done = found()
    assert done.returncode == 1 and "jobs/bad.py" in done.stdout.replace("\\", "/")
