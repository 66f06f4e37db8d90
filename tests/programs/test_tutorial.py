"""docs/tutorial.md: its programs and commands, in their order, in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guides import blocks
from tests.java import quick_start
from tests.programs.test_running import PROJECT

pytestmark = [pytest.mark.engine, pytest.mark.recovery, pytest.mark.slow]

PAGE = PROJECT / "docs" / "tutorial.md"
FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.M | re.S)


def script() -> str:
    """Everything that a reader does after the installation, as one script of a shell, which says when a part begins."""
    parts = []
    for language, block in FENCE.findall(PAGE.read_text("utf-8").partition("## A first program")[2]):
        if language == "python":
            name = block.splitlines()[0].removeprefix("# ")
            assert re.fullmatch(r"\w+\.py", name), block
            parts.append(f"cat > {name} <<'END_OF_FILE'\n{block}END_OF_FILE\n")
        else:
            commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
            parts.append("\n".join(["echo == part ==", *commands, ""]))
    return "\n".join(parts)


def test_tutorial(tmp_path: Path) -> None:
    environment = os.environ | quick_start() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
        environment.pop(name, None)
    shell = subprocess.Popen(
        ["bash", "-c", script()], cwd=tmp_path, env=environment, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        printed, _ = shell.communicate(timeout=400)
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, printed
    first, state, _, compared, changed, shown = printed.split("== part ==\n")[1:]
    for part in (first, state):
        assert "Time: " in part and "('to', " in part and "('be', " in part, printed
    assert re.search(r"^the same: (\d+) and \1 words$", compared, re.M), printed
    assert "('to', " in changed and "('TO', " in changed, printed
    assert "counts.py" in shown and "updateStateByKey" in shown and "textFileStream" in shown, printed


def test_install_commands_are_those_of_a_checkout() -> None:
    (install,) = [block for block in blocks(PAGE, "console") if "pip install" in block]
    assert (PROJECT / "pyproject.toml").is_file() and "path/to/dstreams" in install
