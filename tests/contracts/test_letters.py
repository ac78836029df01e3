"""What every ledger must do with letters: they share the fate of their task's change."""

from __future__ import annotations

from msgspec.structs import replace

from hub.core.effects import Change
from hub.store.writing import letter_row
from tests.contracts.ledgers import Subject
from tests.store.workload import accepted, assigned, batch, completed, letter_of, pushed, saved


async def push(subject: Subject, *numbers: int) -> None:
    changes: list[Change] = [change for n in numbers for change in saved(None, pushed(n), "task_queued")]
    await subject.ledger.commit(batch(*changes))


async def test_a_letter_lies_in_the_outbox_from_the_commit_of_its_task(subject: Subject) -> None:
    """L100: the end and the word of it are one thing, also for a hub that dies right after."""
    await push(subject, 1, 2)
    ends = [(task, completed(accepted(assigned(task)))) for task in (pushed(1), pushed(2))]
    changes = [change for before, after in ends for change in (*saved(before, after), letter_of(after))]
    committed = await subject.ledger.commit(batch(*changes))
    assert (committed.refused, committed.letters) == (frozenset(), 2)
    await subject.restart()
    assert await subject.letters() == [letter_row(letter_of(after)) for _, after in ends]


async def test_a_refused_end_takes_its_letter_with_it(subject: Subject) -> None:
    await push(subject, 1, 2)
    late = replace(completed(accepted(assigned(pushed(1)))), version=9)
    end = completed(accepted(assigned(pushed(2))))
    changes = (
        *saved(replace(late, version=8), late),
        letter_of(late),
        *saved(pushed(2), end),
        letter_of(end),
    )
    committed = await subject.ledger.commit(batch(*changes))
    assert committed.refused == {late.task_id}
    assert committed.letters == 1
    assert await subject.letters() == [letter_row(letter_of(end))]
