"""The file that the journal really lives in: private, whole, and honest about what the disk said."""

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
from sidecar.journal import JournalBook, JournalBroken, Verdict, read_journal
from sidecar.journal_file import JournalFile
from sidecar.memory import FactNoted, Record
from tests.sidecar.dialogue import open_book, task
from tests.sidecar.test_journal import state

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
from tests.sidecar.test_journal_file import accepted, note
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
