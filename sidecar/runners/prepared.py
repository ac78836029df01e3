"""What a process that has imported the plugins says of them, once.

Owns the form of that report, and the one exception for everything that keeps crews from starting. Never
starts anything.
"""

from __future__ import annotations

import errno

import msgspec

from plugins.contract import Trouble


class CannotPrepare(OSError):
    """No process for a crew, and why. `traceback` where code of a plugin or of the child module raised."""

    def __init__(self, sentence: str, traceback: str = "") -> None:
        super().__init__(errno.EAGAIN, sentence)
        self.sentence = sentence
        self.traceback = traceback

    def __str__(self) -> str:
        return self.sentence


class PreparedPlugin(msgspec.Struct, frozen=True):
    """A plugin whose code has been imported."""

    name: str
    version: str = ""


class Prepared(msgspec.Struct, frozen=True):
    """The plugins that can be run, and what is wrong with the others."""

    plugins: tuple[PreparedPlugin, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    crewai: str = ""


class _Told(Prepared, frozen=True):
    refused: str | None = None
    traceback: str = ""


_told = msgspec.json.Decoder(_Told)


def read_report(line: bytes) -> Prepared:
    """The report out of its line. CannotPrepare when it is a refusal, or not whole."""
    try:
        told = _told.decode(line)
    except msgspec.MsgspecError as trouble:
        raise CannotPrepare(f"what the import of the plugins said cannot be read: {trouble}") from trouble
    if told.refused is not None:
        raise CannotPrepare(told.refused, told.traceback)
    return Prepared(plugins=told.plugins, troubles=told.troubles, crewai=told.crewai)
