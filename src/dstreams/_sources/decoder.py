"""What becomes of the bytes of a record, where the program does not say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Decoder", "utf8_decoder"]

Decoder = Callable[[bytes | None], Any]
"""Bytes, or None where there are none, to anything."""


def utf8_decoder(s: bytes | None) -> str | None:
    """Decode bytes as UTF-8; None stays None."""
    return None if s is None else s.decode("utf-8")
