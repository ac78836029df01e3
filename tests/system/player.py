"""Plays one half of a written dialogue over a real socket, as a stranger would, without a type of ours.

Owns saying the lines of one side, hearing those of the other, and the cues: what has to happen off stage
before a line can be heard. Never knows a frame beyond its `type`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from tests.hub.conftest import Reachable
from tests.hub.peers import Peer, Said
from tests.protocol.script import Line, Script, Variables, differences, filled

FLEETING: Final = {"now": 1795226051144, "message_id": "00112233445566aa"}
"""Variables that have another value each time they are heard; these are said where an agent says one."""

Cue = tuple[str, Callable[["Player"], Awaitable[None]]]
"""Before which line (`hub task_assign`), and what happens then. Cues fire once each, in order."""


class Player:
    """Plays the agent's lines, and the person's, to a hub, and compares what comes back."""

    def __init__(self, hub: Reachable, peer: Peer, known: Variables) -> None:
        self.hub = hub
        self.peer = peer
        self.variables = dict(known)

    async def play(self, script: Script, cues: Iterable[Cue] = (), unasked: Iterable[str] = ()) -> None:
        """`unasked` are types that this hub says beside the script."""
        waiting = list(cues)
        skipped = frozenset(unasked)
        for line in script.lines:
            if waiting and waiting[0][0] == name_of(line):
                await waiting.pop(0)[1](self)
            await self.step(line, skipped)
        assert not waiting, f"never came to {waiting[0][0]}"

    async def step(self, line: Line, unasked: frozenset[str]) -> None:
        if line.post is not None:
            await self.ask_hub(line)
        elif line.speaker == "agent":
            await self.say(line)
        elif line.close is not None:
            code, reason = await self.peer.closed()
            assert code == line.close, f"closed {code} ({reason}), not {line.close}"
        else:
            for template in line.frames:
                await self.hear(template, unasked)

    async def say(self, line: Line) -> None:
        if line.close is not None:
            await self.peer.socket.close(line.close)
            return
        said = filled(line.frames, FLEETING | self.variables)
        text = line.text or json.dumps(said if line.is_array else said[0])
        await self.peer.socket.send(text)

    async def hear(self, template: Said, unasked: frozenset[str]) -> None:
        while True:
            heard = await self.peer.hear()
            if not self.lacks(template, heard):
                return
            assert heard["type"] in unasked, f"{self.lacks(template, heard)} in {heard}, wanted {template}"

    def lacks(self, template: Any, heard: Any) -> list[str]:
        """What is missing in what was heard; new variables are kept if nothing is."""
        bound = dict(self.variables)
        missing = list(differences(template, heard, bound))
        if not missing:
            self.variables = {name: value for name, value in bound.items() if name not in FLEETING}
        return missing

    async def ask_hub(self, line: Line) -> None:
        """What a person does over HTTP."""
        assert line.post is not None
        body = filled(line.body or {}, self.variables)
        async with self.hub.http() as client:
            answer = await client.post(filled(line.post, self.variables), json=body)
        assert answer.is_success, answer.text
        assert not self.lacks(line.reply, answer.json()), answer.text


def name_of(line: Line) -> str:
    """As a cue names it: the speaker and the first thing that is said."""
    if line.frames:
        return f"{line.speaker} {line.frames[0]['type']}"
    return f"{line.speaker} {'post' if line.post else 'close'}"
