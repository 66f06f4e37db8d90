"""What the package says while it runs: the logger ``dstreams``, shown on stderr unless logging is set up."""

from __future__ import annotations

import logging

__all__ = ["show_logs"]


def show_logs() -> None:
    """Show messages of level INFO where the program has not configured logging itself: no program is silent."""
    log = logging.getLogger("dstreams")
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s dstreams: %(message)s", "%y/%m/%d %H:%M:%S"))
        log.addHandler(handler)
        if log.level == logging.NOTSET:
            log.setLevel(logging.INFO)
