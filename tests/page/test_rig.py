"""The rig itself: what it looks for it finds, so that a test of the page that is green says something."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, Error

from tests.hub.conftest import HubProcess
from tests.page.browsing import PHONE, VIOLATION, Visit
from tests.page.looking import axe_faults, keyboard_faults, layout_faults, settled
from tests.page.rig import Rig
from tests.system.conftest import StartSidecar
from tests.system.processes import connected, ended
from tests.waiting import until

WHO = "async () => (await (await fetch('/api/session')).json()).role"


async def add(visit: Visit, tag: str, text: str, style: str, **attributes: str) -> None:
    """Put a fault into the page, at its end."""
    await visit.page.evaluate(
        """([tag, text, style, attributes]) => {
            const element = document.createElement(tag);
            element.textContent = text;
            for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
            for (const rule of style.split(";").filter(Boolean)) {
                const [name, value] = rule.split(":");
                element.style.setProperty(name.trim(), value.trim());
            }
            document.body.append(element);
        }""",
        [tag, text, style, attributes],
    )


@pytest.mark.parametrize("role", ["admin", "dispatcher", "viewer"])
async def test_everybody_is_logged_in_as_who_they_are(rig: Rig, role: str) -> None:
    visit = await rig.visit(role)
    assert await visit.page.evaluate(WHO) == role


async def test_two_tabs_are_one_login_and_two_browsers_are_two(rig: Rig) -> None:
    one = await rig.visit("viewer")
    two = await one.tab()
    await two.go()
    other = await rig.stranger()
    await other.go()
    answered = "async () => (await fetch('/api/session')).status"
    assert [await visit.page.evaluate(answered) for visit in (one, two, other)] == [200, 200, 401]


async def test_a_hub_that_was_away_is_the_same_hub(rig: Rig, sidecar: StartSidecar) -> None:
    """Same port, same ledger, same sessions; and a sidecar that works on."""
    visit = await rig.visit()
    await sidecar("ada")
    await connected(rig.hub, "ada")
    rig.restart(is_killed=True)
    assert await visit.page.evaluate(WHO) == "admin"
    await connected(rig.hub, "ada")
    task = await rig.hub.push("ada", "after the restart")
    assert (await ended(rig.hub, task["task_id"]))["state"] == "completed"


async def test_what_a_page_complains_of_fails_its_test(hub: HubProcess, browser: Browser) -> None:
    rig = Rig(hub, browser)
    visit = await rig.visit("viewer")
    await visit.page.evaluate("() => console.error('something broke')")
    await visit.page.evaluate("() => { setTimeout(() => { throw new Error('nobody caught me'); }); }")
    await visit.page.evaluate(
        "() => { const s = document.createElement('style'); s.textContent = 'b{}'; document.head.append(s); }"
    )
    await visit.page.evaluate("() => { setTimeout(() => alert('gotcha')); }")
    await until(lambda: any("gotcha" in one for one in rig.complaints.heard), "the dialog is heard of")
    with pytest.raises(Error, match=r"CONNECTION_REFUSED|UNSAFE_PORT"):
        await visit.page.goto("http://127.0.0.1:9/elsewhere")
    complaints = ("something broke", "nobody caught me", VIOLATION, "gotcha", "asked another place")
    await until(
        lambda: all(any(said in one for one in rig.complaints.heard) for said in complaints),
        "the rig has heard of all of them",
    )
    with pytest.raises(AssertionError, match="something broke"):
        await rig.close()


async def test_a_page_without_a_fault_is_forgiven_nothing_and_needs_nothing(
    hub: HubProcess, browser: Browser
) -> None:
    rig = Rig(hub, browser)
    await rig.visit("viewer")
    await rig.close()


async def test_what_does_not_fit_is_found(rig: Rig) -> None:
    visit = await rig.visit("viewer", size=PHONE)
    await settled(visit.page)
    before = await layout_faults(visit.page)
    await add(visit, "p", "much too wide", "width:900px")
    await add(visit, "p", "cut off at the side", "width:60px; overflow:hidden; white-space:nowrap")
    await add(visit, "p", "cut off below " * 30, "height:20px; overflow:hidden")
    await add(visit, "p", "runs out of its box", "width:40px; white-space:nowrap; overflow-wrap:normal")
    found = [one for one in await layout_faults(visit.page) if one not in before]
    for fault in ("px wider than the window", "off at the side", "off below", "runs out of its box"):
        assert sum(fault in one for one in found) >= 1, (fault, found)


async def test_what_is_shortened_or_scrolls_or_is_only_spoken_is_no_fault(rig: Rig) -> None:
    visit = await rig.visit("viewer")
    await settled(visit.page)
    before = await layout_faults(visit.page)
    one_line = "width:60px; overflow:hidden; white-space:nowrap"
    await add(visit, "p", "shortened to an ellipsis", f"{one_line}; text-overflow:ellipsis")
    await add(visit, "p", "it scrolls it scrolls it scrolls", "width:60px; overflow:auto; white-space:nowrap")
    await add(
        visit, "p", "for a screen reader", "position:absolute; width:1px; height:1px; clip-path:inset(50%)"
    )
    assert await layout_faults(visit.page) == before


async def test_targets_that_cannot_be_hit_are_found(rig: Rig) -> None:
    visit = await rig.visit("viewer")
    await settled(visit.page)
    await add(visit, "button", "under", "position:absolute; left:300px; top:300px; width:90px; height:40px")
    await add(visit, "button", "over", "position:absolute; left:330px; top:310px; width:90px; height:40px")
    tiny = "position:absolute; top:600px; width:9px; height:9px; min-height:0; padding:0; font-size:0"
    small = "position:absolute; top:500px; width:20px; height:20px; min-height:0; padding:0"
    await add(visit, "button", "a", f"{small}; left:300px")
    await add(visit, "button", "b", f"{small}; left:320px")
    await add(visit, "button", "c", f"{tiny}; left:600px")
    found = await layout_faults(visit.page)
    assert any('over each other: <button> "under" and <button> "over"' in one for one in found), found
    assert any("too close to another" in one and '<button> "a"' in one for one in found), found
    assert any("too small" in one and '<button> "c"' in one for one in found), found


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_axe_finds_a_nameless_button_and_pale_words(rig: Rig, theme: str) -> None:
    visit = await rig.visit("viewer", theme=theme)
    await settled(visit.page)
    await add(visit, "button", "", "")
    await add(visit, "p", "who can read this?", "color:#777777; background:#888888")
    found = await axe_faults(visit.page)
    assert any(one.startswith("button-name (critical)") for one in found), found
    assert any(one.startswith("color-contrast (serious)") and "who can" in one for one in found), found


async def test_the_keyboard_finds_what_it_cannot_reach_or_see(rig: Rig) -> None:
    visit = await rig.visit("viewer")
    await settled(visit.page)
    await add(visit, "button", "reached", "")
    await add(visit, "span", "only for mice", "", role="button")
    await add(visit, "button", "left out", "", tabindex="-1")
    await add(visit, "button", "unseen focus", "outline:none; transition:none")
    found = await keyboard_faults(visit.page)
    assert any('Tab does not reach it: <span> "only for mice"' in one for one in found), found
    assert any('Tab does not reach it: <button> "left out"' in one for one in found), found
    assert any('the focus does not show: <button> "unseen focus"' in one for one in found), found
    assert not any('"reached"' in one for one in found), found


async def test_many_tabs_do_not_disturb_each_other(rig: Rig) -> None:
    first = await rig.visit("viewer")
    tabs = [first, *[await first.tab() for _ in range(2)]]
    await asyncio.gather(*(tab.go() for tab in tabs))
    assert [await tab.page.evaluate(WHO) for tab in tabs] == ["viewer"] * 3
