"""The files that are no code: what a stranger finds in the clone, and what must never be in it."""

import re
import tomllib

from tests.house.tree import ROOT, files, text

# Written in halves, so that this file does not hold what it looks for.
NOT_OURS = re.compile(
    r"/(?:ho" + r"me|ro" + r"ot|Us" + r"ers|wo" + r"rk)/\w"
    r"|/opt/(?:py" + r"pi|wheels)"
    r"|pypi\.or" + r"g|files\.pythonho" + r"sted|registry\.npm" + r"js|--(?:extra-)?index-u" + r"rl\s+\S"
)
SECRET = re.compile(r"\bhub[advsj]_[0-9A-Za-z]{49}\b|-----BEGIN [A-Z ]*PRIV" + r"ATE KEY")
CHANGE_HEADINGS = {"Added", "Changed", "Fixed", "Removed", "Security", "Deprecated"}


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = [f"{name}: {hit.group()}" for name in files() if (hit := NOT_OURS.search(text(name)))]
    assert not found, f"use a relative path, a temporary folder, or a setting: {found}"


def test_no_file_holds_a_secret() -> None:
    """L31: a token in an example is a token in the open; examples make theirs when they run."""
    found = [name for name in files() if SECRET.search(text(name))]
    assert not found, f"make it at run time: {found}"


def test_every_line_of_a_lock_has_hashes() -> None:
    locks = [name for name in files() if name.endswith(".lock.txt")]
    assert len(locks) == 4
    for name in locks:
        blocks = re.split(r"\n(?=[a-zA-Z0-9])", text(name))
        assert len(blocks) > 3
        unhashed = [block.split()[0] for block in blocks if "==" in block and "--hash=sha256:" not in block]
        assert not unhashed, f"{name}: run ./dev lock: {unhashed}"


def test_every_dependency_is_in_the_lock() -> None:
    """A dependency without a lock line would install only on the machine that already has it."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    locked = {
        line.partition("==")[0].partition("[")[0] for line in text("requirements.lock.txt").splitlines()
    }
    names = {re.split(r"[\[<>=; ]", line)[0].lower() for line in wanted}
    assert not names - locked, "run ./dev lock"


def test_a_hub_has_at_most_twelve_direct_dependencies() -> None:
    dependencies = tomllib.loads(text("pyproject.toml"))["project"]["dependencies"]
    assert len(dependencies) <= 12, "take one out, or write an ADR"


def test_every_link_of_a_document_leads_somewhere() -> None:
    """And its anchors are not judged: only that the file it names is in the clone."""
    dead = [
        f"{name}: {link}"
        for name in files()
        if name.endswith(".md")
        for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text(name))
        if not (ROOT / name).parent.joinpath(link).exists()
    ]
    assert not dead, dead


def test_the_readme_prints_all_twelve_promises() -> None:
    assert re.findall(r"^\| (D\d+) \|", text("README.md"), re.MULTILINE) == [f"D{n}" for n in range(1, 13)]


def test_the_changelog_is_in_order() -> None:
    lines = text("CHANGELOG.md").splitlines()
    assert lines[0] == "# Changelog"
    versions = [line for line in lines if line.startswith("## ")]
    assert versions[0] == "## Unreleased"
    assert all(
        re.fullmatch(r"## (?:Unreleased|\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\))", line) for line in versions
    )
    headings = {line.removeprefix("### ") for line in lines if line.startswith("### ")}
    assert headings <= CHANGE_HEADINGS


def test_the_decisions_are_numbered_and_have_their_four_parts() -> None:
    decisions = [name for name in files() if name.startswith("docs/adr/")]
    numbers = [name.removeprefix("docs/adr/")[:4] for name in decisions]
    assert len(numbers) == len(set(numbers)), "two decisions share a number"
    for name in decisions:
        assert re.fullmatch(r"docs/adr/\d{4}-[a-z0-9-]+\.md", name), name
        parts = re.findall(r"^## (.+)$", text(name), re.MULTILINE)
        wanted = ["Context", "Decision", "Consequences", "What would change our mind"]
        assert parts == wanted, f"{name} must have the parts {wanted}, has {parts}"
