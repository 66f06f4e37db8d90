"""Spark starts faster in tests: from an archive of its classes, made here once, and with quick compilation."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, suppress
from typing import Any

import pytest
from pyspark import SparkConf

from dstreams._run import class_archive
from dstreams._run.class_archive import SWITCH, NoArchive
from dstreams._run.warm_up import make
from dstreams._spark.gateway import around_launch

__all__ = ["QuickStart"]

_REPORTED = "dstreams_archive_is_missing"


class QuickStart:
    """A plugin of one session.

    Parameters
    ----------
    config : pytest.Config
        Of this session.

    Attributes
    ----------
    missing : bool
        Whether Spark was started without an archive that could have been there.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.missing = False
        self._config = config
        self._undo = around_launch(self._within)

    def end(self) -> None:
        """Leave the JVMs of this process alone again."""
        self._undo()

    def _within(self, conf: SparkConf | None) -> AbstractContextManager[None]:
        """Look whether an archive is missing, and start the JVM."""
        with suppress(NoArchive):
            self.missing = class_archive.can_be_made(class_archive.archive_path(conf))
        return class_archive.used(conf, quick=True)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> Generator[None, object, object]:
        """When all has been reported, make an archive for the next session; a worker of xdist leaves that to others."""
        of_worker: dict[str, Any] | None = getattr(self._config, "workeroutput", None)
        if of_worker is not None:
            of_worker[_REPORTED] = self.missing
        result = yield
        if of_worker is None and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            self._make()
        return result

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear from a worker of xdist."""
        self.missing = self.missing or getattr(node, "workeroutput", {}).get(_REPORTED, False)

    def _make(self) -> None:
        if not self.missing or os.environ.get("CI"):  # there the next session has another cache
            return
        self._say(f"making an archive of Spark's classes, from which Spark starts faster in the next session. This is "
                  f"done once; {SWITCH}=off in the environment switches it off.")  # fmt: skip
        began = time.monotonic()
        try:
            archive = class_archive.archive_path()
            make(archive)
        except (NoArchive, KeyboardInterrupt) as reason:
            self._say(f"there is none: {str(reason) or 'interrupted'} (`python -m dstreams warm-up` tries again)")
        else:
            self._say(f"made {archive} in {time.monotonic() - began:.0f} s")

    def _say(self, what: str) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.write_line(f"dstreams: {what}")
