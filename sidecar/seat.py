"""`python -m sidecar.seat`: a name and a token for each of several equal containers, and then their sidecar.

Owns the choice: every file `NAME.token` is a seat, and whoever locks it first has it until its process ends,
so that two replicas are two agents, and a new container goes on with the journal of the one before. Never
reads a token, and never starts a second process: the command takes this one's place, and the lock with it.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import click

SUFFIX: Final = ".token"

NOT_SET_UP: Final = 78
ALL_TAKEN: Final = 75
"""The exit codes of sysexits.h for `configuration` and `try again`: whoever restarts containers does so."""


class Seat(NamedTuple):
    """One agent's name, and the file with its token."""

    name: str
    token_file: Path

    def environment(self, folder: Path) -> dict[str, str]:
        """What makes a sidecar the one of this seat."""
        return {
            "SIDECAR_AGENT_ID": self.name,
            "SIDECAR_STATE_DIR": str(folder / self.name),
            "SIDECAR_TOKEN_FILE": str(self.token_file),
        }


def seats(tokens: Path) -> list[Seat]:
    """One for each token, in the order of their names."""
    return [Seat(path.name.removesuffix(SUFFIX), path) for path in sorted(tokens.glob(f"?*{SUFFIX}"))]


def take(seat: Seat, folder: Path) -> bool:
    """Have the seat until this process ends, also as another program; False when another one has it."""
    lock = os.open(folder / f"{seat.name}.seat", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    os.set_inheritable(lock, True)  # the sidecar has it; what a sidecar starts gets no stray descriptors
    return True


def leave(code: int, sentence: str) -> None:
    click.echo(f"seat: {sentence}", err=True)
    sys.exit(code)


def sit_down(tokens: Path, folder: Path, command: tuple[str, ...], environ: Mapping[str, str]) -> None:
    """Become the command, in the first seat that is free; return never."""
    known = seats(tokens)
    if not known:
        leave(NOT_SET_UP, f"no token in {tokens}: write one a replica there, each into a file NAME{SUFFIX}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for seat in known:
        if take(seat, folder):
            click.echo(f"seat: this is `{seat.name}`", err=True)
            os.execvpe(command[0], command, {**environ, **seat.environment(folder)})  # noqa: S606  it becomes the sidecar
    names = ", ".join(seat.name for seat in known)
    leave(ALL_TAKEN, f"all seats are taken ({names}): write a token for one more replica into {tokens}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--tokens", type=click.Path(path_type=Path), required=True, metavar="DIR")
@click.option("--folder", type=click.Path(path_type=Path), required=True, metavar="DIR")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(tokens: Path, folder: Path, command: tuple[str, ...]) -> None:
    """Run COMMAND as the first agent whose token in --tokens nobody else uses.

    The replicas share --folder: locks and state folders lie there.
    """
    sit_down(tokens, folder, command, os.environ)


if __name__ == "__main__":
    main(prog_name="python -m sidecar.seat")
