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


def show_logs(sc: SparkContext) -> None:
    """Show messages of level INFO where the program has not configured logging itself: no program is silent.

    But one that has told Spark to be quiet (``sc.setLogLevel("ERROR")``) is.
    """
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
