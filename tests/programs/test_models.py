"""Streaming algorithms of `pyspark.mllib`, which map with the model of the moment, beside the old engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.java import quick_start

pytestmark = pytest.mark.parity

PROGRAM = Path(__file__).with_name("streaming_models.py")


def results(tmp_path: Path, *command: str) -> Any:
    """What the program finds, run by a command."""
    import os

    out = tmp_path / f"out-{len(command)}"
    ended = subprocess.run(
        [sys.executable, *command, str(PROGRAM), str(out)],
        env={**os.environ, **quick_start()}, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(out.read_text())


def test_streaming_kmeans_and_regression(tmp_path: Path) -> None:
    """Predictions follow the models, as each batch changes them."""
    ours = results(tmp_path, "-m", "dstreams")
    assert ours == results(tmp_path)
    regression = [rows for kind, rows, _ in ours if kind == "regression"]
    assert regression[0] != regression[-1], "the model was fitted meanwhile"
