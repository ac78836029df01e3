"""One agent's socket in use: what is carried, what ends it, and what is kept of that."""

from __future__ import annotations

import json
import logging

import msgspec
import pytest
from msgspec import Raw

from hub.core.effects import PassBy, Tell
from protocol.frames import MessageDelivered
from protocol.ids import MessageId
from tests.hub.company import code_of, link_of, v1, v2
from tests.hub.conftest import RunningHub
from tests.hub.peers import Said, V2Peer
from tests.waiting import until

# --- work -------------------------------------------------------------------------------------------------


async def test_a_task_goes_from_push_to_result(running_hub: RunningHub) -> None:
    peer = await v2(running_hub)
    pushed = await running_hub.push("ada", "count to three")
    assert pushed["state"] == "assigned"
    assigned = await peer.hear("task_assign")
    assert assigned["description"] == "count to three"
    assert (await peer.work(assigned, result=[1, 2, 3]))["status"] == "complete"
    task = await running_hub.task(pushed["task_id"])
    assert (task["state"], task["result"]) == ("completed", [1, 2, 3])
    await peer.hang_up()


async def test_what_one_turn_says_to_one_peer_is_one_message(running_hub: RunningHub) -> None:
    peer = await v2(running_hub, slots=8)
    async with running_hub.http() as client:
        tasks = [{"description": str(n), "assign_to": "ada"} for n in range(8)]
        assert (await client.post("/api/tasks/batch", json={"tasks": tasks})).status_code == 200
    before = peer.messages
    assigned = [await peer.hear("task_assign") for _ in range(8)]
    assert peer.messages == before + 1
    assert [frame["description"] for frame in assigned] == [str(n) for n in range(8)]
    await peer.hang_up()


async def test_messagepack_carries_the_same_conversation(running_hub: RunningHub) -> None:
    token = await running_hub.token("ada")
    peer = await V2Peer.dial(running_hub.ws_address, token=token, subprotocols=["hub.v2.msgpack"])
    assert peer.socket.subprotocol == "hub.v2.msgpack"
    identify = {
        "type": "identify",
        "agent_id": "ada",
        "protocol_version": 2,
        "instance_id": "i",
        "boot_id": "b",
        "connection": 1,
    }
    await peer.socket.send(msgspec.msgpack.encode(identify))
    assert msgspec.msgpack.decode(await peer.socket.recv(decode=False))["type"] == "identified"
    await running_hub.push("ada", "hello", metadata={"deep": [1, {"a": None}]})
    assigned = msgspec.msgpack.decode(await peer.socket.recv(decode=False))
    assert json.loads(assigned["metadata"]) == {"deep": [1, {"a": None}]}
    await peer.hang_up()


async def test_a_ping_is_answered_before_and_whatever_else_goes_on(running_hub: RunningHub) -> None:
    peer = await v1(running_hub)
    await peer.say({"type": "ping", "protocol_version": 1})
    assert isinstance((await peer.hear("pong"))["timestamp"], int)
    await peer.hang_up()


# --- two of one name --------------------------------------------------------------------------------------


async def test_the_newest_connection_wins_and_nothing_of_it_is_touched(running_hub: RunningHub) -> None:
    """L10: the old socket kept the route, and its close unregistered the live one."""
    token = await running_hub.token("ada")
    old = await V2Peer.dial(running_hub.ws_address, token=token)
    await old.identify("ada", connection=1)
    new = await V2Peer.dial(running_hub.ws_address, token=token)
    await new.identify("ada", connection=2)
    assert (await old.closed())[0] == 4409
    await until(lambda: len(running_hub.parts.registry) == 1, "the old link is forgotten")
    pushed = await running_hub.push("ada")
    assert pushed["state"] == "assigned"
    assert (await new.work(await new.hear("task_assign")))["status"] == "complete"
    await new.hang_up()


async def test_a_lower_connection_that_comes_late_is_the_one_that_goes(running_hub: RunningHub) -> None:
    token = await running_hub.token("ada")
    new = await V2Peer.dial(running_hub.ws_address, token=token)
    await new.identify("ada", connection=2)
    old = await V2Peer.dial(running_hub.ws_address, token=token)
    await old.say(
        {
            "type": "identify",
            "agent_id": "ada",
            "protocol_version": 2,
            "instance_id": "instance-of-ada",
            "boot_id": "boot-1",
            "connection": 1,
        }
    )
    assert (await old.closed())[0] == 4409
    await new.hear_nothing_but()
    await new.hang_up()


async def test_another_instance_of_the_name_is_refused_4410_with_a_time_to_come_back(
    running_hub: RunningHub,
) -> None:
    token = await running_hub.token("ada")
    first = await V2Peer.dial(running_hub.ws_address, token=token)
    await first.identify("ada")
    second = await V2Peer.dial(running_hub.ws_address, token=token)
    error = await second.identify("ada", instance_id="another")
    assert error["error"] == "name_in_use"
    assert error["retry_after_ms"] > 0
    assert (await second.closed())[0] == 4410
    await first.hear_nothing_but()
    await first.hang_up()


# --- life and death ---------------------------------------------------------------------------------------


async def test_a_silent_link_is_dead_after_its_time_and_not_before(running_hub: RunningHub) -> None:
    """L53: silent TCP death."""
    await v2(running_hub, "ada")
    old = await v1(running_hub, "bob")
    two, one = link_of(running_hub, "ada"), link_of(running_hub, "bob")
    assert running_hub.parts.settings.silence_ms <= 45_000
    for link, allowed_ms in ((two, running_hub.parts.settings.silence_ms), (one, 75_000)):
        link.check(link.heard_ms + allowed_ms)
        assert code_of(link) is None
        link.check(link.heard_ms + allowed_ms + 1)
        assert code_of(link) == 1006
        assert link.ended is not None
        assert (link.ended.side, link.ended.reason[:10]) == ("hub", "silent for")
    await until(lambda: len(running_hub.parts.registry) == 0, "both are gone")
    assert (await old.closed())[0] == 1006


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "task_progress", "task_id": "task-0123456789abcdef", "generation": 1},
        {"type": "heartbeat", "as_of_seq": 0},
        {"type": "status", "status": "busy"},
        {"type": "ping"},
    ],
)
async def test_any_frame_counts_as_life(running_hub: RunningHub, frame: Said) -> None:
    """L11: only ping counted, and an agent busy streaming was reaped."""
    peer = await v2(running_hub)
    link = link_of(running_hub, "ada")
    almost_ms = running_hub.parts.settings.silence_ms - 1_000
    link.heard_ms -= almost_ms
    before = link.heard_ms
    await peer.say(frame)
    await until(lambda: link.heard_ms >= before + almost_ms, "the frame counts")
    link.check(link.heard_ms + almost_ms)
    assert link.ended is None
    await peer.hang_up()


async def test_a_quiet_peer_is_pinged_and_its_pong_is_life(running_hub: RunningHub) -> None:
    peer = await v2(running_hub)
    link = link_of(running_hub, "ada")
    link.heard_ms -= running_hub.parts.settings.silence_ms * 3 // 4
    link.pinged_ms -= 30_000
    before = link.heard_ms
    link.check(running_hub.parts.registry.clock.now_ms())
    await peer.say({"type": "status", "status": "so that the test's client reads"})
    await until(lambda: link.heard_ms > before, "the pong has come")
    await peer.hang_up()


async def test_every_close_is_kept_with_code_reason_side_and_duration(running_hub: RunningHub) -> None:
    """L61."""
    peer = await v2(running_hub)
    await peer.socket.close(4321, "had enough")
    await until(lambda: len(running_hub.parts.registry) == 0, "the first is gone")
    token = await running_hub.token("ada")
    lost = await V2Peer.dial(running_hub.ws_address, token=token)
    await lost.identify("ada", connection=2)
    lost.vanish()
    await until(lambda: len(running_hub.parts.registry) == 0, "the second is gone")
    revoked = await V2Peer.dial(running_hub.ws_address, token=token)
    await revoked.identify("ada", connection=3)
    async with running_hub.http() as client:
        await client.delete("/admin/tokens/ada")
    await revoked.closed()
    await until(lambda: len(running_hub.parts.registry) == 0, "the third is gone")
    visits = running_hub.parts.registry.visits("ada")
    assert [(visit.code, visit.side) for visit in visits] == [(4321, "agent"), (1006, "agent"), (4401, "hub")]
    assert visits[0].reason == "had enough"
    assert all(visit.duration_ms is not None and visit.duration_ms >= 0 for visit in visits)
    shown = (await running_hub.agent("ada"))["connections"]
    assert {entry["code"] for entry in shown} == {4321, 1006, 4401}


async def test_a_revoked_token_s_live_socket_is_closed(running_hub: RunningHub) -> None:
    """L33."""
    ada, bob = await v2(running_hub, "ada"), await v2(running_hub, "bob")
    async with running_hub.http() as client:
        assert (await client.delete("/admin/tokens/ada")).json()["status"] == "revoked"
    assert (await ada.closed())[0] == 4401
    await bob.hear_nothing_but("agent_left")
    await bob.hang_up()


async def test_an_expired_token_s_live_socket_is_closed_by_the_next_look(running_hub: RunningHub) -> None:
    peer = await v2(running_hub)
    registry = running_hub.parts.registry
    assert registry.close_invalid(lambda _: True) == 0
    assert registry.close_invalid(lambda _: False) == 1
    assert (await peer.closed())[0] == 4401


def bulk() -> MessageDelivered:
    """A frame of 60 KB."""
    return MessageDelivered(
        id=MessageId("0" * 16),
        from_="bob",
        message_type="chat",
        payload=Raw(b'"' + b"x" * 60_000 + b'"'),
        timestamp=0,
    )


async def test_a_peer_that_reads_too_slowly_is_thrown_out_and_does_not_grow_the_hub(
    running_hub: RunningHub,
) -> None:
    peer = await v2(running_hub)
    link = link_of(running_hub, "ada")
    peer.socket.transport.pause_reading()
    registry = running_hub.parts.registry
    for _ in range(1_000):
        registry.tell(Tell(link.link_id, bulk()))
        registry.flush()
        await registry.clock.breathe()
    assert link.ended is not None
    assert (link.ended.code, link.ended.side) == (4413, "hub")
    await until(lambda: len(registry) == 0, "the link is forgotten")


async def test_a_peer_that_stops_reading_is_not_heard_and_thrown_out_after_a_while(
    running_hub: RunningHub,
) -> None:
    peer = await v2(running_hub)
    link = link_of(running_hub, "ada")
    peer.socket.transport.pause_reading()
    registry = running_hub.parts.registry
    while link.clogged_ms is None:
        registry.tell(Tell(link.link_id, bulk()))
        registry.flush()
        await registry.clock.breathe()
    before = link.heard_ms
    await peer.say({"type": "ping"})
    since_ms = link.clogged_ms
    link.check(since_ms + 10_000)
    assert code_of(link) is None
    link.check(since_ms + 10_001)
    assert (code_of(link), link.heard_ms) == (4413, before)


async def test_a_peer_that_reads_again_misses_nothing(running_hub: RunningHub) -> None:
    peer = await v2(running_hub)
    link = link_of(running_hub, "ada")
    peer.socket.transport.pause_reading()
    registry = running_hub.parts.registry
    sent = 0
    while link.clogged_ms is None:
        registry.tell(Tell(link.link_id, bulk()))
        registry.flush()
        sent += 1
        await registry.clock.breathe()
    peer.socket.transport.resume_reading()
    for _ in range(sent):
        assert len((await peer.hear("message"))["payload"]) == 60_000
    await until(lambda: link.clogged_ms is None, "nothing waits any more")
    await peer.hear_nothing_but()


# --- too much ---------------------------------------------------------------------------------------------


async def test_a_flood_of_progress_is_limited_and_the_facts_pass(running_hub: RunningHub) -> None:
    """L7: a rate limiter shared by progress and facts ate a completion."""
    peer = await v2(running_hub)
    await running_hub.push("ada")
    assigned = await peer.hear("task_assign")
    held = {"task_id": assigned["task_id"], "generation": assigned["generation"]}
    await peer.say(peer.fact("task_accepted", assigned))
    for _ in range(5):
        await peer.say(*({"type": "task_progress", **held, "progress": n % 100} for n in range(250)))
    await peer.say(peer.fact("task_complete", assigned, result="done"))
    assert (await peer.hear("error"))["error"] == "rate_limited"
    statuses = [(await peer.hear("task_ack"))["status"] for _ in range(2)]
    assert statuses == ["accepted", "complete"]
    assert (await running_hub.task(assigned["task_id"]))["result"] == "done"
    assert running_hub.parts.metrics.registry.get_sample_value("hub_ws_rate_limited_total")
    await peer.hang_up()


# --- the hub's own trouble --------------------------------------------------------------------------------


async def test_a_socket_that_ends_at_any_moment_leaves_no_traceback(
    running_hub: RunningHub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    token = await running_hub.token("ada")
    for moment in range(4):
        peer = await V2Peer.dial(running_hub.ws_address, token=token)
        if moment > 0:
            await peer.say(
                {
                    "type": "identify",
                    "agent_id": "ada",
                    "protocol_version": 2,
                    "instance_id": "instance-of-ada",
                    "connection": moment,
                }
            )
        if moment > 1:
            await peer.hear("identified")
        if moment > 2:
            await peer.say({"type": "ping"})
        peer.vanish()
        await until(lambda: len(running_hub.parts.registry) == 0, "the link is forgotten")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]


async def test_what_was_dropped_is_said_with_the_next_progress_that_is_heard(
    running_hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L62. Dropped progress with no sign: watchers hear how much of a run they have missed."""
    seen: list[int] = []

    def note(_: object, effect: PassBy) -> None:
        seen.append(json.loads(bytes(effect.payload)).get("dropped", 0))

    monkeypatch.setattr(type(running_hub.parts.passing), "note", note)
    peer = await v2(running_hub)
    await running_hub.push("ada")
    assigned = await peer.hear("task_assign")
    held = {"task_id": assigned["task_id"], "generation": assigned["generation"]}
    await peer.say(peer.fact("task_accepted", assigned))
    await peer.say(*({"type": "task_log", **held, "n": n, "text": "x"} for n in range(250)))
    assert (await peer.hear("error"))["error"] == "rate_limited"
    # Not read before the pause is over, and by then the bucket has room for it.
    await peer.say({"type": "task_progress", **held, "progress": 50})
    await until(lambda: any(seen), "the gap is said")
    dropped = link_of(running_hub, "ada")._ladder.dropped
    assert [gap for gap in seen if gap] == [dropped]
    assert len(seen) + dropped == 250 + 1
