"""The journal under every damage that a disk can do to it, and the file that it really lives in."""

from __future__ import annotations

import pytest

from protocol import frames as f
from protocol.ids import Generation, InstanceId, Seq
from sidecar import journal as j
from sidecar import memory as m
from sidecar.journal import JournalBook, JournalFull, Verdict, read_journal
from sidecar.memory import EpochHeard, MarkHeard, Memory, Receipted, Record
from tests.sidecar.dialogue import Dialogue, MemoryDisk, finished, open_book, task


def memory_of(disk: MemoryDisk) -> Memory:
    assert disk.written is not None
    return read_journal(disk.written).memory


def state(memory: Memory) -> tuple[object, ...]:
    facts = {seq: fact.frame.task_id for seq, fact in memory.facts.items()}
    return memory.seq_next, memory.hub_epoch, facts, dict(memory.live), list(memory.tops.items())


def a_day() -> tuple[MemoryDisk, list[bytes], list[tuple[object, ...]]]:
    """A journal after each turn of a small day: the disk, the file and the memory as they were."""
    disk = MemoryDisk()
    book, _ = open_book(disk)
    talk = Dialogue(memory=book.memory)
    files, states = [disk.written or b""], [state(book.memory)]

    def commit(records: list[Record]) -> None:
        book.commit(records)
        files.append(disk.written or b"")
        states.append(state(book.memory))

    talk.connect(hub_epoch="e1")
    commit(talk.records)
    talk.assign(1)
    commit(talk.records)
    talk.assign(2)
    commit(talk.records)
    talk.hear(f.TaskAck(task_id=task(1), status="accepted", seq=Seq(1)))
    commit(talk.records)
    talk.end(1, finished(b'{"a":"\xc3\xa4"}'))
    commit(talk.records)
    talk.hear(f.TaskAck(task_id=task(2), status="accepted", seq=Seq(2)))
    commit(talk.records)
    return disk, files, states


def test_a_journal_that_is_read_back_gives_the_same_memory() -> None:
    disk, _, states = a_day()
    book, notices = open_book(disk)
    assert state(book.memory) == states[-1]
    assert (notices, book.instance_id) == ([], "instance-1")


def test_a_journal_cut_at_any_byte_keeps_every_whole_turn_before_the_cut() -> None:
    disk, files, states = a_day()
    whole = disk.written or b""
    for size in range(len(files[0]), len(whole)):
        turns = max(n for n, file in enumerate(files) if len(file) <= size)
        cut = MemoryDisk(whole[:size])
        book, notices = open_book(cut)
        assert state(book.memory) == states[turns]
        assert bool(notices) is (size != len(files[turns]))
        assert cut.written == files[turns], "the torn tail is gone from the file as well"


def test_a_journal_cut_in_its_first_record_is_set_aside_and_a_new_instance_begins() -> None:
    _, files, _ = a_day()
    for size in range(len(files[0])):
        disk = MemoryDisk(files[0][:size])
        book, notices = JournalBook.open(disk, lambda: InstanceId("fresh"))
        assert book.instance_id == "fresh"
        assert "new instance" in notices[0]
        assert disk.aside == [files[0][:size]]
        assert open_book(disk)[0].instance_id == "fresh"


def test_a_flipped_byte_is_never_read_as_something_else() -> None:
    """In what was durable it is damage; in the last turn it cannot be told from a torn tail."""
    disk, files, states = a_day()
    whole = disk.written or b""
    # The last turn tells that everything before it was durable.
    promised = len(files[-2])
    for at in range(len(whole)):
        flipped = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        reading = read_journal(flipped)
        if at < promised:
            assert reading.verdict is Verdict.DAMAGED, at
        else:
            assert reading.verdict is Verdict.TORN
            assert state(reading.memory) in states


def test_unsynced_turns_that_reach_the_disk_out_of_order_are_a_torn_tail() -> None:
    """Pages may reach the disk in any order before a sync: a hole before a whole turn is not damage then."""
    disk = MemoryDisk()
    book, _ = open_book(disk)
    book.commit([EpochHeard("one")])
    hole = len(disk.written or b"")
    book.commit([EpochHeard("two")])
    end = len(disk.written or b"")
    book.commit([EpochHeard("three")])
    data = bytearray(disk.written or b"")
    data[hole:end] = bytes(end - hole)
    reading = read_journal(bytes(data))
    assert (reading.verdict, reading.memory.hub_epoch) == (Verdict.TORN, "one")


def test_a_power_cut_loses_nothing_that_was_committed() -> None:
    """Facts are synced before they are said; what only forgets may be lost, and is asked for again."""
    disk = MemoryDisk()
    book, _ = open_book(disk)
    talk = Dialogue(memory=book.memory, slots=100)
    talk.connect()
    book.commit(talk.records)
    promised = 0
    for n in range(1, 40):
        talk.assign(n)
        book.commit(talk.records)
        promised += 1
        if n % 3 == 0:
            talk.receipt_all()
            book.commit(talk.records) if talk.records else None
        for kept in (0, 1, 7):
            cut = disk.cut_power(kept)
            survivor, _ = open_book(cut)
            assert survivor.memory.seq_next == promised + 1
            assert survivor.memory.is_live(task(n), Generation(1))
    assert book.syncs == promised + 1, "one a turn with facts, and one for the new file"


def test_what_only_forgets_is_not_synced() -> None:
    disk = MemoryDisk()
    book, _ = open_book(disk)
    before = book.syncs
    book.commit([Receipted(Seq(1)), MarkHeard(Seq(2)), EpochHeard("e")])
    assert book.syncs == before
    book.sync()
    book.sync()
    assert book.syncs == before + 1


def test_a_journal_of_a_newer_format_is_set_aside() -> None:
    disk = MemoryDisk(j.encode_turn([j.Header(j.FORMAT + 1, InstanceId("new"))], 0))
    _, notices = open_book(disk)
    assert len(disk.aside) == 1
    assert "damaged" in notices[0]


def test_a_record_that_is_no_record_is_damage() -> None:
    import struct
    import zlib

    good = j.encode_turn([j.Header(j.FORMAT, InstanceId("i"))], 0)
    for body in (b"\xc0", b"\x92\x00\x91\x92\xa7unknown\x01"):
        bad = struct.pack("<II", len(body), zlib.crc32(body)) + body
        later = j.encode_turn([EpochHeard("e")], len(good) + len(bad))
        assert read_journal(good + bad + later).verdict is Verdict.DAMAGED
    unreadable = j.encode_turn([j._StoredFact(1, b'{"type":"task_accepted"}')], len(good))  # type: ignore[list-item]  # damage that no writer makes
    assert read_journal(good + unreadable).verdict is Verdict.DAMAGED


# --- compaction ---------------------------------------------------------------------------------------------


def test_a_compacted_journal_adds_up_to_the_same_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(j, "COMPACT_BYTES", 2_000)
    disk = MemoryDisk()
    book, _ = open_book(disk)
    talk = Dialogue(memory=book.memory, slots=100)
    talk.connect(hub_epoch="e1")
    book.commit(talk.records)
    for n in range(1, 120):
        talk.assign(n)
        book.commit(talk.records)
        if n % 2:
            talk.end(n)
            book.commit(talk.records)
        for seq, fact in list(book.memory.facts.items())[:-2]:
            talk.hear(f.TaskAck(task_id=fact.frame.task_id, status="accepted", seq=seq))
            book.commit(talk.records)
        assert state(memory_of(disk)) == state(book.memory)
    assert book.compactions > 2
    assert len(disk.written or b"") < 20_000


def test_a_compaction_without_room_for_two_files_goes_on_in_the_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(j, "COMPACT_BYTES", 300)
    disk = MemoryDisk()
    book, _ = open_book(disk)
    talk = Dialogue(memory=book.memory, slots=50)
    talk.connect()
    book.commit(talk.records)
    for n in range(1, 10):
        talk.assign(n)
        disk.room = len(disk.written or b"") + 200
        book.commit(talk.records)
    assert state(memory_of(disk)) == state(book.memory)


def test_a_full_disk_refuses_the_turn_whole_and_takes_it_later() -> None:
    disk = MemoryDisk()
    book, _ = open_book(disk)
    talk = Dialogue(memory=book.memory)
    talk.connect()
    book.commit(talk.records)
    talk.assign(1)
    before = disk.written
    disk.room = len(before or b"") + 10
    with pytest.raises(JournalFull):
        book.commit(talk.records)
    assert disk.written == before
    disk.room = None
    book.commit(talk.records)
    assert state(memory_of(disk)) == state(book.memory)


def test_a_full_disk_is_helped_by_a_shorter_journal() -> None:
    disk = MemoryDisk()
    book, _ = open_book(disk)
    for n in range(100):
        book.commit([EpochHeard(f"epoch {n}")])
    disk.room = len(disk.written or b"") + 1
    book.memory.note(EpochHeard("last"))
    # The double asks for room for both files, as a real disk does: none until the old one is gone.
    with pytest.raises(JournalFull):
        book.commit([EpochHeard("last")])
    disk.room += 200
    book.commit([EpochHeard("last" * 60)])
    assert len(disk.written or b"") < 200


# --- the memory ---------------------------------------------------------------------------------------------


def test_tombstones_are_kept_for_seven_days_and_then_forgotten() -> None:
    talk = Dialogue(slots=1)
    talk.connect()
    talk.assign(1)
    talk.end(1)
    talk.receipt_all()
    talk.wait(m.TOMBSTONE_MS - 1)
    talk.cancel(2)
    assert task(1) in talk.memory.tops
    talk.wait(2)
    talk.cancel(3)
    assert task(1) not in talk.memory.tops


def test_nothing_in_hand_is_ever_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Dialogue(slots=2)
    talk.connect()
    talk.assign(1)
    talk.receipt_all()
    talk.assign(2)
    talk.end(2)
    talk.wait(10 * m.TOMBSTONE_MS)
    for n in range(3, 30):
        talk.cancel(n)
    assert task(1) in talk.memory.tops
    assert task(2) in talk.memory.tops, "its facts have no receipt"
    talk.receipt_all()
    monkeypatch.setattr(m, "TOMBSTONES_MAX", 3)
    for n in range(30, 60):
        talk.cancel(n)
        talk.receipt_all()
    assert task(1) in talk.memory.tops
    assert task(2) not in talk.memory.tops
    assert len(talk.memory.tops) <= 4
