"""Programs have the types that their hints promise; `make types` asks pyright too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_programs_are_typed() -> None:
    """The programs say which types they expect, and which lines are errors."""
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "tests/typing"], cwd=root, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
