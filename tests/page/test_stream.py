"""One feed a browser: shared by its tabs, taken over, resumed without losing a row, and honest."""

from __future__ import annotations

import asyncio

from playwright.async_api import Locator, expect

from tests.page.browsing import Visit
from tests.page.rig import Rig


def rows_of(visit: Visit) -> Locator:
    return visit.page.locator("#feed li")


def lamp_of(visit: Visit) -> Locator:
    return visit.page.locator("#lamp")


async def live(visit: Visit) -> None:
    await expect(lamp_of(visit)).to_have_attribute("data-state", "live")


async def watchers(rig: Rig) -> int:
    async with rig.hub.http() as http:
        figures = (await http.get("/metrics")).text
    (line,) = [line for line in figures.splitlines() if line.startswith("hub_feed_subscribers ")]
    return int(float(line.split()[1]))


async def says(rig: Rig, *names: str) -> None:
    for name in names:
        await rig.hub.push("nobody", name, queue=True)


async def shows_in_order(visit: Visit, *names: str) -> None:
    """Newest first, each once."""
    await expect(rows_of(visit)).to_have_count(len(names))
    for place, name in enumerate(reversed(names)):
        await expect(rows_of(visit).nth(place)).to_contain_text(name)


async def test_two_tabs_share_one_stream_and_the_second_goes_on_when_the_first_is_closed(rig: Rig) -> None:
    first = await rig.visit("viewer")
    await live(first)
    second = await first.tab()
    await second.go()
    await live(second)
    assert await watchers(rig) == 1
    await says(rig, "one", "two")
    await shows_in_order(first, "one", "two")
    await shows_in_order(second, "one", "two")
    await first.page.close()
    await says(rig, "three")
    await shows_in_order(second, "one", "two", "three")
    await live(second)
    assert await watchers(rig) == 1


async def test_two_browsers_have_a_stream_each(rig: Rig) -> None:
    one, two = await rig.visit("viewer"), await rig.visit("viewer")
    await live(one)
    await live(two)
    assert await watchers(rig) == 2


async def test_a_restart_of_the_hub_is_shown_and_loses_no_row(rig: Rig) -> None:
    visit = await rig.visit("viewer")
    other = await visit.tab()
    await other.go()
    await live(visit)
    await live(other)
    await says(rig, "before")
    await shows_in_order(other, "before")
    rig.stop(is_killed=True)
    for tab in (visit, other):
        await expect(lamp_of(tab)).to_have_attribute("data-state", "off")
        await expect(lamp_of(tab)).to_contain_text("reconnecting")
    rig.start()
    await says(rig, "after one", "after two")
    for tab in (visit, other):
        await live(tab)
        for name in ("before", "after one", "after two"):
            await expect(rows_of(tab).filter(has_text=name)).to_have_count(1)


async def test_a_history_that_was_lost_is_shown_as_a_break(rig: Rig) -> None:
    """L62: another epoch is a reset, never a silent hole."""
    visit = await rig.visit("viewer")
    await live(visit)
    await says(rig, "of the old history")
    await shows_in_order(visit, "of the old history")
    await visit.page.evaluate(
        """async () => {
            const main = document.querySelector("script[type=module]").getAttribute("src");
            const { cursor } = await import(main.replace("main.js", "lib/stream.js"));
            cursor.value = "another-epoch:7";
        }"""
    )
    rig.restart()
    await expect(visit.page.locator("#feed .remark")).to_contain_text("the feed begins anew here")
    await says(rig, "of the new one")
    await expect(rows_of(visit).first).to_contain_text("of the new one")


async def test_logging_out_in_one_tab_logs_out_all(rig: Rig) -> None:
    first = await rig.visit("viewer")
    second = await first.tab()
    await second.go()
    await live(second)
    await first.page.get_by_role("button", name="Log out").click()
    for tab in (first, second):
        await expect(tab.page.locator("#login")).to_be_visible()
    await until_none_watches(rig)
    await first.page.get_by_label("Token").fill(await rig.hub.token(role="viewer"))
    await first.page.get_by_role("button", name="Log in").click()
    for tab in (first, second):
        await live(tab)
    assert await watchers(rig) == 1


async def until_none_watches(rig: Rig) -> None:
    async with asyncio.timeout(60):
        while await watchers(rig):
            pass  # asking again is the pause
