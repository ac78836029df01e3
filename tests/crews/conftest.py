"""One process that has imported crewai, for all tests of a worker that run a crew."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from crews.testing import plugin_trials, run_plugin
from plugins.quiet import CLEAN
from tests.crews.rig import PATIENCE_S, Rig, rig_in

__all__ = ["plugin_trials", "rig", "run_plugin"]

# Some tests import crewai themselves: with these it dials nobody, starts no thread, and takes no signal.
os.environ.update(CLEAN)

# Importing crewai takes three seconds on a quiet machine and many times that on one that is shared.
TIMEOUT_S = PATIENCE_S + 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits as long as `PATIENCE_S` must not be cut off before that."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Runs share nothing but the imports: each has its own process and folder."""
    with rig_in(tmp_path_factory.mktemp("crews")) as started:
        yield started
