"""The same for many tasks: cancel, run again or purge what a filter means, counted first.

Owns the way from a filter to letters in chunks, between which everybody else has a turn. Saying it twice
does it once: what is cancelled, run again or gone is not found again. Never decides about a task.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from hub.api import problems
from hub.api.bodies import Name, task_id_of
from hub.api.endpoint import Call, Endpoint, Told
from hub.api.filters import FilterBody, filter_of_body
from hub.api.problems import Problem
from hub.api.submit import TASK_ID_BYTES
from hub.auth import LEAST_ROLE, Scope
from hub.core.effects import Refusal
from hub.core.events import CancelRequested, RetryRequested
from hub.store.picks import Action, Pick, Picked, Picks
from hub.store.retention import forget_tasks
from protocol.limits import INTEGER_MAX

CHUNK_LETTERS: Final = 250
"""Decided and committed together: what others ask meanwhile waits for so many, milliseconds."""

SAMPLE_MAX: Final = 20

NEEDS: Final[dict[Action, Scope]] = {
    "cancel": Scope.TASKS_CANCEL,
    "retry": Scope.TASKS_PUSH,
    "purge": Scope.AGENTS_ADMIN,
}


class BulkBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /api/tasks/bulk. Nothing is done unless `dry_run` is false; what is not known is refused."""

    action: Action
    filter: FilterBody
    dry_run: bool = True
    expect: Annotated[int, Meta(ge=0, le=INTEGER_MAX)] | None = None
    """How many it must be; with another number nothing is done."""
    reason: Name | None = None


class BulkView(Struct, frozen=True, kw_only=True):
    action: str
    count: int
    """Tasks that it can be done to now, at most 10,000 in one call."""
    done: int
    refused: int
    refusals: dict[str, int]
    """How many were refused, by reason."""
    dry_run: bool
    sample: tuple[str, ...]
    more: bool
    """There are more than `count`: say it again for the rest."""


class Tally:
    """What has come of it so far."""

    def __init__(self) -> None:
        self.done = 0
        self.refusals: Counter[str] = Counter()

    @property
    def refused(self) -> int:
        return self.refusals.total()


async def bulk(call: Call) -> Told:
    body = await call.body(BulkBody)
    needs = NEEDS[body.action]
    if not call.identity.may(needs):
        raise problems.forbidden(LEAST_ROLE[needs])
    wanted = filter_of_body(body.filter)
    if wanted.is_empty:
        raise problems.invalid_field("filter", "empty", "Say which tasks; at least one member of the filter.")
    if body.dry_run:
        picked = await Picks(call.parts.queries).pick(body.action, wanted, reach_of(call))
        check_count(body, picked)
        return told(body, picked, Tally())
    # One at a time: a second one must not find what the first has in hand.
    async with call.parts.throttle.bulk:
        picked = await Picks(call.parts.queries).pick(body.action, wanted, reach_of(call))
        check_count(body, picked)
        tally = Tally()
        if picked.picks:
            await carry_out(call, body, picked, tally)
    return told(body, picked, tally)


def reach_of(call: Call) -> Callable[[Pick], bool]:
    """A token that is limited to agents or plugins means only tasks that it might have pushed."""
    who = call.identity
    return lambda pick: who.may_push_to(pick.assign_to, pick.plugin)


def check_count(body: BulkBody, picked: Picked) -> None:
    count = len(picked.picks)
    if body.expect is not None and body.expect != count:
        raise Problem(
            409,
            "count_differs",
            f"It would be {count} tasks and not {body.expect}; nothing was done. Count again.",
            members={"count": count, "more": picked.more},
        )


async def carry_out(call: Call, body: BulkBody, picked: Picked, tally: Tally) -> None:
    """Chunk by chunk. What is done stays done when the hub has no room for the rest; a problem says so."""
    said = str(msgspec.json.encode(body.filter), "utf-8")
    await call.note(f"tasks_{body.action}_begun", f"{len(picked.picks)} {said}")
    act = ACTIONS[body.action]
    try:
        for begin in range(0, len(picked.picks), CHUNK_LETTERS):
            await act(call, body, picked.picks[begin : begin + CHUNK_LETTERS], tally)
    except Problem as problem:
        problem.members |= {"done": tally.done, "refused": tally.refused}
        raise
    finally:
        call.jot(f"tasks_{body.action}_ended", f"{tally.done} done, {tally.refused} refused {said}")


async def cancel(call: Call, body: BulkBody, picks: Sequence[Pick], tally: Tally) -> None:
    reason = body.reason or "cancelled by a person"
    count(
        await call.ask_all(
            [CancelRequested(task_id=one.task_id, by=call.by, reason=reason) for one in picks]
        ),
        tally,
    )


async def retry(call: Call, body: BulkBody, picks: Sequence[Pick], tally: Tally) -> None:
    def letter(pick: Pick) -> RetryRequested:
        new_id = task_id_of(secrets.token_bytes(TASK_ID_BYTES))
        return RetryRequested(task_id=pick.task_id, new_task_id=new_id, by=call.by)

    count(await call.ask_all([letter(pick) for pick in picks]), tally)


async def purge(call: Call, body: BulkBody, picks: Sequence[Pick], tally: Tally) -> None:
    tally.done += await forget_tasks(
        call.parts.ledger, [pick.number for pick in picks], call.parts.dispatcher.forget
    )


def count(replies: Sequence[object], tally: Tally) -> None:
    for reply in replies:
        if isinstance(reply, Refusal):
            tally.refusals[reply.kind.value] += 1
        else:
            tally.done += 1


Act = Callable[[Call, BulkBody, Sequence[Pick], Tally], Awaitable[None]]
ACTIONS: Final[dict[Action, Act]] = {"cancel": cancel, "retry": retry, "purge": purge}


def told(body: BulkBody, picked: Picked, tally: Tally) -> Told:
    return Told(
        200,
        BulkView(
            action=body.action,
            count=len(picked.picks),
            done=tally.done,
            refused=tally.refused,
            refusals=dict(tally.refusals),
            dry_run=body.dry_run,
            sample=tuple(pick.task_id for pick in picked.picks[:SAMPLE_MAX]),
            more=picked.more,
        ),
    )


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/api/tasks/bulk",
        "Cancel, run again or purge what a filter means, counted first",
        bulk,
        Scope.TASKS_CANCEL,
        reply=BulkView,
        body=BulkBody,
        refusals=(403, 409, 422, 503),
    ),
)
