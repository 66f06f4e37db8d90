"""What the hook of the worker processes does: see src/dstreams/_plan/worker_path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dstreams._plan

HOOK = Path(dstreams._plan.__file__).parent / "worker_path"


def stderr_of(code: str, *arguments: str) -> str:
    """What a process with the hook prints."""
    environment = {**os.environ, "PYTHONPATH": str(HOOK)}
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, stderr=subprocess.PIPE, text=True, timeout=60
    )
    return ended.stderr


def test_a_signal_to_the_drivers_group_is_not_for_its_workers() -> None:
    code = "import os, sys; print(os.getpgid(0) == os.getpid(), file=sys.stderr)"
    assert stderr_of(code).strip() == "True"
