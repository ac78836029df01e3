"""What every ledger must do, whether it is memory or a disk (`ports.Ledger`)."""

from __future__ import annotations

import pytest
from msgspec import Raw
from msgspec.structs import replace

from hub.core.effects import AgentRecord, AgentSaved, EpochRenewed, EventLogged, MarkMoved
from hub.core.task import (
    Holder,
    Now,
    Task,
    Timer,
    TimerKind,
)
from hub.ports import Committed, StorageBroken, StorageFull
from protocol.ids import AgentId, InstanceId, Seq, TaskId
from tests.contracts.ledgers import Subject
from tests.store.workload import (
    ADA,
    NOW,
    accepted,
    assigned,
    batch,
    completed,
    joined,
    pushed,
    saved,
)

BOB = Holder(AgentId("bob"), InstanceId("bob-journal"))


async def push(subject: Subject, *tasks: Task) -> Committed:
    changes = [change for task in tasks for change in saved(None, task, "task_queued")]
    return await subject.ledger.commit(batch(*changes))


async def read(subject: Subject, task_id: TaskId) -> Task | None:
    found = (await subject.ledger.find(frozenset({task_id}), frozenset())).tasks
    return found[0] if found else None


async def test_a_new_ledger_is_empty(subject: Subject) -> None:
    loaded = await subject.ledger.load(NOW)
    assert (loaded.tasks, loaded.instances, loaded.agents, loaded.last_offset) == ((), (), (), 0)
    assert loaded.epoch


async def test_a_commit_survives_a_restart(subject: Subject) -> None:
    await subject.ledger.commit(batch(joined(), AgentSaved(AgentRecord(agent_id=ADA.agent_id))))
    await push(subject, pushed(1), pushed(2))
    await subject.restart()
    loaded = await subject.ledger.load(NOW)
    assert [task.task_id for task in loaded.tasks] == [pushed(1).task_id, pushed(2).task_id]
    assert [instance.instance_id for instance in loaded.instances] == [ADA.instance_id]
    assert [agent.agent_id for agent in loaded.agents] == [ADA.agent_id]
    assert loaded.last_offset == 2


async def test_offsets_count_from_one_without_gap_in_the_order_of_commits(subject: Subject) -> None:
    first = await push(subject, pushed(1), pushed(2))
    second = await push(subject, pushed(3))
    assert [event.offset for event in (*first.events, *second.events)] == [1, 2, 3]
    assert [event.task_id for event in first.events] == [pushed(1).task_id, pushed(2).task_id]


async def test_a_save_that_expects_another_version_is_refused_alone(subject: Subject) -> None:
    await push(subject, pushed(1), pushed(2))
    late = replace(assigned(pushed(1)), version=9)
    changes = (
        *saved(replace(late, version=8), late, "task_assigned"),
        *saved(pushed(2), assigned(pushed(2)), "ok"),
    )
    committed = await subject.ledger.commit(batch(*changes))
    assert committed.refused == {late.task_id}
    assert [event.event for event in committed.events] == ["ok"]
    assert committed.found == (pushed(1),)
    assert await read(subject, late.task_id) == pushed(1)
    assert (await read(subject, pushed(2).task_id)) == assigned(pushed(2))


async def test_a_refused_save_leaves_no_hole_in_the_log(subject: Subject) -> None:
    await push(subject, pushed(1))
    again = await push(subject, pushed(1), pushed(2))
    assert again.refused == {pushed(1).task_id}
    assert [event.offset for event in again.events] == [2]
    assert [event.offset for event in (await push(subject, pushed(3))).events] == [3]


async def test_a_task_that_nobody_has_written_cannot_be_moved(subject: Subject) -> None:
    ghost = assigned(pushed(1))
    committed = await subject.ledger.commit(batch(*saved(pushed(1), ghost, "task_assigned")))
    assert committed == Committed(refused=frozenset({ghost.task_id}))


async def test_a_key_has_one_task(subject: Subject) -> None:
    """D2: the second push with a key is refused, in one batch and in two, and the first is what is found."""
    first, second, third = (pushed(n, idempotency_key="once") for n in (1, 2, 3))
    committed = await push(subject, first, second)
    assert committed.refused == {second.task_id}
    assert (await push(subject, third)).refused == {third.task_id}
    assert (await subject.ledger.find(frozenset(), frozenset({"once"}))).tasks == (first,)


async def test_a_unique_key_has_one_open_task(subject: Subject) -> None:
    """Refused alone like an idempotency key, in one batch and in two, and the holder is what is found."""
    first, second, third = (pushed(n, unique_key="report") for n in (1, 2, 3))
    committed = await push(subject, first, second, pushed(4))
    assert committed.refused == {second.task_id}
    assert committed.found == (first,)
    assert [event.task_id for event in committed.events] == [first.task_id, pushed(4).task_id]
    committed = await push(subject, third)
    assert committed.refused == {third.task_id}
    assert committed.found == (first,)
    await subject.restart()
    assert (await push(subject, third)).refused == {third.task_id}, "it is durable"


async def test_whoever_ends_lets_go_of_its_unique_key(subject: Subject) -> None:
    first, second, third = (pushed(n, unique_key="report") for n in (1, 2, 3))
    await push(subject, first)
    held = accepted(assigned(first))
    await subject.ledger.commit(batch(*saved(first, held)))
    assert (await push(subject, second)).refused == {second.task_id}, "held is not over"
    await subject.ledger.commit(batch(*saved(held, completed(held), "task_complete")))
    assert (await push(subject, second)).refused == frozenset()
    assert (await push(subject, third)).refused == {third.task_id}


async def test_a_unique_key_goes_over_within_a_batch(subject: Subject) -> None:
    """A turn that ends one task and takes the next with the same key, in whichever order it says so."""
    first, second = (pushed(n, unique_key="report") for n in (1, 2))
    await push(subject, first)
    held = accepted(assigned(first))
    await subject.ledger.commit(batch(*saved(first, held)))
    ended = saved(held, completed(held), "task_complete")
    committed = await subject.ledger.commit(batch(*saved(None, second, "task_queued"), *ended))
    assert committed.refused == frozenset()
    third = pushed(3, unique_key="report")
    again = await push(subject, third)
    assert again.refused == {third.task_id}
    assert again.found == (second,)


async def test_an_end_that_is_refused_lets_go_of_nothing(subject: Subject) -> None:
    first, second = (pushed(n, unique_key="report") for n in (1, 2))
    await push(subject, first)
    held = replace(accepted(assigned(first)), version=9)
    late = saved(held, completed(held), "task_complete")
    committed = await subject.ledger.commit(batch(*late, *saved(None, second)))
    assert committed.refused == {first.task_id, second.task_id}
    assert committed.found == (first,)


async def test_a_new_task_that_is_over_at_once_holds_no_unique_key(subject: Subject) -> None:
    first, second = (pushed(n, unique_key="report") for n in (1, 2))
    over = replace(completed(accepted(assigned(first))), version=1)
    assert (await push(subject, over, second)).refused == frozenset()


async def test_a_task_moves_through_its_life(subject: Subject) -> None:
    task = pushed(1)
    await push(subject, task)
    for move, event in (
        (assigned, "task_assigned"),
        (accepted, "task_accepted"),
        (completed, "task_complete"),
    ):
        before, task = task, move(task)
        assert not (await subject.ledger.commit(batch(*saved(before, task, event)))).refused
    assert await read(subject, task.task_id) == task
    await subject.restart()
    assert (await subject.ledger.load(NOW)).tasks == (), "what is final is not open"
    assert await read(subject, task.task_id) == task, "but it can be found"


async def test_several_moves_in_one_turn_are_one_save(subject: Subject) -> None:
    await push(subject, pushed(1))
    after = accepted(assigned(pushed(1)))
    committed = await subject.ledger.commit(batch(*saved(pushed(1), after, "task_accepted")))
    assert not committed.refused
    assert await read(subject, after.task_id) == after


async def test_a_final_task_is_never_written_again(subject: Subject) -> None:
    """D3: terminal is for ever, whatever a bug of ours expects."""
    done = replace(completed(accepted(assigned(pushed(1)))), version=1)
    await push(subject, done)
    revived = replace(pushed(1), version=2)
    committed = await subject.ledger.commit(batch(*saved(done, revived, "task_queued")))
    assert committed.refused == {done.task_id}
    assert await read(subject, done.task_id) == done


async def test_marks_rise_with_their_facts(subject: Subject) -> None:
    await subject.ledger.commit(batch(joined()))
    await push(subject, pushed(1))
    moves = (MarkMoved(ADA.instance_id, Seq(1), None), MarkMoved(ADA.instance_id, Seq(2), pushed(1).task_id))
    await subject.ledger.commit(batch(*moves))
    assert [instance.mark for instance in (await subject.ledger.load(NOW)).instances] == [2]


async def test_a_refused_task_holds_back_its_mark_and_all_later_ones(subject: Subject) -> None:
    """A fact without its effect must be sent again, and facts count in order."""
    await subject.ledger.commit(batch(joined(), joined("bob-journal", "bob")))
    await push(subject, pushed(1), pushed(2))
    late = replace(accepted(assigned(pushed(1))), version=9)
    changes = (
        MarkMoved(ADA.instance_id, Seq(1), pushed(2).task_id),
        *saved(replace(late, version=8), late, "task_accepted"),
        MarkMoved(ADA.instance_id, Seq(2), late.task_id),
        MarkMoved(ADA.instance_id, Seq(3), pushed(2).task_id),
        MarkMoved(BOB.instance_id, Seq(1), pushed(2).task_id),
    )
    await subject.ledger.commit(batch(*changes))
    marks = {instance.instance_id: instance.mark for instance in (await subject.ledger.load(NOW)).instances}
    assert marks == {ADA.instance_id: 1, BOB.instance_id: 1}


async def test_saving_an_instance_again_does_not_move_its_mark(subject: Subject) -> None:
    await subject.ledger.commit(batch(joined(), MarkMoved(ADA.instance_id, Seq(4), None)))
    await subject.ledger.commit(batch(joined(mark=9)))
    (instance,) = (await subject.ledger.load(NOW)).instances
    assert instance.mark == 4


async def test_an_instance_that_shows_lost_history_brings_its_mark(subject: Subject) -> None:
    """Contracts §1.3: mark = seq_next - 1, in a new epoch, generations above anything ever issued."""
    await subject.ledger.commit(batch(joined(), MarkMoved(ADA.instance_id, Seq(4), None)))
    renewed = EpochRenewed("epoch-2", "an old backup", 1_000_000)
    await subject.ledger.commit(batch(renewed, joined(mark=9)))
    await subject.restart()
    loaded = await subject.ledger.load(NOW)
    assert (loaded.epoch, loaded.generation_floor) == ("epoch-2", 1_000_000)
    assert [instance.mark for instance in loaded.instances] == [9]


async def test_an_agents_last_record_counts(subject: Subject) -> None:
    await subject.ledger.commit(batch(AgentSaved(AgentRecord(agent_id=ADA.agent_id, name="Ada"))))
    last = AgentRecord(
        agent_id=ADA.agent_id,
        name="Ada L.",
        capabilities=("web",),
        is_paused=True,
        instance_id=ADA.instance_id,
    )
    await subject.ledger.commit(batch(AgentSaved(last)))
    assert (await subject.ledger.load(NOW)).agents == (last,)


async def test_an_event_may_be_about_no_task(subject: Subject) -> None:
    line = EventLogged(event="agent_joined", agent_id=ADA.agent_id, timestamp=5, payload=Raw(b'{"x": 1}'))
    (event,) = (await subject.ledger.commit(batch(line))).events
    assert (event.event, event.task_id, event.agent_id, event.payload) == (
        "agent_joined",
        None,
        "ada",
        Raw(b'{"x": 1}'),
    )


async def test_deadlines_are_rebased_to_the_clock_of_the_next_life(subject: Subject) -> None:
    """Reliability §2.2: monotonic time begins anew with a process; what was left of a deadline is what
    counts.
    """
    await push(subject, pushed(1))
    held = replace(assigned(pushed(1)), run_due_ms=NOW.ms + 700, start_by_ms=NOW.ms + 800)
    await subject.ledger.commit(batch(*saved(pushed(1), held)))
    await subject.restart()
    later = Now(17, NOW.wall_ms + 4_000)
    (task,) = (await subject.ledger.load(later)).tasks
    assert task.timer == Timer(TimerKind.ACCEPT, 17 + 10_000 - 4_000)
    assert (task.run_due_ms, task.start_by_ms, task.not_before_ms) == (17 - 3_300, 17 - 3_200, 0)


async def test_a_full_disk_writes_nothing_and_can_be_tried_again(subject: Subject) -> None:
    await push(subject, pushed(1))
    subject.fill(is_full=True)
    with pytest.raises(StorageFull) as refusal:
        await subject.ledger.commit(batch(*saved(pushed(1), assigned(pushed(1)), "task_assigned")))
    assert not refusal.value.is_for_pushes_only
    assert await read(subject, pushed(1).task_id) == pushed(1), "reads go on"
    subject.fill(is_full=False)
    committed = await subject.ledger.commit(batch(*saved(pushed(1), assigned(pushed(1)), "task_assigned")))
    assert ([event.offset for event in committed.events], committed.refused) == ([2], frozenset())


async def test_little_room_is_kept_for_results(subject: Subject) -> None:
    """Reliability §2.2: below the watermark pushes are refused and results are not."""
    await push(subject, pushed(1))
    subject.run_low()
    with pytest.raises(StorageFull) as refusal:
        await push(subject, pushed(2))
    assert refusal.value.is_for_pushes_only
    committed = await subject.ledger.commit(batch(*saved(pushed(1), assigned(pushed(1)), "task_assigned")))
    assert not committed.refused


async def test_a_broken_disk_acknowledges_nothing_ever_again(subject: Subject) -> None:
    """A sync that failed is never tried again as if it were clean."""
    await push(subject, pushed(1))
    subject.break_disk()
    for number in (2, 3):
        with pytest.raises(StorageBroken):
            await push(subject, pushed(number))


async def test_finding_nothing_is_no_failure(subject: Subject) -> None:
    assert (await subject.ledger.find(frozenset({TaskId("task-nowhere")}), frozenset({"no key"}))).tasks == ()
