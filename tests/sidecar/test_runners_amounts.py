"""The memory of a run is that of all its processes, and a run that takes too much is ended and says so."""

import asyncio
import os
import re
from pathlib import Path

from sidecar.runners.amounts import (
    MIB,
    UNSEEN_MAX,
    Family,
    descendants,
    excess,
    processes,
    pss_bytes,
    watch,
)
from sidecar.runners.contract import Failed, Finished
from tests.sidecar.crewbench import CrewBench, crew, time_machine
from tests.waiting import until

TAKES = "taken = bytearray(os.urandom(1 << 20)) * 200\n"


async def failure_of(bench: CrewBench) -> Failed:
    outcome = await bench.run()
    assert isinstance(outcome, Failed), outcome
    return outcome


async def test_a_crew_that_takes_too_much_memory_is_ended_with_both_figures(tmp_path: Path) -> None:
    """L92: not an unexplained kill; and a second attempt would take as much."""
    bench = crew(tmp_path, TAKES + "time.sleep(600)", memory_bytes=64 * MIB)
    failed = await failure_of(bench)
    said = re.fullmatch(
        r"used (\d+) MiB, at most 64 are allowed \(crew_memory_bytes\)", failed.error
    )  # it may be seen while it still takes more
    assert said is not None, failed.error
    assert int(said[1]) > 64
    assert (failed.cause, failed.retryable) == ("memory", False)
    assert failed.proof is not None
    assert failed.proof.signals[-1] == "KILL"
    assert not bench.left()


async def test_memory_counts_wherever_in_the_run_it_is_taken(tmp_path: Path) -> None:
    """L75: by an orphan in a session of its own, adopted by the guard."""
    source = f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() != 0: os._exit(0)
    {TAKES}
time.sleep(600)
"""
    failed = await failure_of(crew(tmp_path, source, memory_bytes=64 * MIB))
    assert failed.cause == "memory"


async def test_what_is_reserved_or_shared_is_not_counted_twice(tmp_path: Path) -> None:
    """A limit on the address space would end this run, and one on resident pages would count them five
    times.
    """
    source = f"""
import mmap
room = mmap.mmap(-1, 1 << 32)
{TAKES}
for _ in range(4):
    if os.fork() == 0: break
say(log=str(os.getpid()))
hear()
say(result=1)
"""
    bench = crew(tmp_path, source, memory_bytes=None)

    async def measure(bench: CrewBench) -> None:
        await until(lambda: len(bench.texts()) == 5, "all five are up")
        pids = {int(text) for text in bench.texts()}
        family = Family(min(pids, key=lambda pid: os.getsid(pid) != pid))
        assert family.members() == pids
        used = family.used_bytes()
        assert used is not None
        assert 200 * MIB < used < 500 * MIB
        bench.stop.set("cancel", 60_000)

    assert isinstance(await bench.run_while(measure), Finished)


async def test_a_crew_within_its_memory_is_left_alone(tmp_path: Path) -> None:
    bench = crew(tmp_path, TAKES + "say(log='up'); hear(); say(result=1)", memory_bytes=1024 * MIB)

    async def leap_on(bench: CrewBench) -> None:
        await until(lambda: "up" in bench.texts(), "the crew is up")
        with time_machine() as leap:
            for _ in range(5):
                leap(1)
                await asyncio.to_thread(os.getpid)
        bench.stop.set("cancel", 60_000)

    assert isinstance(await bench.run_while(leap_on), Finished)


async def test_a_watch_ends_with_its_run_and_after_one_excess() -> None:
    over = asyncio.Event()
    told: list[int] = []
    with time_machine() as leap:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch(os.getpid, 1, told.append, over))
            while not told:
                leap(1)
                await asyncio.to_thread(os.getpid)
    assert watching.result()
    assert len(told) == 1
    over.set()
    assert await watch(os.getpid, 1, told.append, over)
    assert len(told) == 1


async def test_a_watch_that_sees_nothing_says_so() -> None:
    """Where /proc tells nothing a limit cannot hold, and pretending would be worse than saying it."""
    looks = 0

    def leader() -> int:
        nonlocal looks
        looks += 1
        return 2**22 + 1  # above every process number

    with time_machine() as leap:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch(leader, 1, lambda _: None, asyncio.Event()))
            while not watching.done():
                leap(1)
                await asyncio.to_thread(os.getpid)
    assert watching.result() is False
    assert looks == UNSEEN_MAX


def test_this_process_can_be_measured() -> None:
    used = pss_bytes(os.getpid())
    assert used is not None
    assert used > MIB
    assert pss_bytes(2**22 + 1) is None
    assert os.getpid() in processes()


def test_a_family_is_everybody_below_its_roots() -> None:
    found = {2: (1, 2), 3: (2, 2), 4: (3, 4), 5: (1, 5), 6: (5, 5)}
    assert descendants({2}, found) == {2, 3, 4}
    assert Family(2**22 + 1).members() == set()


def test_the_sentence_rounds_up_so_that_used_is_more_than_allowed() -> None:
    assert excess(64 * MIB + 1, 64 * MIB) == "used 65 MiB, at most 64 are allowed (crew_memory_bytes)"
