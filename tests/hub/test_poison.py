"""A bug of ours on one fact ends the hub, but not for ever: the next hub refuses that fact and takes the
others.
"""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from hub.core.board import Board
from hub.core.effects import Answer
from hub.core.events import BadFactHeard, Event, FrameHeard, TimePassed
from hub.core.task import Now
from hub.core.turn import LetterBroke
from hub.poison import POISONED_MAX, Poison, Poisoned
from protocol.frames import Heartbeat, TaskComplete
from protocol.ids import Generation, Seq, TaskId
from tests.hub.test_dispatcher import SENDER, Loop, identified
from tests.waiting import until


class BoardWithABug(Board):
    """Breaks on every completion, as an assertion of ours would."""

    def handle(self, event: Event, now: Now, roll: float) -> Answer:
        is_completion = isinstance(event, FrameHeard) and isinstance(event.frame, TaskComplete)
        assert not is_completion, "a bug of ours"
        return super().handle(event, now, roll)


def completion(seq: int) -> FrameHeard:
    frame = TaskComplete(task_id=TaskId("task-1"), generation=Generation(1), seq=Seq(seq))
    return FrameHeard(sender=SENDER, frame=frame)


async def test_a_fact_that_broke_the_hub_is_refused_by_the_next_one(tmp_path: Path) -> None:
    file = tmp_path / "poison.jsonl"
    broken = Loop(poison=Poison(file), board=BoardWithABug)
    with pytest.raises(ExceptionGroup) as ended:
        async with asyncio.TaskGroup() as group:
            group.create_task(broken.dispatcher.run())
            await broken.dispatcher.ask(identified())
            broken.dispatcher.post([completion(1)])
            await until(lambda: broken.dispatcher.is_closing, "the hub ends")
    assert ended.group_contains(LetterBroke, match="a bug of ours")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    again = Loop(poison=Poison(file), board=BoardWithABug)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(again.dispatcher.run())
        await again.dispatcher.ask(identified())
        again.dispatcher.post([completion(1)])
        await until(lambda: again.board.mark_of(SENDER.instance_id) == 1, "the fact is receipted")
        run.cancel()


def test_only_the_poisoned_fact_is_defused(tmp_path: Path) -> None:
    file = tmp_path / "poison.jsonl"
    poison = Poison(file)
    poison.note(completion(7), "it broke")
    poison.note(TimePassed(), "time is no fact")
    poison.note(FrameHeard(sender=SENDER, frame=Heartbeat(as_of_seq=Seq(0))), "talk is no fact")
    known = Poison(file)
    assert len(known) == 1
    assert isinstance(known.defused(completion(7)), BadFactHeard)
    assert known.defused(completion(8)) == completion(8)
    assert known.defused(TimePassed()) == TimePassed()


def test_a_torn_line_and_too_many_lines_do_no_harm(tmp_path: Path) -> None:
    import msgspec

    file = tmp_path / "poison.jsonl"
    lines = [
        msgspec.json.encode(Poisoned(SENDER.instance_id, Seq(n), "it broke"))
        for n in range(1, POISONED_MAX + 3)
    ]
    file.write_bytes(b"\n".join(lines) + b'\n{"instance_id": "i", "se')
    poison = Poison(file)
    assert len(poison) == POISONED_MAX
    assert poison.defused(completion(1)) == completion(1)
    assert isinstance(poison.defused(completion(POISONED_MAX + 2)), BadFactHeard)
