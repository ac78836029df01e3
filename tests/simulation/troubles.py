"""How each kind of trouble comes over the world: one small function a fault kind.

Owns `TROUBLES`. A function returns whether there was anything to trouble; only then the fault counts as hit.
Never chooses the moment: the plan does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hub.core.events import AgentDisconnectRequested, AgentDrainRequested, AgentPaused, AgentUnpaused
from sidecar.events import DrainRequested, Pause
from tests.simulation.bulk import cancel_many, cancel_one, retry_many
from tests.simulation.faults import PLACED, QUEUE_PLACED, Fault
from tests.simulation.sidecarside import Sidecar
from tests.simulation.wire import CLIENT, SERVER, Wire

if TYPE_CHECKING:
    from tests.simulation.world import World


def _some_wire(world: World) -> Wire | None:
    whole = [wire for wire in world.wires if wire.is_whole]
    return world.die.choice(whole) if whole else None


def _some_sidecar(world: World) -> Sidecar | None:
    living = [sidecar for sidecar in world.sidecars if sidecar.is_up]
    return world.die.choice(living) if living else None


# --- to the wire ------------------------------------------------------------------------------------------


def _cut_link(world: World) -> bool:
    wire = _some_wire(world)
    if wire is not None:
        wire.cut()
    return wire is not None


def _half_open_link(world: World) -> bool:
    wire = _some_wire(world)
    if wire is not None:
        wire.half_open(aware=world.die.choice((CLIENT, SERVER)))
    return wire is not None


def _stall_link(world: World) -> bool:
    wire = _some_wire(world)
    if wire is not None:
        wire.stall(world.die.choice((CLIENT, SERVER)), world.die.choice((500, 5_000, 35_000, 60_000)))
    return wire is not None


def _repeat_message(world: World) -> bool:
    """A peer (or a proxy) says its last message twice."""
    sidecar = _some_sidecar(world)
    return sidecar is not None and sidecar.repeat_last()


def _say_bad_fact(world: World) -> bool:
    sidecar = _some_sidecar(world)
    return sidecar is not None and sidecar.voice.spoil_next_fact()


# --- to the hub -------------------------------------------------------------------------------------------


def _crash_hub(world: World) -> bool:
    was_up = world.hub.is_up
    world.hub.crash()
    return was_up


def _crash_before_commit(world: World) -> bool:
    world.hub.crash_next = Fault.HUB_CRASH_BEFORE_COMMIT
    return False  # counted when it happens


def _crash_after_commit(world: World) -> bool:
    world.hub.crash_next = Fault.HUB_CRASH_AFTER_COMMIT
    return False


def _drain_hub(world: World) -> bool:
    return world.hub.drain()


def _refuse_commit(world: World) -> bool:
    world.hub.refuse_next = True
    return False


def _slow_commits(world: World) -> bool:
    world.hub.slow_until_ms = world.scheduler.now_ms + world.die.choice((1_000, 10_000))
    return True


def _fill_storage(world: World) -> bool:
    world.hub.full_until_ms = world.scheduler.now_ms + world.die.choice((1_000, 15_000, 60_000))
    return True


def _jump_wall(world: World) -> bool:
    world.hub.wall_skew_ms = world.die.choice((-1, 1)) * world.die.choice((3_600_000, 365 * 86_400_000))
    return True


def _restore_backup(world: World) -> bool:
    return world.hub.restore_later()


# --- to the sidecars --------------------------------------------------------------------------------------


def _crash_sidecar(world: World) -> bool:
    sidecar = _some_sidecar(world)
    if world.v1_clients and world.die.random() < 0.3:
        world.die.choice(world.v1_clients).crash()
    elif sidecar is not None:
        sidecar.crash()
    return sidecar is not None


def _cut_power(world: World) -> bool:
    """Now, or in the middle of the next write to the journal."""
    sidecar = _some_sidecar(world)
    if sidecar is not None and world.die.random() < 0.5:
        sidecar.disk.cut_next = True
    elif sidecar is not None:
        sidecar.crash(power=True)
    return sidecar is not None


def _drain_sidecar(world: World) -> bool:
    sidecar = _some_sidecar(world)
    if sidecar is not None:
        sidecar.post(DrainRequested())
    return sidecar is not None


def _wipe_journal(world: World) -> bool:
    sidecar = _some_sidecar(world)
    if sidecar is not None:
        sidecar.crash()
        sidecar.disk.wipe()
    return sidecar is not None


def _corrupt_journal(world: World) -> bool:
    sidecar = _some_sidecar(world)
    if sidecar is None or not sidecar.disk.rot(world.die.random()):
        return False
    sidecar.crash()
    return True


def _add_second_instance(world: World) -> bool:
    sidecar = _some_sidecar(world)
    if sidecar is None or sidecar.is_second or any(other.is_second for other in world.sidecars):
        return False
    world.sidecars.append(Sidecar(world, sidecar.agent_id, is_second=True))
    world.sidecars[-1].start()
    return True


# --- by people --------------------------------------------------------------------------------------------


def _pause_agent(world: World) -> bool:
    agent_id = world.die.choice(world.names)
    world.hub.post(AgentPaused(agent_id=agent_id, by="a person"))
    world.scheduler.after(
        world.die.uniform(1_000, 60_000),
        lambda: world.hub.post(AgentUnpaused(agent_id=agent_id, by="a person")),
    )
    return world.hub.is_up


def _drain_agent(world: World) -> bool:
    world.hub.post(AgentDrainRequested(agent_id=world.die.choice(world.names), by="a person"))
    return world.hub.is_up


def _disconnect_agent(world: World) -> bool:
    world.hub.post(AgentDisconnectRequested(agent_id=world.die.choice(world.names), by="a person"))
    return world.hub.is_up


def _rest_agent(world: World) -> bool:
    """Quiet hours begin, and end some time later; now and then they are over before anybody knows."""
    sidecar = _some_sidecar(world)
    if sidecar is None:
        return False
    for_ms = world.die.choice((10, 5_000, 60_000))
    sidecar.rest(Pause(until=world.wall_ms() + for_ms if world.die.random() < 0.5 else None))
    world.scheduler.after(for_ms, lambda: sidecar.rest(None))
    return True


def _cut_watcher(world: World) -> bool:
    watcher = world.die.choice(world.watchers)
    watcher.cut()
    return True


TROUBLES: Final[dict[Fault, Callable[[World], bool]]] = {
    Fault.LINK_CUT: _cut_link,
    Fault.LINK_HALF_OPEN: _half_open_link,
    Fault.LINK_STALLED: _stall_link,
    Fault.MESSAGE_REPEATED: _repeat_message,
    Fault.BAD_FACT: _say_bad_fact,
    Fault.HUB_CRASH: _crash_hub,
    Fault.HUB_CRASH_BEFORE_COMMIT: _crash_before_commit,
    Fault.HUB_CRASH_AFTER_COMMIT: _crash_after_commit,
    Fault.HUB_DRAINED: _drain_hub,
    Fault.COMMIT_REFUSED: _refuse_commit,
    Fault.COMMIT_SLOW: _slow_commits,
    Fault.STORAGE_FULL: _fill_storage,
    Fault.WALL_JUMP: _jump_wall,
    Fault.BACKUP_RESTORED: _restore_backup,
    Fault.SIDECAR_CRASH: _crash_sidecar,
    Fault.SIDECAR_POWER_LOSS: _cut_power,
    Fault.SIDECAR_DRAINED: _drain_sidecar,
    Fault.JOURNAL_WIPED: _wipe_journal,
    Fault.JOURNAL_CORRUPT: _corrupt_journal,
    Fault.SECOND_INSTANCE: _add_second_instance,
    Fault.AGENT_PAUSED: _pause_agent,
    Fault.AGENT_DRAINED: _drain_agent,
    Fault.AGENT_DISCONNECTED: _disconnect_agent,
    Fault.AGENT_RESTS: _rest_agent,
    Fault.CANCEL: cancel_one,
    Fault.CANCEL_MANY: cancel_many,
    Fault.RETRY_MANY: retry_many,
    Fault.WATCHER_CUT: _cut_watcher,
}

assert set(TROUBLES) == {*PLACED, *QUEUE_PLACED}, "every placed fault kind has its function"
