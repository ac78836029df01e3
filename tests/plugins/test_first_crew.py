"""`docs/first-crew.md`, followed as it stands: whoever reads it gets what it promises."""

import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.plugins.guide import Reader, home_of

pytest.importorskip("crewai", reason="crewai is not installed")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_guide_to_a_first_crew_works_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    reader = Reader(tmp_path / "folder", home_of(tmp_path, Path(sys.executable).parent))
    try:
        reader.follow((ROOT / "docs" / "first-crew.md").read_text(encoding="utf-8"))
    finally:
        reader.leave()
    assert [process.returncode for process in reader.background] == [0, 0]
    assert reader.done.count("sh") >= 8
    assert reader.done.count("text") >= 7


def test_a_reader_notices_what_is_not_as_the_page_says(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    (tmp_path / "folder").mkdir()
    for page in (
        "```sh\nfalse\n```\n",
        "```sh fails\ntrue\n```\n",
        "```sh exits 7\nexit 3\n```\n",
        "```riddle\nwhat\n```\n",
        "```sh\nmissing-program | cat\n```\n",
        "**`a`**\n```yaml\nx\n```\n```diff\n-y\n+z\n```\n",
    ):
        with pytest.raises(AssertionError):
            Reader(tmp_path / "folder", home_of(tmp_path, Path(sys.executable).parent)).follow(page)
