"""DStream programs on Structured Streaming: the API of ``pyspark.streaming``, translated into one query."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dstreams._version import __version__

if TYPE_CHECKING:
    from dstreams.context import StreamingContext
    from dstreams.dstream import DStream
    from dstreams.duration import Duration, Milliseconds, Minutes, Seconds
    from dstreams.errors import DStreamError
    from dstreams.listener import StreamingListener
    from dstreams.state import State, StateSpec

__all__ = [
    "DStream",
    "DStreamError",
    "Duration",
    "Milliseconds",
    "Minutes",
    "Seconds",
    "State",
    "StateSpec",
    "StreamingContext",
    "StreamingListener",
    "__version__",
]

# Imported when they are first used: each Python process that Spark starts imports a module or two of this package, and
# would import the whole side of the driver with them, in twice the time. Modules are found too, so that after
# `import dstreams` there is `dstreams.errors.BatchError`.
_HOMES = {
    "context": ("StreamingContext",),
    "dstream": ("DStream",),
    "duration": ("Duration", "Milliseconds", "Minutes", "Seconds"),
    "errors": ("DStreamError",),
    "listener": ("StreamingListener",),
    "state": ("State", "StateSpec"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name == home or name in names:
            module = import_module(f"{__name__}.{home}")
            return module if name == home else getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
