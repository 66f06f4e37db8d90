"""Stand-ins and errors for the old engine's insides, which programs reach for."""

from __future__ import annotations

from typing import Any, NoReturn

from dstreams._compatibility import TABLE
from dstreams.errors import DStreamTypeError

__all__ = ["Inside", "lacking"]


class Inside:
    """Stands for something inside the old engine, so that a program which imports it starts.

    Parameters
    ----------
    name : str
        Its name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to be used."""
        raise DStreamTypeError(f"{self._name}: {TABLE[self._name].sentence}")


def lacking(owner: str, name: str) -> str:
    """Text of the ``AttributeError`` for a name that is not there.

    Parameters
    ----------
    owner : str
        The class.
    name : str
        The name.
    """
    text = f"{owner!r} has no attribute {name!r}"
    fact = TABLE.get(f"{owner}.{name}")
    return text if fact is None or not fact.instead else f"{text}: {fact.sentence}"
