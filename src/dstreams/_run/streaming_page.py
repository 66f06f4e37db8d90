"""Spark's own Streaming page, its REST API and its metrics, fed with what listeners are told."""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from dstreams._run.progress import Observer
from dstreams._sources.files import BinaryRecordsSource, TextFileSource
from dstreams._sources.receiver import ReceiverSource
from dstreams._spark.context import java_context, settings
from dstreams._spark.gateway import spark_home
from dstreams._spark.jvm import jvm_reason
from dstreams._spark.old_engine import EVENTS, Input, OldEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyspark import SparkContext

    from dstreams._sources.source import Source

__all__ = ["StreamingPage", "streaming_page"]

log = logging.getLogger("dstreams")

ENABLED = "spark.streaming.ui.enabled"
"""Conf of ours: ``false`` leaves the page out."""


def streaming_page(sc: SparkContext, interval_ms: int, sources: Sequence[Source]) -> StreamingPage | None:
    """Open the page and register the metrics, where somebody can look at them.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    interval_ms : int
        Batch interval in ms.
    sources : sequence of Source
        The inputs, in the order of their numbers.

    Returns
    -------
    StreamingPage or None
        None where there is neither a UI nor a sink for metrics, or where Spark has the page no more.
    """
    if not java_context(sc).ui().isDefined() and not _has_sinks(sc):
        return None
    if str(settings(sc).get(ENABLED, "true")).lower() == "false":
        return None
    try:
        return StreamingPage(OldEngine(sc, interval_ms, map(_input, sources)))
    except Exception as error:
        _say_left_out(jvm_reason(error))
        return None


@cache
def _say_left_out(reason: str) -> None:
    """Say it once, however many contexts are started."""
    log.info("Spark's Streaming page, its REST API and its metrics are left out: %s", reason)


def _has_sinks(sc: SparkContext) -> bool:
    configured = any(key.startswith("spark.metrics.conf") for key, _ in settings(sc).getAll())
    folder = os.environ.get("SPARK_CONF_DIR") or os.path.join(spark_home(), "conf")
    return configured or os.path.exists(os.path.join(folder, "metrics.properties"))


def _input(source: Source) -> Input:
    """What the page has to know of a source."""
    if source.initial:  # it has a number, and nothing to show
        return Input.HIDDEN
    if isinstance(source, ReceiverSource):
        return Input.RECEIVER
    return Input.DIRECTORY if isinstance(source, TextFileSource | BinaryRecordsSource) else Input.OTHER


class StreamingPage(Observer):
    """Passes on what listeners are told.

    Parameters
    ----------
    engine : OldEngine
        What the page, the REST API and the metrics of one program read.
    """

    def __init__(self, engine: OldEngine) -> None:
        self._engine = engine
        self._left_out = False
        self.label_jobs = engine.label_jobs
        self.close = engine.close

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if name not in EVENTS:
            raise AttributeError(name)
        return lambda event: self._pass_on(name, event)

    def _pass_on(self, name: str, event: Any) -> None:
        if self._left_out:
            return
        try:
            self._engine.tell(name, event)
        except Exception as error:  # a page that does not get everything would show what is wrong
            self._left_out = True
            _say_left_out(jvm_reason(error))
            self.close()
