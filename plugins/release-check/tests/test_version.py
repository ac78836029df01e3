"""Version numbers and changes: arithmetic, so it is tested without any agent."""

from pathlib import Path
from typing import Any

import pytest

from plugins.loader import find, part_of
from plugins.settings import UnfitSettings, check_settings

pytest.importorskip("crewai", reason="crewai is not installed")

FOLDER = Path(__file__).resolve().parents[1]


def findings(version: str, previous: str | None, *changes: str) -> list[str]:
    plugin = find([FOLDER]).plugins[FOLDER.name]
    found: list[str] = part_of(plugin, "crew.version").findings(version, previous, changes)
    return found


@pytest.mark.parametrize(
    ("version", "previous", "change"),
    [
        ("1.2.4", "1.2.3", "fix: a"),
        ("1.3.0", "1.2.3", "feat: a"),
        ("2.0.0", "1.2.3", "breaking: a"),
        ("0.3.0", "0.2.9", "breaking: a"),
        ("1.10.0", "1.9.9", "feat: a"),
        ("3.0.0", "1.2.3", "fix: a"),
        ("0.1.0", None, "breaking: a"),
    ],
)
def test_a_version_that_fits_is_said_to_fit(version: str, previous: str | None, change: str) -> None:
    assert findings(version, previous, change) == [f"{version} fits its changes"]


@pytest.mark.parametrize(
    ("version", "previous", "changes", "finding"),
    [
        ("1.2.3", "1.2.3", ["fix: a"], "1.2.3 is not above 1.2.3"),
        ("1.9.9", "1.10.0", ["fix: a"], "1.9.9 is not above 1.10.0"),
        ("1.2.4", "1.2.3", ["fix: b", "feat: a"], "a change is `feat:`, so it must be 1.3.0 or above"),
        ("1.3.0", "1.2.3", ["BREAKING: a", "fix: b"], "a change is `breaking:`, so it must be 2.0.0"),
        ("0.2.4", "0.2.3", ["breaking: a"], "so it must be 0.3.0"),
        ("1.0.0", None, [], "no change is listed"),
        ("1.0.0", None, ["a", "fix: b"], "1 of 2 changes do not say"),
    ],
)
def test_a_version_that_does_not_fit_is_found_out(
    version: str, previous: str | None, changes: list[str], finding: str
) -> None:
    assert finding in findings(version, previous, *changes)[0]


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({}, "settings.version: is missing"),
        ({"version": "1.4"}, "settings.version: must match"),
        ({"version": "1.4.0; rm"}, "settings.version: must match"),
        ({"version": "1.4.0", "changes": "fix: a"}, "settings.changes: is text, and must be a list"),
    ],
)
def test_settings_that_do_not_fit_are_refused(inputs: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UnfitSettings) as caught:
        check_settings(find([FOLDER]).plugins[FOLDER.name], inputs, "")
    assert sentence in str(caught.value)
