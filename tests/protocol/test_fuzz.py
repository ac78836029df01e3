"""The fuzzer's oracle holds for a few thousand messages, and it does catch what it is there to catch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from protocol.badframe import BadFrame
from protocol.codec import Message
from protocol.conversation import HubConversation, Phase
from protocol.errors import ErrorCode
from tests.protocol import fuzz


def test_mutated_messages_are_frames_errors_or_defined_closes(capsys: pytest.CaptureFixture[str]) -> None:
    """L50: nothing that a stranger sends crashes a connection."""
    assert fuzz.main(["--messages", "5000", "--seed", "1"]) == 0
    report = capsys.readouterr().out
    for what in ("frame", *(code.value for code in BAD), "close 4400", "close 4413", "close 1003"):
        assert f" {what}" in report, f"the fuzzer no longer reaches {what}"


BAD = [
    ErrorCode.INVALID_JSON,
    ErrorCode.VALIDATION_FAILED,
    ErrorCode.UNKNOWN_MESSAGE_TYPE,
    ErrorCode.INVALID_STATE,
    ErrorCode.FRAME_TOO_BIG,
]


class Crash(HubConversation):
    """A hub that falls over."""

    def receive(self, message: Message) -> list[Any]:
        raise KeyError(message)


def test_a_crash_is_reported_with_its_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzz, "new_end", lambda *key: Crash())
    assert fuzz.main(["--messages", "10", "--seed", "7"]) == 1
    assert "seed 7, message 0" in capsys.readouterr().err


def test_a_complaint_that_cannot_be_read_is_caught() -> None:
    bad = BadFrame(code=ErrorCode.VALIDATION_FAILED, message_type="x\0")
    with pytest.raises(fuzz.Failure, match="cannot be read"):
        fuzz.judge_complaint(HubConversation(), bad)


def test_an_end_that_is_not_over_is_caught() -> None:
    class Undecided(HubConversation):
        def receive(self, message: Message) -> list[Any]:
            try:
                return super().receive(message)
            finally:
                self.phase = Phase.OPEN

    with pytest.raises(fuzz.Failure, match="without a rule"):
        fuzz.judge(Undecided(), "{", Counter())
