"""What the package says while it runs: the logger ``dstreams``, shown on stderr unless logging is set up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dstreams._spark.loggers import root_level

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["show_logs"]

_QUIET = {"ERROR": logging.ERROR, "FATAL": logging.CRITICAL, "OFF": logging.CRITICAL + 1}


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """The handler of a program that has set up none."""


class _Calls(logging.Filter):
    """Leaves out that the JVM has called this process, which py4j tells some fifty times a batch at level INFO.

    A program whose root logger shows INFO would see little else.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep all else, and all where the level of py4j's logger itself was chosen."""
        wanted = logging.getLogger(record.name).level != logging.NOTSET
        return wanted or record.levelno != logging.INFO or not str(record.msg).startswith("Received command")


_calls = _Calls()


def show_logs(sc: SparkContext) -> None:
    """Show messages of level INFO where the program has not configured logging itself: no program is silent.

    But one that has told Spark to be quiet (``sc.setLogLevel("ERROR")``) is.
    """
    logging.getLogger("py4j.clientserver").addFilter(_calls)
    log = logging.getLogger("dstreams")
    if not log.hasHandlers():
        handler = _Handler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s dstreams: %(message)s", "%y/%m/%d %H:%M:%S"))
        log.addHandler(handler)
        log.propagate = False  # to a root logger that somebody sets up later: each line would come twice
        if log.level == logging.NOTSET:
            log.setLevel(logging.INFO)
    for own in log.handlers:
        if isinstance(own, _Handler):
            own.setLevel(_QUIET.get(root_level(sc), logging.NOTSET))
