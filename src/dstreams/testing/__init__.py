"""Test a DStream program batch by batch, without sleeping: see :class:`StreamTest` and docs/testing.md.

With the package installed, pytest has the fixtures ``stream_test`` and ``streaming_context``.
"""

from __future__ import annotations

from dstreams.testing.failures import BatchFailed, ProgramFailed
from dstreams.testing.result import BatchResult
from dstreams.testing.run import StreamTest

__all__ = ["BatchFailed", "BatchResult", "ProgramFailed", "StreamTest"]
