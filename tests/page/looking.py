"""What a critical person sees of a view: layout, contrast, names, the way by keyboard; and its pictures.

Owns the assertions, which hold for any view, and its pictures. Pictures are written only on demand, into the
folder that HUB_TEST_IMAGES names; what they must not show is asserted always.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page

from tests.page.browsing import DESKTOP, PHONE, Visit

WRITES_IMAGES: Final = "HUB_TEST_IMAGES"

THEMES: Final = ("dark", "light")
SIZES: Final = {"desktop": DESKTOP, "phone": PHONE}

TARGET_PX_MIN: Final = 24
"""WCAG 2.2, 2.5.8: what a finger hits."""
TINY_PX: Final = 16
"""Too small to see, however much room is around it."""

STOPS_MAX: Final = 600
"""Tab stops of one view: beyond this the keyboard leads nowhere, or goes round in it."""

FROM_THE_TOP: Final = """() => {
  document.activeElement?.blur();
  getSelection()?.removeAllRanges();
  const top = document.createElement("span");
  top.tabIndex = -1;
  document.body.prepend(top);
  top.focus();
  top.remove();
}"""
"""Tab goes on from what was focused last, even after that has lost the focus: so it is one at the top."""

SCRIPTS: Final = Path(__file__).parent / "scripts"
LAYOUT: Final = (SCRIPTS / "layout.js").read_text(encoding="utf-8")
KEYS: Final = (SCRIPTS / "keys.js").read_text(encoding="utf-8")
AXE: Final = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
STANDARDS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SERIOUS: Final = frozenset({"serious", "critical"})


async def layout_faults(page: Page) -> list[str]:
    """What is too wide, cut off, covered, or too small to hit, in the window as it is."""
    await page.evaluate("scrollTo(0, 0)")  # what has scrolled below the head is nobody's target
    found: list[str] = await page.evaluate(LAYOUT, {"target": TARGET_PX_MIN, "tiny": TINY_PX})
    return found


async def axe_faults(page: Page) -> list[str]:
    """The serious findings of axe, a sentence each."""
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(AXE)
    run = "(tags) => axe.run({ runOnly: tags, resultTypes: ['violations'] })"
    found: dict[str, Any] = await page.evaluate(run, STANDARDS)
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {place['html'][:200]} — {why_of(place)}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
        for place in one["nodes"]
    ]


def why_of(place: dict[str, Any]) -> str:
    return "; ".join(check["message"] for check in [*place["any"], *place["all"], *place["none"]])


async def keyboard_faults(page: Page) -> list[str]:
    """Walk through the view with Tab: what is not reached, and where the focus does not show."""
    await page.evaluate(FROM_THE_TOP)
    await page.evaluate(KEYS)
    stops = 0
    while stops < STOPS_MAX:
        await page.keyboard.press("Tab")
        stop = await page.evaluate("() => crewhubWalk.note()")
        if stop is None and stops:
            break
        if stop is not None and not stop["isNew"]:
            break
        stops += 1
    faults: list[str] = await page.evaluate("() => crewhubWalk.end()")
    return faults if stops < STOPS_MAX else [*faults, f"after {STOPS_MAX} stops the end is not reached"]


async def looks_right(visit: Visit, name: str) -> None:
    """In both themes, on a desktop and on a phone, nothing is wrong; and the pictures, if they are wanted."""
    faults = []
    for theme in THEMES:
        for size, pixels in SIZES.items():
            await visit.wear(theme, pixels)
            await settled(visit.page)
            faults += [f"{name}, {theme}, {size}: {fault}" for fault in await layout_faults(visit.page)]
            if folder := os.environ.get(WRITES_IMAGES):
                await shoot(visit.page, Path(folder) / f"{name}-{theme}-{size}.png")
    await visit.wear("dark", DESKTOP)
    assert not faults, "\n".join(faults)


async def reads_well(visit: Visit, name: str) -> None:
    """axe finds nothing serious in either theme: names, roles, order, contrast."""
    faults = []
    for theme in THEMES:
        await visit.wear(theme)
        await settled(visit.page)
        faults += [f"{name}, {theme}: {fault}" for fault in await axe_faults(visit.page)]
    await visit.wear("dark")
    assert not faults, "\n".join(faults)


async def works_by_keyboard(visit: Visit, name: str) -> None:
    faults = [f"{name}: {fault}" for fault in await keyboard_faults(visit.page)]
    assert not faults, "\n".join(faults)


async def settled(page: Page) -> None:
    """Fonts are there, and no transition is under way; animations without an end are not waited for."""
    await page.evaluate(
        "() => Promise.all([document.fonts.ready, ...document.getAnimations()"
        ".filter((one) => one.effect?.getComputedTiming().endTime !== Infinity)"
        ".map((one) => one.finished.catch(() => null))])"
    )
    await page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


async def shoot(page: Page, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=place, animations="disabled")
