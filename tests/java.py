"""How the programs that tests start let their JVMs start, as the plugin does it for the JVM of the tests."""

from __future__ import annotations

from dstreams._run.class_archive import VARIABLE, add_options, jvm_options

__all__ = ["quick_start"]


def quick_start() -> dict[str, str]:
    """Environment of a program that runs for seconds."""
    return {VARIABLE: add_options(jvm_options(quick=True))}
