"""`hub doctor` beside a hub that is well, one that is not there, and ledgers that contradict themselves."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from hub import examination
from hub.commands.doctor import command
from hub.evidence import result_in
from tests.hub.conftest import HubProcess
from tests.hub.peers import V2Peer
from tests.hub.typing_hands import run


async def worked(hub: HubProcess) -> str:
    """A task from push to result."""
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token("ada"))
    await peer.identify("ada")
    task_id = (await hub.push("ada", "work"))["task_id"]
    await peer.work(await peer.hear("task_assign"), result={"well": "done"})
    await peer.hang_up()
    return str(task_id)


async def test_a_doctor_finds_nothing_wrong_with_a_hub_that_is_well(
    hub_process: HubProcess, tmp_path: Path
) -> None:
    hub_process.start(HUB_HISTORY_FILE=str(tmp_path / "hub.history"))
    await worked(hub_process)
    token = tmp_path / "token"
    token.write_text(hub_process.admin_token)
    here = ("--hub", hub_process.address, "--token-file", str(token), "--state-dir", str(tmp_path / "state"))
    told = await run(None, "doctor", *here, "--audit", "--history", str(tmp_path / "hub.history"))
    assert told.code == 0, told.out + told.err
    assert {one["finding"] for one in told.records} == {"ok"}, told.records
    sentences = " ".join(one["sentence"] for one in told.records)
    for word in (
        "ready",
        "SQLite",
        "clock",
        "free",
        "whole",
        "this user alone",
        "accepts the token",
        "promise",
    ):
        assert word in sentences


async def test_a_doctor_says_that_no_hub_answers_and_what_to_do(tmp_path: Path) -> None:
    told = await run(None, "doctor", "--hub", "http://127.0.0.1:9", "--state-dir", str(tmp_path / "none"))
    assert told.code == 1
    words = {one["sentence"]: one["finding"] for one in told.records}
    assert any(word == "FAIL" and "hub serve" in sentence for sentence, word in words.items()), words
    assert any(word == "WARN" and "does not exist" in sentence for sentence, word in words.items())


async def test_a_doctor_finds_a_folder_that_others_can_read(hub_process: HubProcess, tmp_path: Path) -> None:
    hub_process.start()
    hub_process.stop()
    (tmp_path / "state").chmod(0o755)
    told = await run(None, "doctor", "--state-dir", str(tmp_path / "state"))
    assert told.code == 1
    assert any("chmod" in one["sentence"] for one in told.records)


async def test_an_audit_finds_a_ledger_that_contradicts_itself(
    hub_process: HubProcess, tmp_path: Path
) -> None:
    """A positive control on a real ledger: a row that says something else than the log."""
    hub_process.start(HUB_HISTORY_FILE=str(tmp_path / "hub.history"))
    task_id = await worked(hub_process)
    hub_process.stop()
    ledger = apsw.Connection(str(tmp_path / "state" / "hub.db"))
    ledger.execute("UPDATE tasks SET state = 'cancelled' WHERE task_id = ?", (task_id,))
    ledger.execute('DELETE FROM events WHERE "offset" = 2')
    ledger.close()
    told = await run(None, "doctor", "--state-dir", str(tmp_path / "state"), "--audit")
    assert told.code == 1
    broken = {one["sentence"][:2] for one in told.records if one["finding"] == "FAIL"}
    assert {"C3", "C8"} <= broken, told.records


def test_a_result_that_cannot_be_parsed_is_compared_as_text() -> None:
    assert result_in('{"result": {"a": [1, 2.5, null]}}') == {"a": [1, 2.5, None]}
    assert result_in("{}") is None
    assert result_in('{"result": 1e999}') == "1e999"


async def test_an_audit_without_a_ledger_or_history_says_so(tmp_path: Path) -> None:
    nothing = await run(None, "doctor", "--state-dir", str(tmp_path), "--audit")
    assert "nothing to audit" in nothing.out
    (tmp_path / "hub.db").touch()
    missing = await run(None, "doctor", "--state-dir", str(tmp_path), "--audit", "--history", "nowhere")
    assert missing.code == 2


def test_a_clock_that_is_years_behind_is_a_failure() -> None:
    assert examination.wall_clock(0).word == "FAIL"
    assert examination.wall_clock().word == "ok"
    assert command.name == "doctor"


@pytest.mark.parametrize(("seconds", "word"), [(0, "ok"), (3_600, "WARN")])
def test_a_hub_whose_clock_differs_is_named(seconds: int, word: str) -> None:
    import httpx

    from hub.clock import wall_ms

    date = email_date(wall_ms() // 1000 - seconds)
    (finding,) = examination.same_time(httpx.Response(200, headers={"Date": date}))
    assert finding.word == word
    assert not list(examination.same_time(httpx.Response(200)))


def email_date(seconds: int) -> str:
    from email.utils import formatdate

    return formatdate(seconds, usegmt=True)
