"""Who may open an agent's socket, who may use it, and what becomes of frames that are none."""

from __future__ import annotations

import json

import pytest
from websockets.exceptions import InvalidStatus

from hub.auth import Role
from tests.hub.company import v1, v2
from tests.hub.conftest import RunningHub
from tests.hub.peers import V1Peer, V2Peer
from tests.waiting import until

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
