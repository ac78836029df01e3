"""What every test starts with: a quiet environment, and nothing of the person who runs it.

Owns no fixture of a part of the system: those live beside the tests that use them.
"""

import os
from pathlib import Path

import pytest

OURS = ("HUB_", "SIDECAR_")


@pytest.fixture(autouse=True)
def own_house(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and config folder of the test's own, so that no real hub's address or token is ever found."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(OURS) and not name.startswith("HUB_TEST_")]:
        monkeypatch.delenv(name)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NO_COLOR", "1")
    return home
