"""What the sidecar's tests share."""

from __future__ import annotations

import pytest

from tests.sidecar.dialogue import Dialogue


@pytest.fixture
def talk() -> Dialogue:
    """A desk of two seats whose hub has identified it."""
    dialogue = Dialogue()
    dialogue.connect()
    return dialogue
