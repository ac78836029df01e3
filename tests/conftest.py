"""What every test starts with: a quiet environment, and nothing of the person who runs it.

Owns no fixture of a part of the system: those live beside the tests that use them.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

OURS = ("HUB_", "SIDECAR_")
UMASK = 0o022

# A shell that starts the tests in the background makes them ignore SIGINT, and every command that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """A hub in this process closes its files to others for good; the next test begins as a person would."""
    os.umask(UMASK)
    yield
    os.umask(UMASK)


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
