"""What the page is made of, each piece alone in a real browser: signals, renderer, formats, lists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.hub.conftest import RunningHub, running_hub
from tests.page.browsing import Complaints, Visit

__all__ = ["running_hub"]

Try = Callable[[str], Awaitable[Any]]


@pytest.fixture
async def attempt(running_hub: RunningHub, browser: Browser) -> Any:
    """Run the body of an async function in the page; `load("lib/signal.js")` gives it a module."""
    complaints = Complaints(running_hub.address)
    visit = await Visit.begin(browser, complaints)
    await visit.go()
    await visit.page.locator("#login").wait_for()

    async def run(body: str) -> Any:
        return await visit.page.evaluate(
            """(async () => {
                const main = document.querySelector("script[type=module]").getAttribute("src");
                const load = (name) => import(main.replace("main.js", name));
                const next = (go) => requestAnimationFrame(() => requestAnimationFrame(go));
                const frame = () => new Promise(next);
                const box = document.createElement("div");
                document.body.append(box);
            """
            + body
            + "})()"
        )

    yield run
    await visit.close()
    assert not complaints.heard, complaints.heard


SIGNALS = (
    'const { signal, computed, effect, batch, untracked, scope, onClose } = await load("lib/signal.js");'
)
RENDER = SIGNALS + 'const { h, mount, drawNow } = await load("lib/render.js");'


async def test_an_effect_runs_for_what_it_read_and_once_a_batch(attempt: Try) -> None:
    seen = await attempt(
        SIGNALS
        + """
        const a = signal(1), b = signal(10), isOn = signal(true), seen = [];
        const both = computed(() => a.value + b.value);
        const end = effect(() => { seen.push(isOn.value ? both.value : "off"); });
        a.value = 2; a.value = 2;
        batch(() => { a.value = 3; b.value = 20; });
        isOn.value = false;
        a.value = 4;                       // nobody reads it now
        isOn.value = true;
        end();
        a.value = 5;
        return seen;
        """
    )
    assert seen == [11, 12, 23, "off", 24]


async def test_an_effect_that_feeds_itself_is_stopped(attempt: Try) -> None:
    said = await attempt(
        SIGNALS
        + """
        const n = signal(0);
        try { effect(() => { n.value += 1; }); return "went on"; } catch (error) { return error.message; }
        """
    )
    assert "without an end" in said


async def test_what_a_scope_began_ends_with_it(attempt: Try) -> None:
    seen = await attempt(
        SIGNALS
        + """
        const n = signal(0), seen = [];
        const { close } = scope(() => {
            effect(() => { seen.push(n.value); return () => seen.push("clean"); });
            onClose(() => seen.push("closed"));
        });
        n.value = 1;
        close();
        n.value = 2;
        return seen;
        """
    )
    assert seen == [0, "clean", 1, "closed", "clean"]


async def test_keyed_rows_move_and_keep_their_elements(attempt: Try) -> None:
    found = await attempt(
        RENDER
        + """
        const rows = signal([1, 2, 3, 4, 5]);
        mount(box, () => h("ul", null, rows.value.map((n) => h("li", { key: n }, n))));
        const before = new Map([...box.querySelectorAll("li")].map((li) => [li.textContent, li]));
        const texts = [], kept = [];
        for (const order of [[5, 1, 2, 3], [3, 2, 1, 9], [], [9, 1], [1, 9, 9]]) {
            rows.value = order;
            await frame();
            const now = [...box.querySelectorAll("li")];
            texts.push(now.map((li) => li.textContent).join(""));
            kept.push(now.filter((li) => before.get(li.textContent) === li).length);
        }
        return { texts, kept };
        """
    )
    assert found["texts"] == ["5123", "3219", "", "91", "199"]
    assert found["kept"] == [4, 3, 0, 0, 0]


async def test_only_the_component_that_read_a_signal_draws_again(attempt: Try) -> None:
    drawn = await attempt(
        RENDER
        + """
        const n = signal(0), drawn = { outer: 0, inner: 0, still: 0 };
        const Inner = () => { drawn.inner += 1; return h("b", null, n.value); };
        const Still = ({ text }) => { drawn.still += 1; return h("i", null, text); };
        const other = signal(0);
        mount(box, () => {
            drawn.outer += 1;
            void other.value;
            return h("p", null, h(Inner), h(Still, { text: "same" }));
        });
        n.value = 1; n.value = 2;
        await frame();
        other.value = 1;
        await frame();
        return { ...drawn, text: box.textContent };
        """
    )
    assert drawn == {"outer": 2, "inner": 2, "still": 1, "text": "2same"}


async def test_a_component_is_set_up_once_and_its_effects_end_with_it(attempt: Try) -> None:
    seen = await attempt(
        RENDER
        + """
        const isShown = signal(true), n = signal(0), seen = [];
        const Part = () => {
            seen.push("set up");
            effect(() => { seen.push(n.value); });
            onClose(() => seen.push("closed"));
            return () => h("p", null, n.value);
        };
        mount(box, () => h("div", null, isShown.value && h(Part)));
        n.value = 1;
        await frame();
        isShown.value = false;
        await frame();
        n.value = 2;
        return seen;
        """
    )
    assert seen == ["set up", 0, 1, "closed"]


async def test_a_component_may_become_another_element_wherever_it_stands(attempt: Try) -> None:
    texts = await attempt(
        RENDER
        + """
        const kind = signal("p"), more = signal(0), texts = [];
        const Inner = () => (kind.value ? h(kind.value, null, "x") : null);
        const Outer = () => h(Inner);
        mount(box, () => h("div", null, "<", h(Outer), more.value, ">"));
        for (const name of ["b", null, "i", "i"]) {
            kind.value = name;
            await frame();
            more.value += 1;
            await frame();
            texts.push([...box.firstChild.childNodes].map((node) => node.localName ?? node.data).join("|"));
        }
        return texts;
        """
    )
    assert texts == ["<|b|1|>", "<||2|>", "<|i|3|>", "<|i|4|>"]


async def test_nothing_becomes_markup_a_script_or_a_foreign_address(attempt: Try) -> None:
    """O1."""
    found = await attempt(
        RENDER
        + """
        mount(box, () => h("div", { title: "a\\u202eb" },
            "<img src=x onerror=alert(1)>\\u202e",
            ["javascript:alert(1)", "//else.where", "/tasks", " javascript:alert(1)", "/\\\\else.where"]
                .map((href) => h("a", { key: href, href }, "go"))));
        const refused = [];
        for (const name of ["inner" + "HTML", "srcdoc", "style", "OUTERHTML"]) {
            try { mount(document.createElement("p"), () => h("div", { [name]: "x" })); }
            catch { refused.push(name); }
        }
        const strings = document.createElement("div");
        mount(strings, () => h("div", { onclick: "alert(1)" }));
        return {
            images: box.querySelectorAll("img").length,
            text: box.firstChild.firstChild.data, title: box.firstChild.title,
            links: [...box.querySelectorAll("a")].map((a) => a.getAttribute("href")), refused: refused.length,
            handler: strings.firstChild.getAttribute("onclick"),
        };
        """
    )
    assert found["images"] == 0
    assert found["text"] == "<img src=x onerror=alert(1)>\\u202e"
    assert found["title"] == "a\\u202eb"
    assert found["links"] == [None, None, "/tasks", None, None]
    assert found["refused"] == 4
    assert found["handler"] is None


async def test_a_listener_is_the_newest_and_a_field_keeps_what_was_typed(attempt: Try) -> None:
    found = await attempt(
        RENDER
        + """
        const n = signal(0), heard = [];
        const hear = () => (n.value < 2 ? () => heard.push(n.value) : null);
        mount(box, () => h("p", null, h("button", { onclick: hear() }, n.value),
            h("input", { placeholder: n.value })));
        const [button, field] = [box.querySelector("button"), box.querySelector("input")];
        field.value = "typed";
        for (let round = 0; round < 3; round += 1) { n.value = round; await frame(); button.click(); }
        return { heard, typed: field.value };
        """
    )
    assert found == {"heard": [0, 1], "typed": "typed"}


async def test_a_long_list_draws_only_what_is_seen(attempt: Try) -> None:
    found = await attempt(
        RENDER
        + """
        const { VirtualList } = await load("lib/virtual.js");
        box.style.setProperty("height", "200px");
        const items = signal(Array.from({ length: 100000 }, (_, n) => n));
        const how = { height: (n) => (n % 2 ? 30 : 20), row: (n) => `row ${n}`, label: "many", pin: "end" };
        mount(box, () => h(VirtualList, { items: items.value, ...how }));
        await frame();
        const list = box.firstChild;
        const look = () => ({ count: box.querySelectorAll("li").length,
            last: box.querySelector("li:last-child").textContent, tall: list.scrollHeight });
        const end = look();
        items.value = [...items.value, 100000];
        await frame(); await frame();
        const followed = look();
        list.scrollTop = 0;
        await frame(); await frame();
        items.value = [...items.value, 100001];
        await frame(); await frame();
        return { end, followed, first: box.querySelector("li").textContent, top: list.scrollTop };
        """
    )
    assert found["end"]["count"] < 60
    assert (found["end"]["last"], found["end"]["tall"]) == ("row 99999", 2_500_000)
    assert found["followed"]["last"] == "row 100000"
    assert (found["first"], found["top"]) == ("row 0", 0), "whoever has scrolled up reads there in peace"


WRITTEN = {
    "duration(0)": "0 ms",
    "duration(999.4)": "999 ms",
    "duration(1999)": "1.9 s",
    "duration(59999)": "59 s",
    "duration(60000)": "1 min",
    "duration(3599999)": "59 min 59 s",
    "duration(90000000)": "1 d 1 h",
    "duration(null)": "\u2013",
    "duration(-5)": "0 ms",
    "bytes(1023)": "1023 B",
    "bytes(1024)": "1 KiB",
    "bytes(1300000)": "1.2 MiB",
    "tokens(999)": "999",
    "tokens(1299)": "1.2k",
    "tokens(3400000)": "3.4M",
    "percent(33.3)": "33 %",
    "percent(140)": "100 %",
    "plural(1, 'task')": "1 task",
    "plural(12345, 'task')": "12,345 tasks",
    "age(1000, 4000)": "just now",
    "age(1000, 61000 + 1000)": "1 min ago",
    "age(8000000, 1)": "in 2 h",
    "age(0, 5)": "never",
    "words('dead_letter')": "dead letter",
    "iso(Infinity)": "",
}


async def test_numbers_and_times_are_written_as_people_read_them(attempt: Try) -> None:
    names = "duration, bytes, tokens, percent, plural, age, words, iso"
    written = await attempt(
        f'const {{ {names} }} = await load("lib/format.js"); return [{", ".join(WRITTEN)}];'
    )
    assert dict(zip(WRITTEN, written, strict=True)) == WRITTEN


async def test_a_stream_is_read_whatever_pieces_it_comes_in(attempt: Try) -> None:
    found = await attempt(
        """
        const { parser } = await load("lib/stream.js");
        const whole = [": ping", 'id: e:1\\nevent: a\\ndata: {"cursor":"e:1","event":"a"}',
            'event: b\\ndata: {"cursor":"e:1","event":"b"}', "data: no json", ": ping", ""].join("\\n\\n");
        const found = [];
        for (const size of [1, 7, whole.length]) {
            const parse = parser();
            const lines = [];
            for (let at = 0; at < whole.length; at += size) {
                lines.push(...parse(whole.slice(at, at + size)));
            }
            found.push(lines.map((line) => `${line.event} ${line.isPassing}`).join());
        }
        return found;
        """
    )
    assert found == ["a false,b true"] * 3


async def test_this_machines_clock_is_corrected_by_the_hubs(attempt: Try) -> None:
    found = await attempt(
        """
        const { learnTime, skewMs, forgetTime } = await load("lib/skew.js");
        const hub = Date.parse("2026-01-01T00:00:10Z"), said = new Date(hub).toUTCString();
        const found = [];
        forgetTime(); learnTime(hub + 200, hub + 300, said); found.push(skewMs());
        forgetTime(); learnTime(hub + 60000, hub + 60100, said); found.push(skewMs());  // a minute fast
        learnTime(hub + 60900, hub + 60910, said); found.push(skewMs());  // and known better
        forgetTime(); learnTime(hub - 30000, hub - 29900, said); found.push(skewMs());  // half a minute slow
        learnTime(hub + 500, hub + 600, said); found.push(skewMs());  // it was set right
        learnTime(1, 2, null); found.push(skewMs());
        return found;
        """
    )
    assert found == [0, 59_000, 59_900, -29_900, 0, 0]


async def test_lanes_show_as_little_time_as_holds_what_was_done_lately_and_forget_the_rest(
    attempt: Try,
) -> None:
    found = await attempt(
        """
        const { addBar, barsOf, endBar, spanOf } = await load("lib/lanes.js");
        const now = 100 * 60_000, spans = [spanOf(now)];
        endBar(addBar("ada", "long ago", now - 40 * 60_000, "running"), now - 30 * 60_000, "completed");
        for (const seconds of [60, 61, 300, 301]) {
            addBar(`agent ${seconds}`, "task", now - seconds * 1000, "running");
            spans.push(spanOf(now) / 60_000);
        }
        addBar("ada", "now", now, "running");
        return [...spans, barsOf("ada").map((bar) => bar.task_id)];
        """
    )
    assert found == [60_000, 1, 2, 5, 10, ["now"]]
