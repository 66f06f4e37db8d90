"""How the JVMs of the tests start: from an archive of Spark's classes, where `make` has made one."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["quick_start", "share_classes"]

_ARCHIVE = Path(__file__).resolve().parent.parent / ".cache" / "spark.jsa"
_OPTIONS = "SPARK_SUBMIT_OPTS"


def share_classes() -> None:
    """Let the JVMs that this process and its children start read the archive."""
    if _ARCHIVE.exists() and _OPTIONS not in os.environ:
        os.environ[_OPTIONS] = f"-XX:SharedArchiveFile={_ARCHIVE} -Xlog:cds*=off"


def quick_start() -> dict[str, str]:
    """Environment of a program that runs for seconds: compiling its code for the long run does not pay."""
    return {_OPTIONS: f"{os.environ.get(_OPTIONS, '')} -XX:TieredStopAtLevel=1".strip()}
