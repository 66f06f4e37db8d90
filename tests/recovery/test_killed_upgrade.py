"""A crash at every step of an upgrade: the state goes on, with the old program's directory or with the new one's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recovery.killed_upgrades import killed_at_each_step

pytestmark = [pytest.mark.recovery, pytest.mark.slow]


@pytest.mark.parametrize("version", ["moves", "stays"])
def test_on_a_local_disk(version, tmp_path: Path):
    died = killed_at_each_step(f"file:{tmp_path}/c", version, [], tmp_path)
    assert died > 5, died
