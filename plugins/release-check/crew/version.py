"""Whether a version number fits what has changed: arithmetic, and no model.

Owns the rules of semantic versions as far as a release needs them. Knows no agent.
"""

from collections.abc import Sequence

KINDS = ("fix", "feat", "breaking")


def parts(version: str) -> tuple[int, int, int]:
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


def heaviest(changes: Sequence[str]) -> str:
    """The kind of change that decides; a line of no kind weighs as much as a fix."""
    kinds = [change.partition(":")[0].strip().lower() for change in changes]
    return max((kind for kind in kinds if kind in KINDS), key=KINDS.index, default="fix")


def least(previous: str, kind: str) -> tuple[int, int, int]:
    """The lowest version that may follow; before 1.0.0 a breaking change raises the minor number."""
    major, minor, patch = parts(previous)
    if kind == "breaking" and major > 0:
        return major + 1, 0, 0
    if kind in {"breaking", "feat"}:
        return major, minor + 1, 0
    return major, minor, patch + 1


def findings(version: str, previous: str | None, changes: Sequence[str]) -> list[str]:
    """What a person should know before deciding; each is one line, and the worst comes first."""
    found = []
    if previous is not None:
        kind = heaviest(changes)
        needed = least(previous, kind)
        if parts(version) <= parts(previous):
            found.append(f"{version} is not above {previous}, which was released last")
        elif parts(version) < needed:
            found.append(f"a change is `{kind}:`, so it must be {'.'.join(map(str, needed))} or above")
    if not changes:
        found.append("no change is listed")
    odd = sum(change.partition(":")[0].strip().lower() not in KINDS for change in changes)
    if odd:
        found.append(f"{odd} of {len(changes)} changes do not say whether they are {', '.join(KINDS)}")
    return found or [f"{version} fits its changes"]
