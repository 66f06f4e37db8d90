"""Clusters for the tests. One is there at a time: each is four JVMs with the program's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.standalone import Cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Give a master and two workers with one core each, which the tests of a module share."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running
