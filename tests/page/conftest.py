"""What tests of the page start with: a hub with its plugins, and a browser whose complaints fail the test.

Owns only fixtures; the sidecars are those of the tests of whole systems.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.hub.conftest import HubProcess, hub_process
from tests.page.browsing import launched
from tests.page.rig import WITH_PLUGINS, Rig
from tests.system.conftest import runs, sidecar

__all__ = ["hub_process", "runs", "sidecar"]


@pytest.fixture
def hub(hub_process: HubProcess) -> HubProcess:
    """A hub that serves and knows the shipped plugins."""
    hub_process.start(**WITH_PLUGINS)
    return hub_process


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest.fixture
async def rig(hub: HubProcess, browser: Browser) -> AsyncIterator[Rig]:
    """Ended with the test, which fails if any page has complained."""
    rig = Rig(hub, browser)
    yield rig
    await rig.close()
