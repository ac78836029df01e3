"""The scheduler and its explanations, held against a slow and simple second opinion."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.effects import Reply
from hub.core.events import (
    AgentDrainRequested,
    AgentIdentified,
    AgentPaused,
    AgentUnpaused,
    Event,
    TaskSubmitted,
)
from hub.core.policy import Policy
from hub.core.task import Priority, Rate, Spec
from protocol.frames import Heartbeat, Resting
from protocol.ids import AgentId, Seq, TaskId
from tests.core.oracle import Oracle, is_within_rate
from tests.core.peer import Peer
from tests.core.stage import Stage

WORDS = st.sets(st.sampled_from("xyz"), max_size=2).map(lambda found: tuple(sorted(found)))
LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), max_size=2)

Agents = st.lists(
    st.fixed_dictionaries(
        {
            "slots": st.integers(1, 2),
            "slot_kinds": st.sampled_from(({}, {}, {"gpu": 1}, {"gpu": 2, "big": 1})),
            "capabilities": WORDS,
            "labels": LABELS,
            "plugins": st.sets(st.sampled_from("pq"), max_size=1).map(tuple),
            "resting": st.sampled_from((None, None, None, Resting(reason="quiet hours"))),
        }
    ),
    max_size=4,
)
Terms = st.sampled_from(
    (
        {},
        {},
        {"concurrency_key": "k"},
        {"concurrency_key": "k", "limit": 1},
        {"concurrency_key": "k", "limit": 3},
        {"concurrency_key": "l", "limit": 1},
        {"concurrency_key": "r", "rate": Rate(count=2, per_ms=3_000)},
        {"concurrency_key": "r", "rate": Rate(count=1, per_ms=1_500), "limit": 2},
    )
)
Wishes = st.fixed_dictionaries(
    {
        "priority": st.sampled_from(Priority),
        "submitted_by": st.sampled_from(("ann", "bob")),
        "needed_capabilities": WORDS,
        "needed_labels": st.one_of(st.just({}), LABELS),
        "preferred_labels": LABELS,
        "slot": st.sampled_from(("", "", "", "gpu", "big")),
        "sticky_key": st.sampled_from((None, "s")),
        "plugin": st.sampled_from((None, None, "p", "q")),
        "assign_to": st.sampled_from((None, None, None, AgentId("agent-0"), AgentId("agent-9"))),
        "terms": Terms,
        "wait_ms": st.sampled_from((None, None, None, 2_000)),
        "after": st.sampled_from((None, None, None, 0, 1)),
    }
)
Deeds = st.lists(
    st.tuples(st.sampled_from("rrcccfdpuzwwwkgmq"), st.integers(0, 3), Wishes), min_size=4, max_size=24
)


class Watched(Stage):
    """A stage with somebody who looks on."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.oracle = Oracle(self)

    def turn(self, *letters: Event, roll: float = 0.5) -> list[Reply]:
        replies = super().turn(*letters, roll=roll)
        self.oracle.watch()
        return replies


class Play:
    """One random evening on the stage, judged after every turn."""

    def __init__(self, cards: list[dict[str, Any]]) -> None:
        self.stage = Watched(Policy(accept_timeouts_max=2, accept_ms=4_000, ageing_ms=2_500, crashes_max=2))
        self.oracle = self.stage.oracle
        self.cards = cards
        self.peers = [self.stage.joined(f"agent-{n}", **card) for n, card in enumerate(cards)]
        self.tasks: list[TaskId] = []

    def submit(self, spec: dict[str, Any]) -> None:
        """A random task; perhaps later, perhaps after another."""
        members = {name: value for name, value in spec.items() if name not in ("terms", "wait_ms", "after")}
        if spec["wait_ms"] is not None:
            members["run_at_wall_ms"] = self.stage.now.wall_ms + spec["wait_ms"]
        if spec["after"] is not None and spec["after"] < len(self.tasks):
            members["depends_on"] = (self.tasks[-1 - spec["after"]],)
        self.tasks.append(self.stage.submit(**members, **spec["terms"]))

    def do(self, deed: str, number: int, spec: dict[str, Any]) -> None:
        if deed == "w":
            self.stage.wait(700 * (number + 1))
        elif deed == "q":
            self.stage.wait(4_000)
        elif deed in "mk":
            self.submit(spec)
        elif number < len(self.peers):
            self.of_peer(self.peers[number], deed, self.cards[number])
        self.look()

    def of_peer(self, peer: Peer, deed: str, card: dict[str, Any]) -> None:
        """Come back, pause, drop, rest, drain; or say something of what it holds."""
        stage = self.stage
        if deed == "u":
            if not peer.is_up:
                peer.identify(**(card | {"resting": None}))
            stage.tell(AgentUnpaused(agent_id=peer.agent_id, by="x"))
        elif not peer.is_up:
            return
        elif deed == "d":
            peer.drop()
        elif deed == "p":
            stage.tell(AgentPaused(agent_id=peer.agent_id, by="x"))
        elif deed == "g":
            stage.tell(AgentDrainRequested(agent_id=peer.agent_id, by="x"))
        elif deed == "z":
            peer.says(Heartbeat(as_of_seq=Seq(0), resting=Resting(reason="noise"), tasks=self.held(peer)))
        else:
            self.of_work(peer, deed)

    def held(self, peer: Peer) -> Any:
        seats = {seat.agent_id: seat for seat in self.stage.board.view_agents(self.stage.now)}
        return tuple(peer.runs(task_id) for task_id in seats[peer.agent_id].running_tasks)

    def of_work(self, peer: Peer, deed: str) -> None:
        mine = self.held(peer)
        if not mine:
            peer.says(Heartbeat(as_of_seq=Seq(0)))
        elif deed == "r":
            peer.reject(mine[0].task_id)
        elif deed == "f":
            peer.fail(mine[0].task_id, fault="infrastructure")
        else:
            peer.accept(mine[0].task_id)
            self.look()
            peer.complete(mine[0].task_id)

    def look(self) -> None:
        """What is due at once comes first: the board has said so."""
        for _ in range(100):
            due_ms = self.stage.board.next_deadline()
            if due_ms is None or due_ms > self.stage.now_ms:
                break
            self.stage.wait(0)
        else:
            raise AssertionError("there is always something to be done at once")
        self.oracle.judge()


@settings(max_examples=150, deadline=None)
@given(agents=Agents, specs=st.lists(Wishes, max_size=8), deeds=Deeds)
def test_the_scheduler_and_explain_agree_with_a_second_opinion(
    agents: list[dict[str, Any]],
    specs: list[dict[str, Any]],
    deeds: list[tuple[str, int, dict[str, Any]]],
) -> None:
    """L25, L17: after every turn nobody idles who could be given something, every waiting task has a rule
    against each agent, limits, rates and slots hold, every idle agent is explained truly, and nothing is left
    to be done at once.
    """
    play = Play(agents)
    for spec in specs:
        play.submit(spec)
        play.look()
    for deed, number, spec in deeds:
        play.do(deed, number, spec)
    for key, rate in (("r", Rate(count=2, per_ms=3_000)),):
        assert is_within_rate(play.oracle.begun.get(key, []), rate.count, rate.per_ms)


Rush = st.lists(
    st.fixed_dictionaries(
        {
            "priority": st.sampled_from(Priority),
            "needed_capabilities": st.sampled_from(((), ("x",), ("y",))),
            "terms": st.sampled_from(({}, {}, {"concurrency_key": "k", "limit": 1})),
        }
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(rush=Rush, slots=st.lists(st.integers(1, 3), min_size=1, max_size=2), is_first=st.booleans())
def test_in_a_rush_the_more_urgent_comes_first(
    rush: list[dict[str, Any]], slots: list[int], is_first: bool
) -> None:
    """All at once, agents and tasks in one turn; then one seat after the other is free again."""
    stage = Watched(Policy())
    peers = [stage.peer(f"agent-{number}") for number in range(len(slots))]
    letters: list[Event] = []
    for peer, number in zip(peers, slots, strict=True):
        peer.link_id, peer.is_up = stage.new_link(peer), True
        card: dict[str, Any] = {"slots": number, "capabilities": ("x", "y") if number > 1 else ("x",)}
        letters.append(AgentIdentified(sender=peer.sender, name=peer.agent_id, holding=(), **card))
    for one in rush:
        members = {name: value for name, value in one.items() if name != "terms"}
        letters.append(TaskSubmitted(task_id=stage.new_id(), spec=Spec(**members, **one["terms"])))
    stage.turn(*(letters if is_first else reversed(letters)))
    for _ in range(3 * len(rush)):
        for peer in peers:
            seats = {seat.agent_id: seat for seat in stage.board.view_agents(stage.now)}
            for task_id in seats[peer.agent_id].running_tasks[:1]:
                peer.accept(task_id)
                peer.complete(task_id)
    stage.oracle.judge()
