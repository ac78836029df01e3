"""Every member of a task, through every ledger and a restart (`ports.Ledger`)."""

from __future__ import annotations

from msgspec import Raw
from msgspec.structs import replace

from hub.core.task import (
    Backoff,
    Ending,
    Fault,
    Holder,
    Priority,
    Question,
    Rate,
    RunSpec,
    Spec,
    State,
    StepKept,
    Task,
    Timer,
    TimerKind,
    Usage,
)
from protocol.frames import StopProof
from protocol.ids import AgentId, Generation, InstanceId, RequestId, TaskId
from tests.contracts.ledgers import Subject
from tests.store.workload import (
    ADA,
    NOW,
    batch,
    saved,
)

BOB = Holder(AgentId("bob"), InstanceId("bob-journal"))


def full_spec() -> Spec:
    return Spec(
        description='größer, and "quoted"\n\t\\ ',
        metadata=Raw(b'{"a": [1, 2.50, null],  "b":"\\u00fc"}'),
        plugin="digest",
        inputs=Raw(b"null"),
        labels={"gpu": "yes"},
        priority=Priority.URGENT,
        assign_to=AgentId("ada"),
        needed_capabilities=("web", "code"),
        needed_labels={"site": "north"},
        preferred_labels={"disk": "fast"},
        slot="gpu",
        sticky_key="book-1",
        concurrency_key="mail.example",
        limit=3,
        rate=Rate(count=10, per_ms=60_000),
        unique_key="report-1",
        depends_on=(TaskId("task-0"), TaskId("task-00")),
        attempts_max=5,
        backoff=Backoff(first_ms=100, max_ms=2_000, jitter="full"),
        timeout_ms=1_000,
        accept_ms=2_500,
        lease_ms=40_000,
        progress_ms=9_000,
        start_by_wall_ms=NOW.wall_ms + 9,
        run_at_wall_ms=NOW.wall_ms + 3,
        stream_id="stream-1",
        idempotency_key="key-1",
        fingerprint="abc",
        trace="00-trace",
        submitted_by="tok-1",
        submitted_wall_ms=NOW.wall_ms,
        retry_of=TaskId("task-0"),
        run=RunSpec(
            plugin_run_id="run-1",
            user_id=2**64 - 1,
            plugin_id="7",
            origin="stream",
            route="streams",
            digest="abc",
        ),
    )


def full_task() -> Task:
    """A task with every member set, so that one forgotten anywhere is seen (L56)."""
    question = Question(
        request_id=RequestId("task-1/1"),
        prompt="May I?",
        schema=Raw(b'{"type":"boolean"}'),
        answer=Raw(b"null"),
        answered_by="eve",
        is_acked=True,
    )
    return Task(
        task_id=TaskId("task-1"),
        spec=full_spec(),
        state=State.RECOVERING,
        version=7,
        created_wall_ms=NOW.wall_ms,
        updated_wall_ms=NOW.wall_ms + 1,
        generation=Generation(4),
        attempt=2,
        strikes=1,
        unaccepted=3,
        resends=2,
        is_accepted=True,
        started_wall_ms=NOW.wall_ms + 2,
        holder=ADA,
        last_holder=BOB,
        timer=Timer(TimerKind.GRACE, NOW.ms + 120_000),
        run_due_ms=NOW.ms + 3_600_000,
        run_left_ms=55,
        not_before_ms=NOW.ms - 10,
        start_by_ms=NOW.ms + 9,
        waits_for=(TaskId("task-00"),),
        recovering_from=State.RUNNING,
        question=question,
        answers=(question, replace(question, schema=None, answer=None)),
        done=(StepKept(index=0, output=Raw(b'{"step":0}')), StepKept(index=1, output=Raw(b"null"))),
        cancel_reason="enough",
        cancelled_by="eve",
        result=Raw(b"null"),
        error="it broke",
        ending=Ending(
            how="failed",
            whose_fault=Fault.WORK,
            tokens_wasted=12,
            proof=StopProof(signals=("TERM",), reaped=2, survivors=0),
            stopped="terminated",
        ),
        progress=12.5,
        message="half way",
        usage=Usage(tokens_in=1, tokens_out=2, model="m", cost=0.5),
        tokens_wasted=99,
    )


IN_MEMORY = {"progress_due_ms"}
"""A run that is resumed begins anew."""


def test_the_full_task_leaves_no_member_at_its_default() -> None:
    bare = Task(task_id=TaskId("task-bare"), spec=Spec())
    for whole, empty in ((full_task(), bare), (full_task().spec, bare.spec)):
        names = [name for name in whole.__struct_fields__ if name not in IN_MEMORY]
        same = [name for name in names if getattr(whole, name) == getattr(empty, name)]
        assert not same, f"set these, or they may be lost unseen: {same}"


async def test_every_member_of_a_task_survives_a_restart(subject: Subject) -> None:
    """L56: nothing a submitter may set, and nothing that happened, is dropped on the way to the disk."""
    task = full_task()
    await subject.ledger.commit(batch(*saved(None, task)))
    await subject.restart()
    assert (await subject.ledger.load(NOW)).tasks == (task,)
