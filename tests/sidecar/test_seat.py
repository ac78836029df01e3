"""Several equal containers: each takes a seat of its own, keeps it as another program, and leaves it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sidecar.seat import ALL_TAKEN, NOT_SET_UP, seats
from tests.waiting import until_true

TELL = (
    "import os, sys; names = ('AGENT_ID', 'STATE_DIR', 'TOKEN_FILE');"
    "print(*(os.environ['SIDECAR_' + name] for name in names), flush=True); sys.stdin.read()"
)


class Yard:
    """The folder with the tokens and the one that the replicas share."""

    def __init__(self, root: Path) -> None:
        self.tokens, self.folder = root / "tokens", root / "shared"
        self.tokens.mkdir()

    def write(self, *names: str) -> None:
        for name in names:
            (self.tokens / name).write_text("a token")

    def command(self, *command: str) -> list[str]:
        seat = (sys.executable, "-m", "sidecar.seat", f"--tokens={self.tokens}", f"--folder={self.folder}")
        return [*seat, "--", *(command or (sys.executable, "-c", TELL))]

    @contextmanager
    def replica(self) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
        """A process that sits, and what it was told."""
        pipe = subprocess.PIPE
        with subprocess.Popen(self.command(), stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                assert process.stdout is not None
                yield process, process.stdout.readline().split()
            finally:
                process.kill()

    def fails(self) -> tuple[int, str]:
        ended = subprocess.run(self.command(), capture_output=True, text=True, check=False, input="")
        return ended.returncode, ended.stderr


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def test_two_replicas_are_two_agents_with_a_token_and_a_folder_each(yard: Yard) -> None:
    yard.write("sidecar-1.token", "sidecar-2.token")
    with yard.replica() as (_, first), yard.replica() as (_, second):
        for name, told in (("sidecar-1", first), ("sidecar-2", second)):
            assert told == [name, str(yard.folder / name), str(yard.tokens / f"{name}.token")]


def test_a_killed_replica_s_seat_goes_to_the_next_one_with_its_state(yard: Yard) -> None:
    yard.write("sidecar-1.token", "sidecar-2.token")
    with yard.replica() as (first, told), yard.replica():
        first.kill()
        first.wait()
        with yard.replica() as (_, again):
            assert again == told


def test_one_replica_more_than_tokens_says_what_to_do_and_may_try_again(yard: Yard) -> None:
    yard.write("sidecar-1.token")
    with yard.replica():
        code, said = yard.fails()
    assert code == ALL_TAKEN
    assert "all seats are taken (sidecar-1)" in said
    assert str(yard.tokens) in said


def test_without_any_token_it_says_where_one_belongs(yard: Yard) -> None:
    yard.write("README", ".token", "sidecar-1.token.old")
    code, said = yard.fails()
    assert code == NOT_SET_UP
    assert str(yard.tokens) in said


def test_what_the_sidecar_starts_does_not_hold_its_seat(yard: Yard) -> None:
    """A run that outlives its sidecar for a moment would lock the next one out."""
    yard.write("sidecar-1.token")
    orphan = (
        "import subprocess, sys;"
        "child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'], stdin=0);"
        "print(child.pid, flush=True)"
    )
    reading, writing = os.pipe()
    command = yard.command(sys.executable, "-c", orphan)
    with subprocess.Popen(command, stdin=reading, stdout=subprocess.PIPE, text=True) as parent:
        os.close(reading)
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.wait()
        os.kill(pid, 0)
        with yard.replica() as (_, told):
            assert told[0] == "sidecar-1"
        os.close(writing)
    until_true(lambda: not psutil.pid_exists(pid), "the orphan has ended")


def test_seats_are_in_the_order_of_their_names(yard: Yard) -> None:
    yard.write("b.token", "a.token", "c.d.token")
    assert [seat.name for seat in seats(yard.tokens)] == ["a", "b", "c.d"]
