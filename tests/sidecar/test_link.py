"""The link and the line on real sockets, against a hub with vices."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import serve
from websockets.typing import Subprotocol

from protocol import frames as f
from protocol.codec import Wire
from protocol.frames import Heartbeat, Ping
from protocol.ids import AgentId, Generation, InstanceId, Seq
from sidecar import link as link_module
from sidecar.clock import SidecarClock
from sidecar.errors import SettingsError
from sidecar.events import DeskEvent, HubSaid, LinkLost, LinkOpened, TalkDropped
from sidecar.line import Line, Place, try_dial
from sidecar.redial import GiveUp, Window
from tests.sidecar.dialogue import raw, task
from tests.sidecar.hubdouble import HubDouble, hub_double
from tests.waiting import until


class SleepyClock(SidecarClock):
    """A machine whose lid a test can close."""

    def __init__(self) -> None:
        self.slept_ms = 0

    def asleep_ms(self) -> int:
        return super().asleep_ms() + self.slept_ms


class Desktop:
    """What the line talks to: it says identify when a link opens, and remembers what it is told."""

    def __init__(self, place: Place, clock: SidecarClock) -> None:
        self.events: list[DeskEvent] = []
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.line = Line(
            place,
            clock,
            post=self.hear,
            has_room=self.wait_for_room,
            beat=lambda: Heartbeat(as_of_seq=Seq(0)),
            roll=lambda: 0.0,
            window=Window(1, 10, 10),
        )
        self.identify = True

    def hear(self, event: DeskEvent) -> None:
        self.events.append(event)
        if isinstance(event, LinkOpened) and self.identify:
            self.line.say(
                event.link_id,
                [
                    f.Identify(
                        agent_id=AgentId("a"),
                        protocol_version=2,
                        instance_id=InstanceId("i"),
                        connection=event.link_id,
                    )
                ],
            )

    async def wait_for_room(self) -> None:
        await self.has_room.wait()

    def heard(self, kind: type[f.HubFrame]) -> int:
        return sum(isinstance(one, HubSaid) and isinstance(one.frame, kind) for one in self.events)


@pytest.fixture
async def hub() -> AsyncIterator[HubDouble]:
    async with hub_double() as double:
        yield double


@contextlib.asynccontextmanager
async def dialled(
    hub: HubDouble, *, wire: Wire = Wire.JSON, clock: SidecarClock | None = None, identify: bool = True
) -> AsyncIterator[Desktop]:
    desktop = Desktop(Place(hub.url, "secret", wire=wire), clock or SidecarClock())
    desktop.identify = identify
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(desktop.line.run())
        yield desktop
        running.cancel()


@pytest.mark.parametrize("wire", list(Wire))
async def test_the_dial_carries_the_bearer_header_and_the_subprotocol(hub: HubDouble, wire: Wire) -> None:
    async with dialled(hub, wire=wire) as desktop:
        caller = await hub.caller()
        await until(lambda: desktop.line.is_identified, "identified is heard")
        headers = {name.lower(): value for name, value in hub.headers[0].items()}
        assert headers["authorization"] == "Bearer secret"
        assert headers["sec-websocket-protocol"] == wire.subprotocol
        assert "sec-websocket-extensions" not in headers, "no compression"
        assert caller.socket.subprotocol == wire.subprotocol
        assert caller.identify.connection == 1


async def test_a_link_that_is_lost_is_dialled_again_with_the_next_number(hub: HubDouble) -> None:
    """L77"""
    async with dialled(hub) as desktop:
        for number in range(1, 5):
            caller = await hub.caller(number)
            assert caller.identify.connection == number
            caller.socket.transport.abort()
        await hub.caller(5)
        lost = [event.link_id for event in desktop.events if isinstance(event, LinkLost)]
        assert lost == [1, 2, 3, 4]
        assert [(ending.side, ending.dial) for ending in desktop.line.endings] == [
            ("network", number) for number in lost
        ]


async def test_the_line_lives_through_a_restart_of_the_hub(hub: HubDouble) -> None:
    """L61"""
    async with dialled(hub) as desktop:
        await hub.caller()
        await hub.close(4503, "draining")
        await until(lambda: desktop.line.dials > 2, "the closed door is tried again")
        await hub.open()
        await hub.caller(2)
        first = desktop.line.endings[0]
        assert (first.side, first.code, first.reason, first.identified) == ("hub", 4503, "draining", True)
        refused = desktop.line.endings[1]
        assert (refused.side, refused.code, refused.identified) == ("network", 1006, False)


@pytest.mark.parametrize("code", [4401, 4403, 4409])
async def test_a_close_that_says_never_ends_the_line_with_its_sentence(hub: HubDouble, code: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        desktop = Desktop(Place(hub.url, "t"), SidecarClock())
        running = tasks.create_task(desktop.line.run())
        caller = await hub.caller()
        await caller.socket.close(code, "go")
        verdict = await running
        assert isinstance(verdict, GiveUp)
        assert desktop.line.endings[-1].code == code


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN])
async def test_a_refused_upgrade_ends_the_line_as_the_close_would(hub: HubDouble, status: HTTPStatus) -> None:
    hub.refusal = status
    desktop = Desktop(Place(hub.url, "t"), SidecarClock())
    verdict = await desktop.line.run()
    assert isinstance(verdict, GiveUp)
    assert str(status.value) in desktop.line.endings[-1].reason


async def test_a_door_that_is_only_busy_is_tried_again(hub: HubDouble) -> None:
    hub.refusal = HTTPStatus.SERVICE_UNAVAILABLE
    async with dialled(hub) as desktop:
        await until(lambda: desktop.line.dials > 2, "the door is tried again")
        hub.refusal = None
        await hub.caller()


async def test_a_retry_time_in_an_error_before_the_close_is_kept(hub: HubDouble) -> None:
    def greeting(caller: object) -> list[f.HubFrame]:
        return [f.ErrorFrame(error="name_in_use", retry_after_ms=123_456)]

    hub.greeting = greeting
    async with dialled(hub) as desktop:
        caller = await hub.caller()
        await until(lambda: desktop.heard(f.ErrorFrame), "the error is heard")
        await caller.socket.close(4410, "taken")
        await until(lambda: desktop.line.endings, "the connection has ended")
        assert desktop.line.endings[0].retry_after_ms == 123_456
        assert desktop.line.dials == 1


async def test_a_redirect_is_not_followed(hub: HubDouble) -> None:
    """The token is for this hub and for no other."""

    async def redirect(connection: object, request: object) -> object:
        response = connection.respond(HTTPStatus.FOUND, "")  # type: ignore[attr-defined]  # the library's own object
        response.headers["Location"] = hub.url
        return response

    async def never(_: object) -> None:
        raise AssertionError("it is never reached")

    async with serve(never, "127.0.0.1", 0, process_request=redirect) as other:  # type: ignore[arg-type]  # as above
        port = next(iter(other.sockets)).getsockname()[1]
        desktop = Desktop(Place(f"ws://127.0.0.1:{port}/ws", "t"), SidecarClock())
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(desktop.line.run())
            await until(lambda: desktop.line.endings, "the dial has ended")
            running.cancel()
        assert "302" in desktop.line.endings[0].reason
        assert hub.headers == []


# --- the beat -----------------------------------------------------------------------------------------------


async def test_beats_go_out_on_their_own_even_when_nobody_takes_what_is_heard(hub: HubDouble) -> None:
    """L20"""
    hub.heartbeat_ms = 20
    async with dialled(hub) as desktop:
        caller = await hub.caller()
        desktop.has_room.clear()
        beats = [Heartbeat, Ping]
        await until(lambda: len([one for one in caller.heard if isinstance(one, Heartbeat)]) > 1, "two beats")
        assert [type(frame) for frame in caller.heard[1:3]] == beats
        desktop.has_room.set()


async def test_a_deaf_link_is_left_after_two_beats(hub: HubDouble) -> None:
    """L21"""
    hub.heartbeat_ms = 20
    hub.answers_pings = False
    async with dialled(hub) as desktop:
        await hub.caller(2)
        ending = desktop.line.endings[0]
        assert (ending.side, ending.reason) == ("us", "deaf: nothing heard for 2 beats")
        hub.answers_pings = True
        caller = await hub.caller(len(desktop.line.endings) + 1)
        seen = len(caller.heard)
        await until(lambda: len(caller.heard) > seen + 8, "a hub that answers is stayed with")


async def test_a_machine_that_slept_dials_again_at_once(hub: HubDouble) -> None:
    hub.heartbeat_ms = 20
    clock = SleepyClock()
    async with dialled(hub, clock=clock) as desktop:
        await hub.caller()
        await until(lambda: desktop.line.is_identified, "identified is heard")
        clock.slept_ms = 60_000
        await hub.caller(2)
        assert desktop.line.endings[0].reason == "the machine slept"
        assert desktop.line.endings[0].is_waking


async def test_a_hub_that_never_says_identified_is_left(
    hub: HubDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.identifies = False
    monkeypatch.setattr("protocol.limits.IDENTIFY_TIMEOUT_MS", 50)
    monkeypatch.setattr(link_module, "TICK_MS", 10)
    async with dialled(hub) as desktop:
        await until(lambda: desktop.line.dials > 1, "it dials again")
        assert desktop.line.endings[0].reason.startswith("not identified")
        assert not desktop.line.endings[0].identified


# --- saying and hearing -------------------------------------------------------------------------------------


async def test_what_is_said_to_an_older_link_goes_nowhere(hub: HubDouble) -> None:
    async with dialled(hub) as desktop:
        caller = await hub.caller()
        await until(lambda: desktop.line.is_identified, "identified is heard")
        desktop.line.say(7, [f.Draining()])
        await desktop.line.hang_up(7, "no")
        desktop.line.say(1, [f.Draining()])
        await until(lambda: f.Draining() in caller.heard, "the newest link says it")
        assert caller.heard.count(f.Draining()) == 1


async def test_a_goodbye_says_first_what_was_queued(hub: HubDouble) -> None:
    async with dialled(hub) as desktop:
        caller = await hub.caller()
        await until(lambda: desktop.line.is_identified, "identified is heard")
        fact = f.TaskAccepted(task_id=task(1), generation=Generation(1), seq=Seq(1))
        desktop.line.say(1, [fact])
        await desktop.line.hang_up(1, "goaway", retry_in_ms=5)
        await until(lambda: desktop.line.endings, "it has ended")
        assert fact in caller.heard
        ending = desktop.line.endings[0]
        assert (ending.side, ending.reason, ending.retry_after_ms) == ("us", "goaway", 5)


async def test_a_fact_out_of_turn_is_our_own_bug_and_costs_the_link_only(hub: HubDouble) -> None:
    async with dialled(hub) as desktop:
        await hub.caller()
        await until(lambda: desktop.line.is_identified, "identified is heard")
        desktop.line.say(1, [f.TaskAccepted(task_id=task(1), generation=Generation(1), seq=Seq(9))])
        await hub.caller(2)
        assert "protocol" in desktop.line.endings[0].reason


async def test_a_hub_that_breaks_the_protocol_is_told_and_left(hub: HubDouble) -> None:
    async with dialled(hub) as desktop:
        caller = await hub.caller()
        await until(lambda: desktop.line.is_identified, "identified is heard")
        await caller.socket.send('{"type":"no_such_frame"}')
        await caller.say(f.Pong(timestamp=5))
        await until(lambda: desktop.heard(f.Pong), "what is not understood is stepped over")
        await caller.socket.send(b"binary on a text wire")
        await hub.caller(2)
        assert (desktop.line.endings[0].side, caller.socket.close_code) == ("us", 1003)


async def test_a_hub_that_does_not_read_is_left(hub: HubDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "SEND_MS", 50)
    async with dialled(hub) as desktop:
        caller = await hub.caller()
        await until(lambda: desktop.line.is_identified, "identified is heard")
        caller.socket.transport.pause_reading()
        result = raw('"' + "x" * 250_000 + '"')
        for n in range(1, 65):
            fact = f.TaskComplete(task_id=task(n), generation=Generation(1), seq=Seq(n), result=result)
            desktop.line.say(1, [fact])
        await hub.caller(2)
        assert desktop.line.endings[0].reason == "the hub does not read what we say"


async def test_talk_that_a_slow_hub_cannot_take_is_dropped_and_counted_and_no_fact_is(
    hub: HubDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "UNSENT_TALK_BYTES_MAX", 500)
    async with dialled(hub) as desktop:
        caller = await hub.caller()
        await until(lambda: desktop.line.is_identified, "identified is heard")
        progress = f.TaskProgress(task_id=task(1), generation=Generation(1), message="x" * 600, dropped=3)
        line = f.TaskLog(task_id=task(1), generation=Generation(1))
        fact = f.TaskAccepted(task_id=task(1), generation=Generation(1), seq=Seq(1))
        desktop.line.say(1, [progress])
        desktop.line.say(1, [progress, line, fact])
        desktop.line.say(1, [line])
        assert TalkDropped(task(1), Generation(1), 4) in desktop.events
        await until(lambda: fact in caller.heard, "the fact is heard")
        assert caller.heard.count(progress) == 1
        assert line not in caller.heard


# --- certificates -------------------------------------------------------------------------------------------


async def test_a_certificate_is_verified_by_the_authorities_or_by_the_named_file(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    words += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    made = await asyncio.create_subprocess_exec("openssl", *words.split(), stderr=asyncio.subprocess.PIPE)
    _, complaint = await made.communicate()
    assert made.returncode == 0, complaint
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def hear(socket: object) -> None:
        await socket.wait_closed()  # type: ignore[attr-defined]  # the library's own object

    subprotocols = [Subprotocol(Wire.JSON.subprotocol)]
    async with serve(hear, "localhost", 0, ssl=context, subprotocols=subprotocols) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        place = Place(f"wss://localhost:{port}/ws", "t")
        with pytest.raises(ssl.SSLCertVerificationError):
            await try_dial(place)
        await try_dial(place._replace(ca_file=certificate))
        for wrong in (tmp_path / "none", key):
            with pytest.raises(SettingsError, match="not a file of certificates"):
                await try_dial(place._replace(ca_file=wrong))
