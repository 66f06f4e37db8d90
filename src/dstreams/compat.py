"""Change no line of a program: make ``import pyspark.streaming`` give this package."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pyspark

from dstreams._compatibility import MODULES

__all__ = ["activate", "deactivate"]

_ABSENT = object()
_saved: dict[str, object] = {}


def activate() -> None:
    """Let ``pyspark.streaming`` and its submodules resolve to this package, in this process.

    Calling it again changes nothing. Names that a program has imported before keep their meaning.
    """
    if _saved:
        return
    _saved["attribute"] = getattr(pyspark, "streaming", _ABSENT)
    for name, ours in MODULES.items():
        _saved[name] = sys.modules.get(name, _ABSENT)
        sys.modules[name] = importlib.import_module(ours)
    setattr(pyspark, "streaming", sys.modules["pyspark.streaming"])  # noqa: B010


def deactivate() -> None:
    """Restore what :func:`activate` replaced."""
    if not _saved:
        return
    attribute = _saved.pop("attribute")
    for name in MODULES:
        module = _saved.pop(name)
        if isinstance(module, ModuleType):
            sys.modules[name] = module
        else:
            sys.modules.pop(name, None)
    if attribute is _ABSENT:
        delattr(pyspark, "streaming")
    else:
        setattr(pyspark, "streaming", attribute)  # noqa: B010
