"""Staying with a hub that is away for a while: asked again, and its feed resumed where it broke off.

Owns how long a command is patient. Never knows what the answers are for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from console.output import CommandFailed, Exit, Output

if TYPE_CHECKING:
    from hub.commands.client import HubClient, HubEvent

T = TypeVar("T")

REDIAL_S: Final = 1.0
REDIALS_MAX: Final = 60
"""A minute without a hub, then the command says so and ends; the task goes on."""


def patiently(output: Output, call: Callable[[], T]) -> T:
    """Ask again while no hub answers, for a minute: it may be on its way up."""
    for redial in range(REDIALS_MAX):
        try:
            return call()
        except CommandFailed as failure:
            if failure.code != Exit.UNREACHABLE:
                raise
        if redial == 0:
            output.note("= the hub does not answer; trying again")
        threading.Event().wait(REDIAL_S)
    return call()


def feed_for_ever(
    client: HubClient, output: Output, *, since: str | None, task: str | None = None, agent: str | None = None
) -> Iterator[HubEvent]:
    """The feed, resumed at the last cursor as often as the link breaks."""
    silent_dials = 0
    while True:
        try:
            for event in client.feed(since=since, task=task, agent=agent):
                silent_dials = 0
                since = event.cursor or since
                yield event
        except CommandFailed as failure:
            if failure.code != Exit.UNREACHABLE or since is None:
                raise
        silent_dials += 1
        if silent_dials > REDIALS_MAX:
            raise CommandFailed(f"The hub at {client.url} has not answered for a minute.", Exit.UNREACHABLE)
        if silent_dials == 1:
            output.note("= the feed has ended; dialling again")
        threading.Event().wait(REDIAL_S)
