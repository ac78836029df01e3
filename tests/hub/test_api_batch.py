"""Batches whose items depend on one another, and each way in which that can be wrong."""

from __future__ import annotations

from typing import Any

from hub.api.batch import CYCLE_SHOWN_MAX
from hub.api.bodies_tasks import BATCH_TASKS_MAX
from tests.hub.conftest import RunningHub
from tests.hub.test_api_submit import connected


async def pushed(hub: RunningHub, *tasks: Any) -> list[dict[str, Any]]:
    async with hub.http() as http:
        answer = await http.post("/api/tasks/batch", json={"tasks": tasks})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    assert len(items) == len(tasks)
    return items


def item(ref: str | None = None, *after: str, **more: Any) -> dict[str, Any]:
    named = {"ref": ref} if ref is not None else {}
    return {"description": f"{ref}", "depends_on": list(after), **named, **more}


def why(one: dict[str, Any]) -> tuple[int, str, str, str]:
    (fault,) = one["errors"]
    return one["code"], fault["field"], fault["error"], fault["detail"]


async def test_items_name_one_another_in_any_order(running_hub: RunningHub) -> None:
    known = (await pushed(running_hub, item()))[0]["task_id"]
    last, left, right, first = await pushed(
        running_hub,
        item("last", "@left", "@right"),
        item("left", "@first"),
        item("right", "@first", known),
        item("first"),
    )
    assert [one["code"] for one in (last, left, right, first)] == [201] * 4
    waits = {
        one["task_id"]: (await running_hub.task(one["task_id"]))["waits_for"]
        for one in (last, left, right, first)
    }
    assert waits == {
        last["task_id"]: [left["task_id"], right["task_id"]],
        left["task_id"]: [first["task_id"]],
        right["task_id"]: [first["task_id"], known],
        first["task_id"]: [],
    }


async def test_a_diamond_is_done_from_its_first_to_its_last(running_hub: RunningHub) -> None:
    peer = await connected(running_hub, "ada")
    items = await pushed(
        running_hub,
        item("last", "@left", "@right"),
        item("left", "@first"),
        item("right", "@first"),
        item("first"),
    )
    done = []
    for _ in items:
        order = await peer.hear("task_assign")
        done.append(order["description"])
        await peer.say(peer.fact("task_accepted", order), peer.fact("task_complete", order, result=1))
    await running_hub.becomes(items[0]["task_id"], "completed")
    assert done == ["first", "left", "right", "last"]


async def test_items_that_wait_for_one_another_are_refused_and_the_cycle_is_named(
    running_hub: RunningHub,
) -> None:
    a, b, c, behind, free, self_made = await pushed(
        running_hub,
        item("a", "@b"),
        item("b", "@c"),
        item("c", "@a"),
        item("behind", "@a"),
        item("free"),
        item("me", "@me"),
    )
    assert why(a) == (422, "depends_on", "cycle", "These wait for one another: @a -> @b -> @c -> @a.")
    assert why(b)[3].endswith("@b -> @c -> @a -> @b.")
    assert why(c)[3].endswith("@c -> @a -> @b -> @c.")
    assert why(behind)[2] == "cycle"
    assert free["code"] == 201
    assert why(self_made) == (422, "depends_on", "cycle", "These wait for one another: @me -> @me.")
    assert len(running_hub.parts.board.open_tasks()) == 1


async def test_a_long_cycle_is_named_as_far_as_it_helps(running_hub: RunningHub) -> None:
    count = 50
    items = await pushed(running_hub, *(item(f"n{n}", f"@n{(n + 1) % count}") for n in range(count)))
    said = why(items[0])[3]
    assert said.count("@") == CYCLE_SHOWN_MAX
    assert said.endswith("-> ….")


async def test_a_reference_to_nothing_or_to_what_is_refused_is_refused_by_its_name(
    running_hub: RunningHub,
) -> None:
    nothing, bad, behind, twice, again, held, behind_held, chained = await pushed(
        running_hub,
        item("nothing", "@nowhere"),
        item("bad", priority="soon"),
        item("behind", "@worse"),
        item("twice", unique_key="u"),
        item("twice"),
        item("held", unique_key="u"),
        item("behind held", "@held"),
        item("chained", "@behind held"),
    )
    assert why(nothing) == (422, "depends_on", "not_found", "No item of this batch has the ref nowhere.")
    assert bad["code"] == 422
    assert why(behind)[3] == "No item of this batch has the ref worse."
    assert twice["code"] == 201
    assert why(again)[:3] == (422, "ref", "conflict")
    assert (held["code"], held["error"], held["task_id"]) == (409, "unique_key_held", twice["task_id"])
    assert why(behind_held) == (422, "depends_on", "not_found", "The item @held was refused.")
    assert why(chained) == (422, "depends_on", "not_found", "The item @behind held was refused.")


async def test_what_depends_on_an_item_that_is_wrong_in_itself_is_refused(running_hub: RunningHub) -> None:
    wrong, behind = await pushed(running_hub, item("wrong", description="a\x00b"), item("b", "@wrong"))
    assert wrong["code"] == 422
    assert why(behind) == (422, "depends_on", "not_found", "The item @wrong was refused.")


async def test_a_batch_that_is_sent_again_makes_nothing_twice(running_hub: RunningHub) -> None:
    """One item more than the first time: it waits for the tasks that there are."""
    tasks = [item("a", idempotency_key="k-a"), item("b", "@a", idempotency_key="k-b")]
    first = await pushed(running_hub, *tasks)
    again = await pushed(running_hub, *tasks, item("c", "@b", "@a"))
    assert [one["task_id"] for one in again[:2]] == [one["task_id"] for one in first]
    task = await running_hub.task(again[2]["task_id"])
    assert task["waits_for"] == [first[1]["task_id"], first[0]["task_id"]]


async def test_a_ref_has_its_limits_and_is_no_word_of_a_task_alone(running_hub: RunningHub) -> None:
    fits, more, empty = await pushed(running_hub, item("r" * 64), item("r" * 65), item(""))
    assert (fits["code"], more["code"], empty["code"]) == (201, 422, 422)
    async with running_hub.http() as http:
        alone = await http.post("/api/tasks", json=item("a"))
    assert alone.status_code == 201, "unknown fields are left alone, as ever"


async def test_a_batch_as_long_as_may_be_is_read_in_one_go_however_it_hangs_together(
    running_hub: RunningHub,
) -> None:
    """One circle through all of it, and one chain behind an item that is refused: neither is looked at again
    for each of its items.
    """
    count = BATCH_TASKS_MAX
    circle = await pushed(running_hub, *(item(f"n{n}", f"@n{(n + 1) % count}") for n in range(count)))
    assert {one["code"] for one in circle} == {422}
    await pushed(running_hub, item("holder", unique_key="u"))
    behind = [item("first", unique_key="u"), *(item(None, "@first") for _ in range(count - 1))]
    told = await pushed(running_hub, *behind)
    assert told[0]["code"] == 409
    assert {why(one)[3] for one in told[1:]} == {"The item @first was refused."}
