"""One task: what was asked, where it stands, and what must be true of it.

Owns the values `Spec`, `Task` and their parts, and `check_task`, the invariants of one task.
Never changes one: `lifecycle.py` does. All `*_ms` here are monotonic core time unless the name says `wall`.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Raw, Struct

from protocol.frames import StopProof
from protocol.ids import AgentId, Generation, InstanceId, RequestId, TaskId

# msgspec (seen with 0.22) reads `Raw | None` as null and nothing else. To it such a member is `Raw`, and
# absent when it is None (`omit_defaults`): a ring file of turns gives back null as null, and None as None.
if TYPE_CHECKING:
    OptionalRaw = Raw | None
else:
    OptionalRaw = Raw


class State(StrEnum):
    QUEUED = "queued"
    ASSIGNED = "assigned"
    RUNNING = "running"
    INPUT_REQUIRED = "input_required"
    RECOVERING = "recovering"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD_LETTER = "dead_letter"

    @property
    def is_final(self) -> bool:
        return self in FINAL

    @property
    def is_held(self) -> bool:
        return self in HELD


FINAL: Final = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.DEAD_LETTER})
HELD: Final = frozenset(
    {State.ASSIGNED, State.RUNNING, State.INPUT_REQUIRED, State.RECOVERING, State.CANCELLING}
)


class Priority(IntEnum):
    """Lower is served first; the wire uses the word."""

    URGENT = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3

    @property
    def word(self) -> str:
        return self.name.lower()


class Fault(StrEnum):
    """Whose fault an ending was."""

    WORK = "work"
    INFRASTRUCTURE = "infrastructure"
    POLICY = "policy"
    PERSON = "person"
    TIME = "time"


class TimerKind(StrEnum):
    """The one running timer of a held task."""

    ACCEPT = "accept"
    LEASE = "lease"
    GRACE = "grace"
    CANCEL = "cancel"
    INPUT = "input"


class Now(Struct, frozen=True):
    """The time as the core is told it: `ms` is monotonic and decides; `wall_ms` is for people and for the
    disk.
    """

    ms: int
    wall_ms: int


class Timer(Struct, frozen=True):
    kind: TimerKind
    due_ms: int


V1_INSTANCE_PREFIX: Final = "v1:"
"""A v1 client has no journal: its instance is this and its token's id."""


class Holder(Struct, frozen=True):
    """Who has a task in hand: the name, and the journal behind it."""

    agent_id: AgentId
    instance_id: InstanceId

    @property
    def is_v1(self) -> bool:
        return self.instance_id.startswith(V1_INSTANCE_PREFIX)


class Ending(Struct, frozen=True, kw_only=True):
    """How a task ended, as data: people, checkers and bills read it."""

    how: str
    whose_fault: Fault | None = None
    tokens_wasted: int = 0
    proof: StopProof | None = None
    stopped: str | None = None
    """For a cancelled task the `how` of its `task_stopped`, or `unproven`."""


class Question(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run asked a person, and the answer once there is one."""

    request_id: RequestId
    prompt: str
    schema: OptionalRaw = None
    answer: OptionalRaw = None
    answered_by: str | None = None
    is_acked: bool = False


class StepKept(Struct, frozen=True, kw_only=True):
    index: int
    output: Raw


class Usage(Struct, frozen=True, kw_only=True):
    tokens_in: int = 0
    tokens_out: int = 0
    model: str | None = None
    cost: float | None = None


Origin = Literal["api", "stream", "schedule", "webhook"]
"""Who asked for a run."""

Route = Literal["fleet", "streams"]
"""Who does it: agents of this hub, or workers that only speak Redis Streams."""


class RunSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What makes a task the run of a plugin for a user (`runs.py`). Its settings are the task's inputs."""

    plugin_run_id: str
    user_id: int
    plugin_id: str | int = ""
    """As the caller named the plugin, in words or by a number; the plugin's name is the task's."""
    origin: Origin = "api"
    route: Route = "fleet"
    digest: str = ""
    """Of user, plugin and settings: who asks the same again may get this run."""


Jitter = Literal["half", "full"]
"""How much of a pause is left to the die: its upper half, or all of it."""


class Backoff(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long a task waits before it is tried again: first, then twice as long each time, at most max."""

    first_ms: int
    max_ms: int
    jitter: Jitter = "half"


class Rate(Struct, frozen=True, kw_only=True):
    """At most `count` tasks of a key begin within any `per_ms`."""

    count: int
    per_ms: int


class Spec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the submitter asked for. Never changes after the push; a retry by hand copies it."""

    description: str = ""
    metadata: Raw = Raw(b"{}")
    plugin: str | None = None
    inputs: OptionalRaw = None
    labels: dict[str, str] = {}
    priority: Priority = Priority.NORMAL
    assign_to: AgentId | None = None
    needed_capabilities: tuple[str, ...] = ()
    needed_labels: dict[str, str] = {}
    """Labels that the agent must carry."""
    preferred_labels: dict[str, str] = {}
    """Labels by which fitting agents are ordered; the more the better."""
    slot: str = ""
    """The kind of slot that it takes; the nameless kind is every agent's ordinary one."""
    sticky_key: str | None = None
    """Tasks of one such key go to the agent that had the last of them, while that has a seat."""
    concurrency_key: str | None = None
    limit: int | None = None
    """How many tasks of its concurrency key may be held when it begins, itself included."""
    rate: Rate | None = None
    """How often tasks of its concurrency key may begin."""
    unique_key: str | None = None
    """No two open tasks have the same."""
    depends_on: tuple[TaskId, ...] = ()
    """Tasks that must have completed before this one begins."""
    attempts_max: int = 3
    backoff: Backoff | None = None
    timeout_ms: int | None = None
    """Start-to-close; None means the policy's default."""
    accept_ms: int | None = None
    lease_ms: int | None = None
    progress_ms: int | None = None
    """How long its run may say nothing (progress, log, usage) before it is called back; None: for ever."""
    start_by_wall_ms: int | None = None
    run_at_wall_ms: int | None = None
    stream_id: str | None = None
    """The channel on which somebody waits for progress and the end, who knows nothing else of the task."""
    idempotency_key: str | None = None
    fingerprint: str = ""
    """Digest of the request body: the same key with another one is refused."""
    trace: str | None = None
    submitted_by: str = ""
    submitted_wall_ms: int = 0
    retry_of: TaskId | None = None
    run: RunSpec | None = None


class Task(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One task on the board or in the ledger."""

    task_id: TaskId
    spec: Spec
    state: State = State.QUEUED
    version: int = 0
    """Raised by every saved change; the ledger compares it before it writes (compare-and-set)."""
    created_wall_ms: int = 0
    updated_wall_ms: int = 0

    generation: Generation = Generation(0)
    attempt: int = 0
    strikes: int = 0
    unaccepted: int = 0
    """Generations in a row that nobody accepted."""
    resends: int = 0
    """How often this generation's assign was sent again (T12)."""
    is_accepted: bool = False
    """Whether this generation was ever accepted."""
    started_wall_ms: int | None = None
    """When any generation was first known to be at work; a later attempt does not take that back."""
    holder: Holder | None = None
    last_holder: Holder | None = None
    timer: Timer | None = None
    run_due_ms: int | None = None
    """When this generation's run is over at the latest (start-to-close)."""
    """While a person is asked: when the wait for the answer is over."""
    run_left_ms: int | None = None
    """What was left of the run when a person was asked: the clock of a run stops then (T8)."""
    not_before_ms: int = 0
    start_by_ms: int | None = None
    progress_due_ms: int | None = None
    """When its run must have said something again. In memory only: a run that is resumed begins anew."""
    waits_for: tuple[TaskId, ...] = ()
    """Of the tasks it depends on, those that have not completed."""
    recovering_from: State | None = None

    question: Question | None = None
    """The last thing that was asked. When the run that asked is over and nobody has answered, it stays: the
    answer can still be given, and the next attempt that asks the same has it at once.
    """
    answers: tuple[Question, ...] = ()
    """Answered, oldest first, one for each question: they ride in every later assign."""
    done: tuple[StepKept, ...] = ()
    cancel_reason: str | None = None
    cancelled_by: str | None = None

    result: OptionalRaw = None
    error: str | None = None
    ending: Ending | None = None
    progress: float | None = None
    message: str | None = None
    usage: Usage | None = None
    """Of this generation; cumulative."""
    tokens_wasted: int = 0
    """Of earlier generations, which came to nothing."""

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def is_held(self) -> bool:
        return self.state in HELD

    @property
    def is_asking(self) -> bool:
        """Whether its run waits for a person now, in reach or not. An open question alone does not say so."""
        return self.question is not None and self.run_left_ms is not None


def is_begun(task: Task) -> bool:
    """Whether its work is known to have begun, by an acceptance or by what came of it."""
    return task.is_accepted or task.attempt > 0 or task.state is State.COMPLETED


def check_task(task: Task) -> None:
    """What only a bug of ours could break; asserted on every change, in production too (reliability §3.5)."""
    assert (task.holder is not None) == task.is_held, f"{task.task_id}: {task.state} and holder {task.holder}"
    assert not task.is_held or task.timer is not None, f"{task.task_id}: held without a timer"
    assert not task.is_final or task.timer is None, f"{task.task_id}: final with a timer"
    assert not task.is_final or task.ending is not None, f"{task.task_id}: final without an ending"
    assert task.state is not State.QUEUED or task.timer is None, f"{task.task_id}: queued with a lease"
    assert 0 <= task.attempt <= task.spec.attempts_max, f"{task.task_id}: attempt {task.attempt}"
    assert task.attempt <= task.generation, f"{task.task_id}: more attempts than generations"
    assert task.state is not State.CANCELLING or task.cancel_reason is not None
    assert not task.is_final or task.question is None, f"{task.task_id}: final with an open question"
    assert task.is_asking or task.state is not State.INPUT_REQUIRED, f"{task.task_id}: asks nothing"
    is_unsent = task.question is not None and task.question.answer is not None and not task.is_asking
    assert not is_unsent or task.state is State.CANCELLING, (
        f"{task.task_id}: an answer that nobody will be told"
    )
    assert not task.waits_for or task.state is State.QUEUED, f"{task.task_id}: {task.state} and waits"
    waits = task.state in (State.INPUT_REQUIRED, State.RECOVERING)
    assert waits or task.run_left_ms is None, f"{task.task_id}: {task.state} and asking"
