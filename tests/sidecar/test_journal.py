"""The journal under every damage that a disk can do to it, and the file that it really lives in."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol import frames as f
from protocol.ids import Generation, InstanceId, Seq
from sidecar import journal as j
from sidecar import memory as m
from sidecar.journal import JournalBook, JournalBroken, JournalFull, Verdict, read_journal
from sidecar.journal_file import JournalFile
from sidecar.memory import EpochHeard, FactNoted, MarkHeard, Memory, Receipted, Record
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


# --- the file -----------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Iterator[JournalFile]:
    journal = JournalFile(tmp_path / "journal")
    yield journal
    journal.close()


def accepted(seq: int) -> FactNoted:
    return FactNoted(f.TaskAccepted(task_id=task(seq), generation=Generation(1), seq=Seq(seq)), 1)


def note(book: JournalBook, record: Record) -> None:
    book.memory.note(record)
    book.commit([record])


def test_a_real_file_is_private_and_comes_back_as_it_was(file: JournalFile, tmp_path: Path) -> None:
    book, _ = open_book(file)
    note(book, accepted(1))
    note(book, accepted(2))
    file.close()
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o600
    again, notices = open_book(file)
    assert (state(again.memory), notices) == (state(book.memory), [])
    note(again, accepted(3))
    assert len(read_journal((tmp_path / "journal").read_bytes()).memory.facts) == 3


def test_a_real_file_loses_its_torn_tail_and_is_written_on(file: JournalFile, tmp_path: Path) -> None:
    book, _ = open_book(file)
    note(book, accepted(1))
    file.close()
    with (tmp_path / "journal").open("ab") as tail:
        tail.write(b"\x20\x00\x00\x00half a turn")
    again, notices = open_book(file)
    assert "torn" in notices[0]
    note(again, accepted(2))
    assert read_journal((tmp_path / "journal").read_bytes()).verdict is Verdict.WHOLE


def test_a_damaged_file_is_set_aside_beside_the_new_one(file: JournalFile, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for n in (1, 2):
        path.write_bytes(b"not a journal")
        _, notices = JournalBook.open(file, lambda: InstanceId("fresh"))
        assert f"journal.damaged-{n}" in notices[0]
        file.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "journal",
        "journal.damaged-1",
        "journal.damaged-2",
    ]


def test_a_disk_that_damages_every_journal_ends_the_sidecar(
    file: JournalFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.journal_file.ASIDE_MAX", 1)
    (tmp_path / "journal").write_bytes(b"?")
    (tmp_path / "journal.damaged-1").write_bytes(b"?")
    with pytest.raises(JournalBroken, match="look at the disk"):
        open_book(file)


def test_a_file_that_may_not_grow_keeps_no_half_turn(tmp_path: Path) -> None:
    """The limit on a file's size is a full disk that needs no root; it holds for a whole process."""
    script = """
import pathlib, resource, signal, sys
from sidecar.journal import JournalBook, JournalFull
from sidecar.journal_file import JournalFile
from tests.sidecar.test_journal import accepted, note
from tests.sidecar.dialogue import open_book
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = pathlib.Path(sys.argv[1])
book, _ = open_book(JournalFile(path))
note(book, accepted(1))
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
book.memory.note(accepted(2))
try:
    book.commit([accepted(2)])
    print("taken")
except JournalFull:
    print("full", path.stat().st_size == size)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
book.commit([accepted(2)])
print(len(open_book(JournalFile(path))[0].memory.facts), sorted(one.name for one in path.parent.iterdir()))
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "journal")], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["full True", "2 ['journal']"]


def test_a_failed_sync_is_never_retried_as_if_it_were_clean(
    file: JournalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, _ = open_book(file)

    def broken(_: int) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(JournalBroken):
        note(book, accepted(1))


def test_an_unwritable_folder_is_broken_and_not_full(tmp_path: Path) -> None:
    with pytest.raises(JournalBroken):
        open_book(JournalFile(tmp_path / "missing" / "journal"))
