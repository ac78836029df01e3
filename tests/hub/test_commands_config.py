"""`hub config show`: every setting, where it comes from, and what a slip was meant to be."""

from __future__ import annotations

import os
from pathlib import Path

from tests.hub.typing_hands import run


async def test_a_slip_in_a_file_is_named_with_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("prot = 1")
    slip = await run(None, "config", "show", "--config", str(tmp_path / "my.toml"))
    assert slip.code == 2
    assert "did you mean `port`?" in slip.err


async def test_every_setting_is_shown_with_its_origin_and_no_secret() -> None:
    home = Path(os.environ["HOME"])
    (home / "hub.toml").write_text("heartbeat_ms = 3000\n")
    shown = await run(None, "config", "show", HUB_TOKEN="huba_secret", HUB_PROT="1")
    assert shown.code == 0, shown.err
    found = {one["setting"]: one for one in shown.records}
    assert (found["heartbeat_ms"]["value"], found["heartbeat_ms"]["origin"]) == (3000, "hub.toml")
    assert found["token"] == {"setting": "token", "value": "(set)", "origin": "HUB_TOKEN"}
    assert found["port"]["origin"] == "default"
    assert "huba_secret" not in shown.out + shown.err
    assert "HUB_PROT is not a setting; did you mean HUB_PORT?" in shown.err
