"""One agent's socket: what is let in, what is answered, what ends it, and what is kept of that."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from websockets.exceptions import InvalidStatus

from hub.auth import Role
from hub.core.effects import Tell
from hub.link import Link
from protocol.frames import MessageDelivered
from protocol.ids import MessageId
from tests.hub.conftest import RunningHub
from tests.hub.peers import Said, V1Peer, V2Peer
from tests.waiting import until


def link_of(hub: RunningHub, agent_id: str) -> Link:
    """The newest link of an agent."""
    return next(link for link in reversed(hub.parts.registry.links()) if link.agent_id == agent_id)


def code_of(link: Link) -> int | None:
    """With which code it has ended; None while it lives."""
    return None if link.ended is None else link.ended.code


async def v2(hub: RunningHub, agent_id: str = "ada", **more: Any) -> V2Peer:
    """An identified v2 client with a token of its own."""
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token(agent_id))
    assert (await peer.identify(agent_id, **more))["type"] == "identified"
    return peer


async def v1(hub: RunningHub, agent_id: str = "ada") -> V1Peer:
    peer = await V1Peer.dial(hub.ws_address)
    assert await peer.identify(agent_id, await hub.token(agent_id)) == {
        "type": "identified",
        "agent_id": agent_id,
    }
    return peer


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


# --- who may come in --------------------------------------------------------------------------------------


async def test_a_bad_bearer_token_is_refused_before_101(running_hub: RunningHub) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await V2Peer.dial(running_hub.ws_address, token="huba_wrong")
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body or b"")["error"] == "unauthorized"


async def test_a_token_that_may_not_connect_is_refused_before_101(running_hub: RunningHub) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await V2Peer.dial(running_hub.ws_address, token=await running_hub.token(role=Role.VIEWER))
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
async def test_a_page_of_another_site_may_not_open_an_agent_s_socket(
    running_hub: RunningHub, origin: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"), origin=origin)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("running_hub", [{"allowed_origins": ("https://page.example",)}], indirect=True)
async def test_the_hub_s_own_page_and_listed_ones_may(running_hub: RunningHub) -> None:
    token = await running_hub.token("ada")
    for origin in (running_hub.address, "https://page.example"):
        peer = await V2Peer.dial(running_hub.ws_address, token=token, origin=origin)
        await peer.hang_up()


async def test_a_bad_token_in_the_first_frame_is_named_held_and_closed_4401(running_hub: RunningHub) -> None:
    """L37: the client looped for ever, once a second; each time it is held longer."""
    peer = await V1Peer.dial(running_hub.ws_address)
    assert (await peer.identify("ada", "hubs_wrong"))["error"] == "invalid_token"
    await peer.say({"type": "task_progress", "task_id": "task-1"})
    assert (await peer.closed())[0] == 4401
    assert not peer.waiting
    registry = running_hub.parts.registry
    held = [registry.hold_ms("127.0.0.1", "ada") for _ in range(7)]
    assert held == [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
    assert registry.hold_ms("127.0.0.1", "bob") == 1_000
    await (await v1(running_hub)).hang_up()
    assert registry.hold_ms("127.0.0.1", "ada") == 1_000


@pytest.mark.parametrize("in_header", [True, False])
async def test_a_token_of_another_agent_is_named_and_closed_4403(
    running_hub: RunningHub, in_header: bool
) -> None:
    """L34."""
    token = await running_hub.token("bob")
    peer = await V1Peer.dial(running_hub.ws_address, token=token if in_header else None)
    assert (await peer.identify("ada", None if in_header else token))["error"] == "token_agent_mismatch"
    assert (await peer.closed())[0] == 4403


@pytest.mark.parametrize("running_hub", [{"identify_ms": 1_000}], indirect=True)
async def test_a_socket_that_never_identifies_is_closed_4408(running_hub: RunningHub) -> None:
    """L38."""
    peer = await V1Peer.dial(running_hub.ws_address)
    assert (await peer.closed())[0] == 4408
    await until(lambda: len(running_hub.parts.registry.strangers) == 0, "the stranger is counted out")


async def test_a_frame_before_identify_is_named_and_closed_4400(running_hub: RunningHub) -> None:
    peer = await V1Peer.dial(running_hub.ws_address)
    await peer.say({"type": "ping"})
    assert (await peer.hear("error"))["error"] == "not_identified"
    assert (await peer.closed())[0] == 4400


async def test_a_second_identify_is_refused_and_the_socket_stays(running_hub: RunningHub) -> None:
    """L12."""
    peer = await v1(running_hub)
    await peer.say({"type": "identify", "agent_id": "ada", "token": "whatever"})
    assert (await peer.hear("error"))["error"] == "invalid_state"
    await running_hub.push("ada")
    await peer.hear("task_assign")
    await peer.hear_nothing_but()
    await peer.hang_up()


async def test_a_stranger_s_first_frame_may_not_be_big(running_hub: RunningHub) -> None:
    peer = await V1Peer.dial(running_hub.ws_address)
    await peer.say({"type": "identify", "agent_id": "ada", "token": "t", "name": "x" * 5_000})
    assert (await peer.hear("error"))["error"] == "frame_too_big"
    assert (await peer.closed())[0] == 4413


async def test_a_known_token_s_first_frame_may(running_hub: RunningHub) -> None:
    holding = [{"task_id": f"task-{n:016x}", "generation": 1} for n in range(1_000)]
    peer = await v2(running_hub, holding=holding, slots=1_000)
    await peer.hang_up()


@pytest.mark.parametrize("running_hub", [{"strangers_max": 2}], indirect=True)
async def test_strangers_above_the_cap_are_refused_and_agents_make_room(running_hub: RunningHub) -> None:
    token = await running_hub.token("ada")
    peers = [await V1Peer.dial(running_hub.ws_address) for _ in range(2)]
    with pytest.raises(InvalidStatus) as refused:
        await V1Peer.dial(running_hub.ws_address)
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["retry-after"] == "5"
    await peers[0].identify("ada", token)
    peers.append(await V1Peer.dial(running_hub.ws_address))
    for peer in peers:
        await peer.hang_up()


async def test_a_v2_client_without_an_instance_is_told_what_is_missing(running_hub: RunningHub) -> None:
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    answer = await peer.identify("ada", instance_id=None)
    assert answer["errors"][0]["field"] == "instance_id"
    assert (await peer.closed())[0] == 4400


# --- bad frames -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["[1]", "null", "{", '"x"', '{"type": 1}', "[]", '{"a": 1}', "[[]]"])
async def test_what_is_no_frame_is_answered_and_the_socket_stays(running_hub: RunningHub, said: str) -> None:
    """L50: JSON that is not an object crashed the connection."""
    peer = await v1(running_hub)
    await peer.socket.send(said)
    assert (await peer.hear("error", "pong"))["type"] == "error"
    await peer.hear_nothing_but("error")
    await peer.hang_up()


async def test_a_binary_message_on_json_is_closed_1003(running_hub: RunningHub) -> None:
    """L50."""
    peer = await v1(running_hub)
    await peer.socket.send(b'{"type": "ping"}')
    assert (await peer.closed())[0] == 1003


async def test_an_error_about_a_task_names_the_task(running_hub: RunningHub) -> None:
    """L51."""
    peer = await v1(running_hub)
    await peer.say({"type": "task_progress", "task_id": "task-0123456789abcdef", "progress": 101})
    error = await peer.hear("error")
    assert error["task_id"] == "task-0123456789abcdef"
    assert error["message_type"] == "task_progress"
    assert error["error"] == "validation_failed"
    await peer.hang_up()


async def test_a_bad_member_of_an_array_leaves_the_others_standing(running_hub: RunningHub) -> None:
    peer = await v2(running_hub)
    await running_hub.push("ada")
    assigned = await peer.hear("task_assign")
    accepted = peer.fact("task_accepted", assigned)
    bad = {**peer.fact("task_stopped", assigned), "how": "magically"}
    await peer.say(accepted, bad, peer.fact("task_complete", assigned, result=1))
    error = await peer.hear("error")
    assert error["index"] == 1
    statuses = [(await peer.hear("task_ack"))["status"] for _ in range(3)]
    assert statuses == ["accepted", "refused", "complete"]
    await peer.hang_up()


async def test_a_message_above_a_megabyte_is_named_and_closed_4413(running_hub: RunningHub) -> None:
    """L60."""
    peer = await v2(running_hub)
    await peer.say({"type": "message", "payload": {"x": "y" * (1 << 20)}})
    assert (await peer.hear("error"))["error"] == "frame_too_big"
    assert (await peer.closed())[0] == 4413


async def test_an_unknown_frame_is_named_and_an_old_client_s_defaults_still_work(
    running_hub: RunningHub,
) -> None:
    """L52."""
    peer = await v1(running_hub)
    await peer.say({"type": "sing", "song": "la"})
    assert (await peer.hear("error"))["error"] == "unknown_message_type"
    await running_hub.push("ada")
    assigned = await peer.hear("task_assign")
    await peer.say({"type": "task_complete", "task_id": assigned["task_id"]})
    assert (await peer.hear("task_ack"))["status"] == "complete"
    await peer.hang_up()


async def test_what_cannot_be_sent_on_is_refused_at_the_door(running_hub: RunningHub) -> None:
    """L54: an unserialisable value in a broadcast killed whoever watched."""
    sender, other = await v1(running_hub, "ada"), await v1(running_hub, "bob")
    for payload in ('{"a": NaN}', '{"a": "\\ud800"}', '{"a": "\\u0000"}', "[" * 100 + "]" * 100):
        await sender.socket.send(f'{{"type": "message", "payload": {payload}}}')
        assert (await sender.hear("error"))["type"] == "error"
    await sender.say({"type": "message", "payload": {"a": "fine"}})
    await sender.hear("message_sent")
    assert (await other.hear("message"))["payload"] == {"a": "fine"}
    for peer in (sender, other):
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


async def test_a_v2_link_is_dead_after_45_s_of_silence_and_a_v1_link_after_75(
    running_hub: RunningHub,
) -> None:
    """L53: silent TCP death."""
    await v2(running_hub, "ada")
    old = await v1(running_hub, "bob")
    two, one = link_of(running_hub, "ada"), link_of(running_hub, "bob")
    two.check(two.heard_ms + 45_000)
    one.check(one.heard_ms + 75_000)
    assert two.ended is None
    assert one.ended is None
    two.check(two.heard_ms + 45_001)
    one.check(one.heard_ms + 75_001)
    await until(lambda: len(running_hub.parts.registry) == 0, "both are gone")
    for link in (two, one):
        assert link.ended is not None
        assert link.ended.side == "hub"
        assert link.ended.reason.startswith("silent for")
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
    link.heard_ms -= 44_000
    before = link.heard_ms
    await peer.say(frame)
    await until(lambda: link.heard_ms >= before + 44_000, "the frame counts")
    link.check(link.heard_ms + 44_000)
    assert link.ended is None
    await peer.hang_up()


async def test_a_quiet_peer_is_pinged_and_its_pong_is_life(running_hub: RunningHub) -> None:
    peer = await v2(running_hub)
    link = link_of(running_hub, "ada")
    link.heard_ms -= 30_000
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
