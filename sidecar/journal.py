"""The sidecar's memory of its own day: recorded before it is said, dropped when the hub has it.

Owns the format of the journal and what a damaged one means (`JournalBook`, over any `Disk`). A turn is one
record: length, CRC-32, and a MessagePack body that also says how much of the file was durable before it. So a
torn tail, which was never promised to anybody, is told from damage in what was; a damaged journal is set
aside and a new instance begins, never a silent empty one. Never decides what is recorded (`desk.py` does) and
never touches a file (`journal_file.py` does).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from enum import Enum
from struct import Struct as Layout
from typing import Final, Protocol

import msgspec

from protocol import limits
from protocol.frames import FactFrame
from protocol.ids import InstanceId
from sidecar.memory import (
    Counted,
    EpochHeard,
    FactNoted,
    MarkHeard,
    Memory,
    Receipted,
    Record,
    Remembered,
    Renumbered,
)

FORMAT: Final = 1
"""Raised when an older sidecar could not read the journal of a newer one."""

RECORD_BYTES_MAX: Final = 256 * limits.MIB
"""A length above this is damage: the biggest turn is some thousand results of 256 KiB."""

COMPACT_BYTES: Final = 4 * limits.MIB
"""A journal that has grown by less since it was last compacted is left alone: reading it takes a moment."""

_HEAD: Final = Layout("<II")


class JournalFull(Exception):
    """No room. Nothing of this turn is on disk, nothing may be said of it; try again later."""


class JournalBroken(Exception):
    """A write or sync failed in a way after which nothing may be believed: the sidecar must end."""


class Disk(Protocol):
    """One journal's file. A double that loses its unsynced tail is the power cut of the simulation."""

    def read(self) -> bytes | None:
        """Everything, or None when there is no journal yet."""

    def append(self, data: bytes) -> None:
        """Write at the end; all of it or, with JournalFull, none."""

    def sync(self) -> None:
        """Return when everything written is durable."""

    def truncate(self, size: int) -> None:
        """Cut the file, durably."""

    def replace(self, data: bytes) -> None:
        """Put a new journal in the place of the old one, whole and durable, or not at all."""

    def set_aside(self) -> str:
        """Move a journal that cannot be read out of the way, and say where it is."""


class Verdict(Enum):
    """What reading a journal found."""

    WHOLE = "whole"
    TORN = "a torn tail was dropped: it was never durable and never said"
    DAMAGED = "damaged where it had been durable"


class Header(msgspec.Struct, frozen=True, tag="journal", array_like=True):
    """The first record of a journal."""

    format: int
    instance_id: InstanceId


class _StoredFact(msgspec.Struct, frozen=True, tag="fact", array_like=True):
    """A fact as it was said: JSON text, because its free-form members are JSON text."""

    wall_ms: int
    frame: bytes


_Stored = (
    Header | _StoredFact | Receipted | MarkHeard | Renumbered | EpochHeard | Remembered | Counted
)  # what stands in a file


class _Turn(msgspec.Struct, frozen=True, array_like=True):
    durable_bytes: int
    records: list[_Stored]


_encode_turn: Final = msgspec.msgpack.Encoder().encode
_decode_turn: Final = msgspec.msgpack.Decoder(_Turn).decode
_encode_fact: Final = msgspec.json.Encoder().encode
_decode_fact: Final[Callable[[bytes], FactFrame]] = msgspec.json.Decoder(FactFrame).decode


class Reading(msgspec.Struct, frozen=True):
    """What a file says. `whole_bytes` is where the good part ends."""

    verdict: Verdict
    instance_id: InstanceId | None
    memory: Memory
    whole_bytes: int


def encode_turn(records: Sequence[Record | Header], durable_bytes: int) -> bytes:
    """One turn as it stands in the file."""
    stored = [
        _StoredFact(record.wall_ms, _encode_fact(record.frame)) if isinstance(record, FactNoted) else record
        for record in records
    ]
    body = _encode_turn(_Turn(durable_bytes, stored))
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def read_journal(data: bytes) -> Reading:
    """Replay a file. Pure: the caller cuts a torn tail, or sets a damaged file aside."""
    memory, offset = Memory(), 0
    instance_id: InstanceId | None = None
    while offset < len(data):
        found = _turn_at(data, offset)
        if found is None:
            break
        turn, end = found
        try:
            instance_id = _replay(turn, memory, instance_id)
        except msgspec.MsgspecError:
            return Reading(Verdict.DAMAGED, instance_id, memory, offset)
        offset = end
    if instance_id is None or _promised(data, offset):
        return Reading(Verdict.DAMAGED, instance_id, memory, offset)
    return Reading(Verdict.WHOLE if offset == len(data) else Verdict.TORN, instance_id, memory, offset)


def _turn_at(data: bytes, offset: int) -> tuple[_Turn, int] | None:
    """The turn that begins here, and where it ends; None when what stands here is not a whole turn."""
    start = offset + _HEAD.size
    if start > len(data):
        return None
    length, checksum = _HEAD.unpack_from(data, offset)
    end = start + length
    if not 0 < length <= RECORD_BYTES_MAX or end > len(data) or zlib.crc32(data[start:end]) != checksum:
        return None
    try:
        return _decode_turn(data[start:end]), end
    except msgspec.MsgspecError:
        return None


def _promised(data: bytes, offset: int) -> bool:
    """Whether a later turn was written when more than `offset` was durable: then this is damage."""
    for later in range(offset + 1, len(data) - _HEAD.size):
        length, _ = _HEAD.unpack_from(data, later)
        if length > len(data) - later:
            continue  # most offsets end here, so the search is quick
        found = _turn_at(data, later)
        if found is not None and found[0].durable_bytes > offset:
            return True
    return False


def _replay(turn: _Turn, memory: Memory, instance_id: InstanceId | None) -> InstanceId | None:
    for stored in turn.records:
        match stored:
            case Header():
                if stored.format != FORMAT:
                    raise msgspec.ValidationError(f"format {stored.format} of the journal is not known")
                instance_id = stored.instance_id
            case _StoredFact():
                memory.note(FactNoted(_decode_fact(stored.frame), stored.wall_ms))
            case _:
                memory.note(stored)
    return instance_id


class JournalBook:
    """An open journal. `memory` is what it adds up to; the desk notes records there and commits them here."""

    def __init__(self, disk: Disk, instance_id: InstanceId, memory: Memory, size: int) -> None:
        self._disk = disk
        self.instance_id = instance_id
        self.memory = memory
        self._size = size
        self._durable = size
        self._compacted = size
        self.syncs = 0
        self.compactions = 0

    @classmethod
    def open(cls, disk: Disk, new_instance_id: Callable[[], InstanceId]) -> tuple[JournalBook, list[str]]:
        """Read what there is, repair what may be repaired, and say aloud what was found."""
        data = disk.read()
        notices: list[str] = []
        if data is not None:
            reading = read_journal(data)
            if reading.verdict is not Verdict.DAMAGED:
                assert reading.instance_id is not None, "a journal without a header is damaged"
                if reading.verdict is Verdict.TORN:
                    notices.append(f"{len(data) - reading.whole_bytes} bytes: {reading.verdict.value}")
                    disk.truncate(reading.whole_bytes)
                return cls(disk, reading.instance_id, reading.memory, reading.whole_bytes), notices
            notices.append(
                f"the journal is {reading.verdict.value}; it was set aside as {disk.set_aside()}; this is a"
                " new instance: the hub gives the work of the old one to somebody else"
            )
        book = cls(disk, new_instance_id(), Memory(), 0)
        book.compact()
        return book, notices

    @property
    def is_long(self) -> bool:
        """The next commit will write a shorter file, which takes a moment."""
        return self._size - self._compacted > max(COMPACT_BYTES, 2 * self._compacted)

    def commit(self, records: Sequence[Record]) -> None:
        """Write one turn; return when it is durable, as far as it must be.

        What only forgets (receipts, marks) need not be: a hub that hears such a fact again says `duplicate`.
        Raises JournalFull (nothing written; the same records may be committed again) or JournalBroken.
        """
        if self.is_long:
            try:
                self.compact()
            except JournalFull:
                self._compacted = self._size  # no room for two: try again when it has grown a good deal more
            else:
                return
        turn = encode_turn(records, self._durable)
        try:
            self._disk.append(turn)
        except JournalFull:
            self.compact()  # perhaps there is room for a shorter one
            return
        self._size += len(turn)
        if must_sync(records):
            self.sync()

    def sync(self) -> None:
        """Make everything written durable."""
        if self._durable < self._size:
            self._disk.sync()
            self.syncs += 1
            self._durable = self._size

    def compact(self) -> None:
        """Start a new file that says only what still counts; the memory already holds this turn's records."""
        data = encode_turn([Header(FORMAT, self.instance_id), *self.memory.snapshot()], 0)
        self._disk.replace(data)
        self.syncs += 1
        self.compactions += 1
        self._size = self._durable = self._compacted = len(data)


def must_sync(records: Sequence[Record]) -> bool:
    """Whether losing these records would break a promise."""
    return any(isinstance(record, FactNoted | Renumbered) for record in records)
