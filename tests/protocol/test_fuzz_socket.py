"""A real hub, in a process of its own, survives what the fuzzer sends and says so on the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.protocol.fuzz import Failure
from tests.protocol.fuzz_socket import fuzz_socket, served


@pytest.mark.slow
def test_a_real_hub_survives_mutated_messages() -> None:
    """L50: always a frame, an error or a defined close; no traceback in the log."""
    seen = fuzz_socket(200, seed=1)
    assert seen["validation_failed"]
    assert seen["pong"]


@pytest.mark.slow
def test_a_hub_that_does_not_start_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    with pytest.raises(Failure), served(tmp_path):
        pass
