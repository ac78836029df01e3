"""One turn of the loop, without the loop: letters in, one batch out, and what may be told once it is durable.

Owns the composition of answers and the sorting out of a commit that was refused in part. The dispatcher and
the simulation both run it, so that what is simulated is what is shipped. Never waits for the commit:
`settle` is called with its outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from hub.core.board import Board
from hub.core.effects import (
    AgentSaved,
    Answer,
    Change,
    Effect,
    EpochRenewed,
    Granted,
    InstanceSaved,
    MarkMoved,
    Refusal,
    Reply,
    TaskSaved,
    Tell,
)
from hub.core.events import BadFactHeard, Event, FrameHeard
from hub.core.task import Now, Task
from protocol.frames import Fact, Identified
from protocol.ids import AgentId, InstanceId, Seq, TaskId

Refused = frozenset[TaskId]
NOBODY: Refused = frozenset()


class LetterBroke(Exception):
    """The board has failed on a letter: a bug of ours. Nothing of this turn may be written or told."""

    def __init__(self, letter: Event, bug: Exception) -> None:
        super().__init__(f"{type(letter).__name__}: {type(bug).__name__}: {bug}")
        self.letter = letter


class Settled(Struct, frozen=True):
    """What follows from a commit: replies by the place of their letter, effects in order, and letters to ask
    again.
    """

    replies: tuple[tuple[int, Reply], ...] = ()
    effects: tuple[Effect, ...] = ()
    again: tuple[int, ...] = ()


class Turn:
    """Ask the board about each letter, fill the seats, and hold everything back until the batch is
    durable.
    """

    def __init__(self, board: Board, letters: Sequence[Event], now: Now, rolls: Iterable[float]) -> None:
        """One roll for each letter and one for the match at the end."""
        self._board = board
        self.now = now
        self._epoch, self._generation_floor = board.epoch, board.generation_floor
        self._letters = letters
        dice = iter(rolls)
        self.answers: list[Answer] = [self._ask(letter, next(dice)) for letter in letters]
        self.seating = board.match(now, next(dice))
        self.changes: tuple[Change, ...] = tuple(coalesced(self._all_changes()))

    def _ask(self, letter: Event, roll: float) -> Answer:
        try:
            return self._board.handle(letter, self.now, roll)
        except Exception as bug:
            raise LetterBroke(letter, bug) from bug

    @property
    def touched(self) -> Refused:
        """Every task that this turn changes."""
        return frozenset(change.task.task_id for change in self.changes if isinstance(change, TaskSaved))

    def _all_changes(self) -> Iterator[Change]:
        for answer in self.answers:
            yield from answer.changes
        yield from self.seating.changes

    def settle(self, refused: Refused = NOBODY, found: Iterable[Task] = ()) -> Settled:
        """The commit is through. What belongs to refused tasks was not written: it is not told, but asked
        again.
        """
        if not refused:
            self._board.settle()
            return self._settled(())
        again, marks = self._unwritten(refused)
        self._board.reload(refused, found, self.now, marks)
        self._board.settle(refused)
        return self._settled(again, refused)

    def abandon(self, found: Iterable[Task] = ()) -> Settled:
        """Nothing was written, and nothing will be: every letter must be asked again. `found` are the
        touched rows.
        """
        marks: dict[InstanceId, Seq] = {}
        for change in self.changes:
            if isinstance(change, MarkMoved):
                marks.setdefault(change.instance_id, Seq(change.seq - 1))
        self._board.reload(self.touched, found, self.now, marks)
        self._board.forget_pauses()
        self._board.settle(self.touched)
        if any(isinstance(change, EpochRenewed) for change in self.changes):
            self._board.forget_renewal(self._epoch, self._generation_floor)
        return Settled(again=tuple(range(len(self.answers))))

    def _unwritten(self, refused: Refused) -> tuple[frozenset[int], dict[InstanceId, Seq]]:
        """Letters that touched a refused task, or came after such a one from the same instance; and the
        marks that hold.
        """
        again: set[int] = set()
        marks: dict[InstanceId, Seq] = {}
        for number, (letter, answer) in enumerate(zip(self._letters, self.answers, strict=True)):
            if touches(answer, refused) or any(one in marks for one in instances_of(letter, answer)):
                again.add(number)
            for change in answer.changes:
                if isinstance(change, MarkMoved) and change.task_id in refused:
                    marks.setdefault(change.instance_id, Seq(change.seq - 1))
        return frozenset(again), marks

    def _settled(self, again: Iterable[int], refused: Refused = NOBODY) -> Settled:
        skipped = frozenset(again)
        told = [(number, answer) for number, answer in enumerate(self.answers) if number not in skipped]
        effects = [effect for _, answer in told for effect in answer.effects]
        effects += [effect for effect in self.seating.effects if not is_about(effect, refused)]
        # A link whose `identified` waits hears nothing before it: what it was given is sent again then.
        unwelcome = frozenset(link_id for number in skipped for link_id in welcomed(self.answers[number]))
        return Settled(
            replies=tuple((number, self._seen_now(answer.reply)) for number, answer in told),
            effects=tuple(one for one in effects if not (isinstance(one, Tell) and one.link_id in unwelcome)),
            again=tuple(sorted(skipped)),
        )

    def _seen_now(self, reply: Reply) -> Reply:
        """A task that was pushed and seated in the same turn is answered as assigned."""
        if not isinstance(reply, Granted) or reply.task is None:
            return reply
        task = self._board.view_task(reply.task.task_id)
        return reply if task is None else replace(reply, task=task)


def welcomed(answer: Answer) -> Iterator[int]:
    """The links that this answer tells that they are in."""
    for effect in answer.effects:
        if isinstance(effect, Tell) and isinstance(effect.frame, Identified):
            yield effect.link_id


def instances_of(letter: Event, answer: Answer) -> Iterator[InstanceId]:
    """Whose mark this answer moves, or tells: neither an `identified` nor the receipt of a repeated fact may
    speak of facts that were not written.
    """
    is_fact = isinstance(letter, FrameHeard) and isinstance(letter.frame, Fact)
    if is_fact or isinstance(letter, BadFactHeard):
        assert isinstance(letter, FrameHeard | BadFactHeard), "a fact has a sender"
        yield letter.sender.instance_id
    for change in answer.changes:
        if isinstance(change, MarkMoved):
            yield change.instance_id
        elif isinstance(change, InstanceSaved):
            yield change.instance.instance_id


def touches(answer: Answer, refused: Refused) -> bool:
    """Whether it changes a refused task, tells of it, or answers with it (the second push of one key, or one
    that it stands in the way of).
    """
    if any(task_id in refused for task_id in answered_with(answer.reply)):
        return True
    saved = any(isinstance(change, TaskSaved) and change.task.task_id in refused for change in answer.changes)
    return saved or any(is_about(effect, refused) for effect in answer.effects)


def answered_with(reply: Reply) -> Iterator[TaskId]:
    """The task that a reply names."""
    if isinstance(reply, Granted) and reply.task is not None:
        yield reply.task.task_id
    elif isinstance(reply, Refusal) and reply.task_id is not None:
        yield reply.task_id


def is_about(effect: Effect, refused: Refused) -> bool:
    return isinstance(effect, Tell) and effect.about is not None and effect.about in refused


def coalesced(changes: Iterable[Change]) -> Iterator[Change]:
    """One write a row: the last value of a task with the first expectation, the last record of an agent."""
    order: list[Change | None] = []
    tasks: dict[TaskId, int] = {}
    agents: dict[AgentId, int] = {}
    for change in changes:
        if isinstance(change, TaskSaved):
            place = tasks.setdefault(change.task.task_id, len(order))
            if place < len(order):
                first = order[place]
                assert isinstance(first, TaskSaved)
                order[place] = TaskSaved(change.task, first.expected_version)
                continue
        elif isinstance(change, AgentSaved):
            place = agents.setdefault(change.agent.agent_id, len(order))
            if place < len(order):
                order[place] = change
                continue
        order.append(change)
    return (change for change in order if change is not None)
