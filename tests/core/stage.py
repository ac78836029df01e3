"""A board on a stage: peers that speak, a clock turned by hand, and rows that must follow one another.

Owns the checks that hold after every turn: a row follows the one before it, no seat is given twice, and what
is told belongs to a live link. Never replaces a part of the core: board and turn are the shipped ones.
"""

from __future__ import annotations

from typing import Any

from hub.core.board import Board
from hub.core.dependencies import Outcome, outcome_of
from hub.core.effects import (
    AgentRecord,
    Effect,
    EventLogged,
    Granted,
    HangUp,
    Instance,
    MarkMoved,
    PassBy,
    RaiseAlert,
    Refusal,
    Reply,
    TaskSaved,
    Tell,
    TellOthers,
)
from hub.core.events import (
    CancelRequested,
    Event,
    TaskSubmitted,
    TimePassed,
)
from hub.core.policy import Policy
from hub.core.task import Now, Spec, State, Task
from hub.core.turn import Turn
from protocol.ids import AgentId, InstanceId, Seq, TaskId
from tests.core.peer import Peer

WALL_ZERO_MS = 1_800_000_000_000


def task_id_of(number: int) -> TaskId:
    return TaskId(f"task-{number:016x}")


class Stage:
    """One hub's board, its rows, and everybody who speaks with it."""

    def __init__(self, policy: Policy | None = None, **board: Any) -> None:
        self.policy = policy or Policy()
        self.now_ms = 1_000_000
        self.wall_skew_ms = 0
        self.rows: dict[TaskId, Task] = {}
        self.marks: dict[InstanceId, Seq] = {}
        self.log: list[EventLogged] = []
        self.changes: list[object] = []
        self.effects: list[Effect] = []
        self.peers: dict[int, Peer] = {}
        self._links = 0
        self._tasks = 0
        self.board = self.new_board(epoch="epoch-1", **board)

    def new_board(self, **board: Any) -> Board:
        return Board(self.policy, now=self.now, **board)

    @property
    def now(self) -> Now:
        return Now(self.now_ms, WALL_ZERO_MS + self.now_ms + self.wall_skew_ms)

    # --- turns ---------------------------------------------------------------------------------------------

    def turn(self, *letters: Event, roll: float = 0.5) -> list[Reply]:
        """One turn, committed in full."""
        for letter in letters:
            wants = self.board.wants(letter)
            rows = [
                row
                for row in self.rows.values()
                if row.task_id in wants.tasks or row.spec.idempotency_key in wants.keys
            ]
            self.board.learn(rows, [self.outcome(task_id) for task_id in sorted(wants.outcomes)])
        turn = Turn(self.board, letters, self.now, [roll] * (len(letters) + 1))
        self.record(turn)
        settled = turn.settle()
        assert not settled.again
        self.effects = list(settled.effects)
        for effect in settled.effects:
            self.perform(effect)
        return [reply for _, reply in settled.replies]

    def tell(self, letter: Event, *, roll: float = 0.5) -> Reply:
        return self.turn(letter, roll=roll)[0]

    def record(self, turn: Turn) -> None:
        """What a ledger does: rows by compare-and-set, marks that only rise by one."""
        self.changes = list(turn.changes)
        for change in turn.changes:
            if isinstance(change, TaskSaved):
                before = self.rows.get(change.task.task_id)
                assert (before.version if before is not None else 0) == change.expected_version
                assert before is None or not before.is_final, "terminal is for ever"
                self.rows[change.task.task_id] = change.task
            elif isinstance(change, EventLogged):
                self.log.append(change)
            elif isinstance(change, MarkMoved):
                self.marks[change.instance_id] = change.seq

    def perform(self, effect: Effect) -> None:
        match effect:
            case Tell(link_id, frame):
                self.peers[link_id].heard.append(frame)
            case TellOthers(link_id, frame):
                for peer in self.peers.values():
                    if peer.link_id != link_id and peer.is_up:
                        peer.heard.append(frame)
            case HangUp(link_id, code, reason):
                self.peers[link_id].closed = (int(code), reason)
            case _:
                pass

    def wait(self, ms: int, *, roll: float = 0.5) -> None:
        """Time goes on, and every deadline on the way is a letter."""
        end_ms = self.now_ms + ms
        while (due_ms := self.board.next_deadline()) is not None and due_ms <= end_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.turn(TimePassed(), roll=roll)
        self.now_ms = end_ms
        self.turn()

    def wait_until(self, state: State, task_id: TaskId) -> None:
        """Let time go on until a task is in a state."""
        for _ in range(1_000):
            if self.state(task_id) is state:
                return
            self.wait(500)
        raise AssertionError(f"{task_id} is {self.state(task_id)} and never {state}")

    # --- people and peers ----------------------------------------------------------------------------------

    def peer(self, name: str, *, instance: str | None = None, version: int = 2) -> Peer:
        """Somebody who could dial; not connected yet."""
        instance = instance or (f"{name}/1" if version > 1 else f"v1:{name}")
        return Peer(self, AgentId(name), InstanceId(instance), version)

    def joined(self, name: str, *, slots: int = 1, version: int = 2, **card: Any) -> Peer:
        peer = self.peer(name, version=version)
        peer.identify(slots=slots, **card)
        return peer

    def new_link(self, peer: Peer) -> int:
        self._links += 1
        self.peers[self._links] = peer
        return self._links

    def new_id(self) -> TaskId:
        self._tasks += 1
        return task_id_of(self._tasks)

    def submit(self, *, must_be_connected: bool = False, **spec: Any) -> TaskId:
        """A push that must be granted."""
        task_id = self.new_id()
        reply = self.tell(
            TaskSubmitted(
                task_id=task_id,
                spec=Spec(**spec),
                must_be_connected=must_be_connected,
            )
        )
        assert isinstance(reply, Granted), reply
        assert reply.task is not None
        return reply.task.task_id

    def refused(self, letter: Event) -> Refusal:
        reply = self.tell(letter)
        assert isinstance(reply, Refusal), reply
        return reply

    def granted(self, letter: Event) -> Granted:
        reply = self.tell(letter)
        assert isinstance(reply, Granted), reply
        return reply

    def cancel(self, task_id: TaskId) -> str:
        return self.granted(CancelRequested(task_id=task_id, by="a person")).note

    def task(self, task_id: TaskId) -> Task:
        """As it is now; what the board has forgotten, as it was written."""
        return self.board.view_task(task_id) or self.rows[task_id]

    def outcome(self, task_id: TaskId) -> Outcome:
        """As a ledger looks it up."""
        row = self.rows.get(task_id)
        return Outcome(task_id=task_id, state=None) if row is None else outcome_of(row)

    def state(self, task_id: TaskId) -> State:
        return self.task(task_id).state

    def events(self, task_id: TaskId) -> list[str]:
        return [line.event for line in self.log if line.task_id == task_id]

    def passed_by(self) -> list[str]:
        return [effect.event for effect in self.effects if isinstance(effect, PassBy)]

    def alerts(self) -> list[str]:
        return [effect.kind.value for effect in self.effects if isinstance(effect, RaiseAlert)]

    def restart(self, **board: Any) -> None:
        """A new life of the hub from its rows; every link is gone and nobody has been told."""
        records: dict[AgentId, AgentRecord] = {}
        instances: dict[InstanceId, Instance] = {}
        for peer in self.peers.values():
            records.setdefault(
                peer.agent_id, AgentRecord(agent_id=peer.agent_id, instance_id=peer.instance_id)
            )
            instances[peer.instance_id] = Instance(
                instance_id=peer.instance_id,
                agent_id=peer.agent_id,
                mark=self.marks.get(peer.instance_id, Seq(0)),
                boot_id="boot-1",
                connection=peer.connection,
            )
            peer.is_up = False
        self.board = self.new_board(
            **{
                "epoch": "epoch-1",
                "tasks": [row for row in self.rows.values() if not row.is_final],
                "agents": list(records.values()),
                "instances": list(instances.values()),
            }
            | board
        )


def working(stage: Stage, name: str = "a", **spec: Any) -> tuple[Peer, TaskId]:
    """An agent, and a task that it runs."""
    peer = stage.joined(name)
    task_id = stage.submit(**spec)
    peer.accept(task_id)
    assert stage.state(task_id) is State.RUNNING
    return peer, task_id
