"""The written dialogues, the documentation's session among them, played frame by frame by our two ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from protocol.badframe import BadFrame, reply_to_bad
from protocol.close import CLOSE_RULES, CloseCode
from protocol.codec import FrameDecoder, Wire, encode_frame
from protocol.conversation import AgentConversation, HubConversation, reply_to_end
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.frames import AGENT_FRAMES, HUB_FRAMES, ErrorFrame, Frame, frame_type
from protocol.rawjson import Flaw
from tests.protocol.script import Line, Script, Variables, differences, every_script, filled, read

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
SESSION = "session.jsonl"
DECODERS = {
    "agent": FrameDecoder[Frame](AGENT_FRAMES, Wire.JSON),
    "hub": FrameDecoder[Frame](HUB_FRAMES, Wire.JSON),
}


def understood(speaker: str, said: Any) -> Frame:
    (frame,) = DECODERS[speaker].decode(json.dumps(said), arrays=False)
    assert isinstance(frame, Frame), frame
    return frame


class Stage:
    """Both ends of one connection, and the complaints of the hub that are still to be said."""

    def __init__(self, script: Script, subprotocol: str | None) -> None:
        self.ends: dict[str, Any] = {
            "agent": AgentConversation(subprotocol),
            "hub": HubConversation(subprotocol, is_trusted=True),
        }
        self.variables: Variables = dict(script.samples)
        self.complaints: list[ErrorFrame] = []
        self.closing: int | None = None

    def frames(self, line: Line) -> list[Frame]:
        """The frames of a line, built from the script's own JSON."""
        built = []
        for template in line.frames:
            said = filled(template, self.variables)
            frame = understood(line.speaker, said)
            ours = json.loads(encode_frame(frame, Wire.JSON))
            lost = [name for name in said if name not in ours]
            # What we leave out must say nothing: a default, or a member that only others know.
            assert understood(line.speaker, {name: said[name] for name in said if name not in lost}) == frame
            assert not list(differences({n: v for n, v in said.items() if n in ours}, ours, {})), said
            built.append(frame)
        return built

    def say(self, line: Line) -> None:
        """What one end says the other hears."""
        frames = self.frames(line)
        other = self.ends["hub" if line.speaker == "agent" else "agent"]
        messages = self.ends[line.speaker].say(*frames)
        assert len(messages) == 1
        assert [frame for message in messages for frame in other.receive(message)] == frames

    def blunder(self, line: Line) -> None:
        """What an agent of ours would never say, said to the hub as it is."""
        text = line.text
        if text is None:
            said = filled(line.frames, self.variables)
            text = json.dumps(said if line.is_array else said[0])
        try:
            heard = self.ends["hub"].receive(text)
        except RemoteProtocolError as error:
            self.complaints.append(reply_to_end(error))
            self.closing = error.close
        else:
            self.complaints += [reply_to_bad(item) for item in heard if isinstance(item, BadFrame)]

    def answer(self, line: Line) -> None:
        """The hub's complaint is the one that the script names."""
        complaint = self.complaints.pop(0)
        (message,) = self.ends["hub"].say(complaint)
        assert not list(differences(line.frames[0], json.loads(message), self.variables))
        assert self.ends["agent"].receive(message) == [complaint]


def play(script: Script, subprotocol: str | None) -> None:
    stage = Stage(script, subprotocol)
    for line in script.lines:
        if line.is_bad:
            stage.blunder(line)
        elif line.frames and stage.complaints:
            stage.answer(line)
        elif line.frames:
            stage.say(line)
        elif line.speaker == "hub" and stage.closing is not None:
            assert line.close == stage.closing
    assert not stage.complaints


@pytest.mark.parametrize("path", every_script(), ids=lambda path: path.stem)
def test_a_written_dialogue_is_played_frame_by_frame(path: Path) -> None:
    script = read(path)
    play(script, script.subprotocol)


@pytest.mark.parametrize("name", ["session", "resume", "cancel", "question"])
@pytest.mark.parametrize("subprotocol", [None, "hub.v2.msgpack"])
def test_a_v2_dialogue_is_the_same_on_every_wire(name: str, subprotocol: str | None) -> None:
    path = next(path for path in every_script() if path.stem == name)
    play(read(path), subprotocol)


def test_the_dialogues_say_every_frame() -> None:
    said = {
        (line.speaker, frame["type"])
        for path in every_script()
        for line in read(path).lines
        for frame in line.frames
    }
    wanted = {("agent", frame_type(kind)) for kind in AGENT_FRAMES} | {
        ("hub", frame_type(kind)) for kind in HUB_FRAMES
    }
    assert not wanted - said, "a frame that no dialogue says is a frame that no stranger learns"


def test_the_document_shows_the_session_that_is_played() -> None:
    session = next(path for path in every_script() if path.name == SESSION)
    assert session.read_text(encoding="utf-8").strip() in DOCUMENT.read_text(encoding="utf-8")


def test_the_document_names_every_frame() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    nameless = [
        frame_type(kind) for kind in (*AGENT_FRAMES, *HUB_FRAMES) if f"`{frame_type(kind)}`" not in text
    ]
    assert not nameless, f"name them in docs/protocol.md: {nameless}"


def test_the_document_has_every_close_and_every_error() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for code, rule in CLOSE_RULES.items():
        if code is not CloseCode.ABNORMAL:
            assert f"| {code.value} | {rule.sentence} | {rule.comeback.value} |" in text
    assert not [code for code in ErrorCode if f"`{code.value}`" not in text]
    assert not [flaw for flaw in Flaw if f"`{flaw.value}`" not in text]


def test_the_document_has_every_member() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    members = {name for kind in (*AGENT_FRAMES, *HUB_FRAMES) for name in kind.__struct_encode_fields__}
    assert not {name for name in members if f"`{name}`" not in text}


def test_a_variable_takes_the_value_that_is_heard() -> None:
    variables: Variables = {"agent_id": "ada"}
    template = {"type": "task_assign", "task_id": "$task_id", "answers": {"$task_id-1": ["$agent_id"]}}
    heard = {"type": "task_assign", "task_id": "t1", "answers": {"t1-1": ["ada"]}, "more": 1}
    assert not list(differences(template, heard, variables))
    assert variables == {"agent_id": "ada", "task_id": "t1"}
    assert filled("/api/tasks/$task_id/cancel", variables) == "/api/tasks/t1/cancel"


def test_what_was_not_heard_is_named() -> None:
    template = {"type": "pong", "timestamp": 5, "list": [1, 2], "gone": None}
    heard = {"type": "ping", "timestamp": "5", "list": [1]}
    assert list(differences(template, heard, {})) == [
        ".type is 'ping', not 'pong'",
        ".timestamp is '5', not 5",
        ".list is [1], not [1, 2]",
        ".gone is missing",
    ]
