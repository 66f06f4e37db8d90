"""What the package shows of its log where the program has set up none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest

from dstreams._run.logs import show_logs


def context(level: str) -> Any:
    """A SparkContext whose log has a level."""
    jvm = MagicMock()
    jvm.org.apache.logging.log4j.LogManager.getRootLogger().getLevel().toString.return_value = level
    return MagicMock(_jvm=jvm)


@pytest.fixture
def no_handlers(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Give a function that takes the handlers off the root, where pytest puts its own for each test."""
    return lambda: monkeypatch.setattr(logging.getLogger(), "handlers", [])


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """Give the package's logger as a fresh process has it."""
    logger = logging.getLogger("dstreams")
    kept = logger.handlers[:], logger.level, logger.propagate
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.handlers, logger.propagate = kept[0], kept[2]
    logger.setLevel(kept[1])


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("INFO", ["info", "warning", "error"]),
        ("WARN", ["info", "warning", "error"]),  # which is what Spark sets by itself
        ("ERROR", ["error"]),
        ("FATAL", []),
        ("OFF", []),
    ],
)
def test_who_has_told_spark_to_be_quiet_is_not_told_more_by_us(
    log: logging.Logger,
    no_handlers: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
    level: str,
    shown: list[str],
) -> None:
    no_handlers()
    show_logs(context(level))
    for name in ("info", "warning", "error"):
        getattr(log, name)("this is %s", name)
    said = capsys.readouterr().err
    assert [name for name in ("info", "warning", "error") if f"this is {name}" in said] == shown


def test_lines_come_once_whatever_is_set_up_later(
    log: logging.Logger, no_handlers: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    no_handlers()
    show_logs(context("WARN"))
    show_logs(context("WARN"))  # of a second context
    logging.basicConfig(level=logging.INFO, force=True)
    log.info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_a_program_with_its_own_logging_keeps_it(log: logging.Logger) -> None:
    own = logging.NullHandler()
    log.addHandler(own)
    show_logs(context("ERROR"))
    assert log.handlers == [own] and own.level == logging.NOTSET


def test_another_logging_library_in_the_jvm_does_no_harm(log: logging.Logger, no_handlers: Callable[[], None]) -> None:
    no_handlers()
    show_logs(MagicMock(_jvm=MagicMock(spec=[])))
    assert log.isEnabledFor(logging.INFO)


@pytest.mark.parametrize(("own_level", "shown"), [(logging.NOTSET, ["other"]), (logging.INFO, ["call", "other"])])
def test_calls_of_the_jvm_do_not_drown_a_program_that_shows_all(
    log: logging.Logger, caplog: pytest.LogCaptureFixture, own_level: int, shown: list[str]
) -> None:
    """Unless somebody wants to see just them."""
    show_logs(context("WARN"))
    caplog.set_level(logging.INFO)
    calls = logging.getLogger("py4j.clientserver")
    calls.setLevel(own_level)
    try:
        calls.info("Received command c on object id p0")
        calls.info("Closing down clientserver connection")
    finally:
        calls.setLevel(logging.NOTSET)
    kinds = ["call" if "command" in record.getMessage() else "other" for record in caplog.records]
    assert kinds == shown
