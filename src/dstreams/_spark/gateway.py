"""The JVM of this process, before and while it has a SparkContext: whether it runs, and how it is started."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from pyspark import SparkConf, SparkContext
from pyspark.core import context as _context
from pyspark.find_spark_home import _find_spark_home
from pyspark.java_gateway import launch_gateway

if TYPE_CHECKING:
    from py4j.java_gateway import JVMView

__all__ = [
    "around_launch",
    "end_jvm",
    "jvm_runs",
    "quiet_context",
    "running_jvm",
    "settings_alone",
    "spark_home",
    "start_jvm",
]

_module: Any = _context
"""The module in which SparkContext looks for the function that starts a JVM; it does not say so to type checkers."""


def spark_home() -> str:
    """Folder of the Spark that a JVM is started with."""
    return str(_find_spark_home())


def jvm_runs() -> bool:
    """Whether this process has a JVM, or is the child of one."""
    return SparkContext._gateway is not None or "PYSPARK_GATEWAY_PORT" in os.environ


def running_jvm() -> JVMView:
    """The JVM that runs."""
    assert SparkContext._jvm is not None
    return SparkContext._jvm


def start_jvm(conf: SparkConf | None = None) -> None:
    """Start the JVM, if there is none, without a SparkContext."""
    SparkContext._ensure_initialized(conf=conf)


def settings_alone() -> SparkConf:
    """No settings, not even those that Spark finds by itself; it is no reason to start a JVM."""
    return SparkConf(loadDefaults=False, _jvm=None)


def quiet_context(conf: SparkConf, stderr: int) -> SparkContext:
    """Make a SparkContext whose JVM writes its log to a file descriptor."""
    return SparkContext(conf=conf, gateway=launch_gateway(conf, {"stderr": stderr}))


def end_jvm() -> int:
    """Let the JVM end in good order, and return its exit code."""
    assert SparkContext._gateway is not None
    jvm = SparkContext._gateway.proc
    jvm.stdin.close()
    return int(jvm.wait())


def around_launch(within: Callable[[SparkConf | None], AbstractContextManager[None]]) -> Callable[[], None]:
    """Have the SparkContexts of this process start their JVM within a context.

    Only there is it known with which settings, and that there is not one yet.

    Parameters
    ----------
    within : callable
        Gets the settings and gives the context.

    Returns
    -------
    callable
        Takes that back.
    """
    launch = _module.launch_gateway

    def launch_within(conf: SparkConf | None = None, popen_kwargs: dict[str, Any] | None = None) -> Any:
        with within(conf):
            return launch(conf, popen_kwargs)

    def undo() -> None:
        _module.launch_gateway = launch

    _module.launch_gateway = launch_within
    return undo
