"""One process that has imported crewai, for all tests of a worker that run a crew."""

from collections.abc import Iterator

import pytest

from tests.crews.rig import Rig, rig_in


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Runs share nothing but the imports: each has its own process and folder."""
    with rig_in(tmp_path_factory.mktemp("crews")) as started:
        yield started
