from __future__ import annotations

import time
from datetime import datetime

import pytest

from dstreams.kinesis import InitialPositionInStream, MetricsLevel, utf8_decoder
from dstreams.util import rddToFileName

MOMENT = datetime(2024, 2, 29, 12, 30, 15, 123456)
MOMENT_MS = int(time.mktime(MOMENT.timetuple())) * 1000 + 123


@pytest.mark.parametrize(
    ("prefix", "suffix", "expected"),
    [
        ("spark", None, f"spark-{MOMENT_MS}"),
        ("spark", "tmp", f"spark-{MOMENT_MS}.tmp"),
        ("spark", "", f"spark-{MOMENT_MS}."),
        ("hdfs://h/a-b/x", "txt", f"hdfs://h/a-b/x-{MOMENT_MS}.txt"),
        ("", None, f"-{MOMENT_MS}"),
    ],
)
def test_directory_of_a_batch(prefix: str, suffix: str | None, expected: str) -> None:
    assert rddToFileName(prefix, suffix, MOMENT) == expected
    assert rddToFileName(prefix, suffix, MOMENT_MS) == expected


def test_names_of_kinesis() -> None:
    assert (InitialPositionInStream.LATEST, InitialPositionInStream.TRIM_HORIZON) == (0, 1)
    assert (MetricsLevel.DETAILED, MetricsLevel.SUMMARY, MetricsLevel.NONE) == (0, 1, 2)
    assert utf8_decoder("ü".encode()) == "ü"
    assert utf8_decoder(None) is None
