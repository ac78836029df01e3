"""One process that has imported crewai, for all tests of a worker that run a crew."""

import os
from collections.abc import Iterator

import pytest

from crews.environment import CLEAN
from crews.testing import plugin_trials, run_plugin
from tests.crews.rig import Rig, rig_in

__all__ = ["plugin_trials", "rig", "run_plugin"]

# Some tests import crewai themselves: with these it dials nobody, starts no thread, and takes no signal.
os.environ.update(CLEAN)


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Runs share nothing but the imports: each has its own process and folder."""
    with rig_in(tmp_path_factory.mktemp("crews")) as started:
        yield started
