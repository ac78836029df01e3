"""One zygote process and its socket, as the sidecar sees them: is it there, and a guard out of it.

Owns the conversation, one question at a time, and each guard's descriptor, by which it is killed and waited
for whatever becomes of the zygote. Never starts a second zygote: `warm.py` replaces a lost one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterable
from typing import Any, Final

from sidecar.runners.importing import Importer
from sidecar.runners.prepared import CannotPrepare, Prepared
from sidecar.runners.zygotetalk import drop, hear, say

ANSWER_MS: Final = 10_000
"""A fork takes milliseconds, on a loaded machine a second; a zygote that is silent for ten is stopped."""


class NotThere(Exception):
    """The zygote is gone or silent, and nothing was begun: another one can be asked the same."""


class Forked:
    """A guard that is a fork of the zygote. Its descriptor means this process and never another one."""

    def __init__(self, process_fd: int) -> None:
        self._process_fd: int | None = process_fd

    def kill(self) -> None:
        if self._process_fd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process_fd, signal.SIGKILL)

    async def collected(self) -> None:
        if self._process_fd is None:
            return
        await _readable(self._process_fd)
        with contextlib.suppress(ChildProcessError):  # ours only when its zygote died and we are its init
            os.waitid(os.P_PIDFD, self._process_fd, os.WEXITED | os.WNOHANG)  # noqa: ASYNC222  it does not wait
        os.close(self._process_fd)
        self._process_fd = None


class Forker:
    """A zygote that has prepared. `begin` makes one; `end` is called once."""

    def __init__(self, importer: Importer, requests: socket.socket, prepared: Prepared) -> None:
        self.prepared = prepared
        self._importer = importer
        self._requests = requests
        self._turn = asyncio.Lock()
        self._asked = 0
        self._is_lost = False

    @classmethod
    async def begin(cls, importer: Importer) -> Forker:
        """Start it and wait until it has imported everything. CannotPrepare when that fails; nothing of it
        is left then.
        """
        ours, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with far:
                await importer.begin(far)
            ours.setblocking(False)
            return cls(importer, ours, await importer.prepared())
        except BaseException:
            ours.close()
            importer.kill()
            await importer.end()
            raise

    @property
    def pid(self) -> int | None:
        return self._importer.pid

    @property
    def is_gone(self) -> bool:
        return self._is_lost or self._importer.has_ended

    async def gone(self) -> None:
        """Return when the process has ended."""
        await self._importer.ended()

    async def make_sure(self) -> None:
        """It answers, or it is killed. NotThere when it is no zygote to ask."""
        try:
            drop((await self._ask({"ping": True}))[1])
        except OSError as trouble:
            raise NotThere from trouble

    async def fork(self, control_fd: int, given: Iterable[int]) -> Forked:
        """A guard with these descriptors. NotThere when nothing was asked; CannotPrepare when it was asked
        in vain: a guard that was begun all the same leaves when `control_fd` closes.
        """
        numbers = list(given)
        answer, descriptors = await self._ask({"guard": numbers}, [control_fd, *numbers])
        if not descriptors:
            raise CannotPrepare(str(answer.get("trouble", "the zygote answered without a process")))
        return Forked(descriptors[0])

    async def end(self) -> None:
        """Let it leave after the question that is being answered. Its guards stay with their runs."""
        try:
            async with self._turn:
                self._is_lost = True
        finally:
            self._is_lost = True
            self._requests.close()
            await self._importer.end()

    # -- one question

    async def _ask(
        self, question: dict[str, Any], descriptors: Iterable[int] = ()
    ) -> tuple[dict[str, Any], list[int]]:
        async with self._turn:
            if self.is_gone:
                raise NotThere
            self._asked += 1
            try:
                async with asyncio.timeout(ANSWER_MS / 1000):
                    return await self._answer_to({"ask": self._asked, **question}, descriptors)
            except TimeoutError:
                self._lose()
                silent = f"the zygote has not answered for {ANSWER_MS // 1000} s and was killed"
                raise CannotPrepare(silent) from None
            except (EOFError, ConnectionError, BlockingIOError) as trouble:
                self._lose()
                raise CannotPrepare(
                    self._importer.quoting("the zygote was lost while it was asked")
                ) from trouble

    def _lose(self) -> None:
        """Not to be asked again, also while the kernel still takes it down."""
        self._is_lost = True
        self._importer.kill()

    async def _answer_to(
        self, question: dict[str, Any], descriptors: Iterable[int]
    ) -> tuple[dict[str, Any], list[int]]:
        say(self._requests, question, descriptors)
        while True:
            await _readable(self._requests.fileno())
            answer, got = hear(self._requests)
            if answer["answer"] == question["ask"]:
                return answer, got
            drop(got)  # to somebody who no longer waits


async def _readable(descriptor: int) -> None:
    """Return when there is something to hear on it, an end too."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _settle, heard)
    try:
        await heard
    finally:
        loop.remove_reader(descriptor)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
