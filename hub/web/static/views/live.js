// @ts-check
// Live: what the fleet does now. Counters, a lane an agent with its tasks in time, the story of one task, the feed.

import { count } from "../lib/format.js";
import { h } from "../lib/render.js";
import { counters, fleet, isLoaded, loadError, reloadStore } from "../lib/store.js";
import { Feed } from "../parts/feed.js";
import { Lanes } from "../parts/lanes.js";
import { Failed, Loading } from "../parts/states.js";
import { Story } from "../parts/story.js";

/** @param {{ name: string, value: number, tone?: string, href?: string }} of */
const Counter = ({ name, value, tone, href }) => h("div", { "data-tone": value ? tone : null },
  h("dt", null, href ? h("a", { href }, name) : name), h("dd", null, count(value)));

function Counters() {
  const states = counters.value;
  const hands = fleet.value.filter((agent) => agent.connected && !agent.agent_id.startsWith("hub:"));
  const busy = hands.filter((agent) => agent.running_tasks.length > 0).length;
  /** @param {...string} names */
  const sum = (...names) => names.reduce((all, name) => all + (states[name] ?? 0), 0);
  return h("dl", { id: "counters", class: "counters" },
    h(Counter, { name: "agents online", value: hands.length, href: "/agents" }),
    h(Counter, { name: "busy", value: busy }),
    h(Counter, { name: "queued", value: sum("queued"), href: "/tasks?state=queued" }),
    h(Counter, { name: "running", value: sum("assigned", "running"), href: "/tasks?state=running" }),
    h(Counter, { name: "asking", value: sum("input_required"), tone: "warn", href: "/tasks?state=input_required" }),
    h(Counter, { name: "recovering", value: sum("recovering"), tone: "warn", href: "/tasks?state=recovering" }),
    h(Counter, { name: "completed", value: sum("completed"), href: "/tasks?state=completed" }),
    h(Counter, { name: "failed or dead", value: sum("failed", "dead_letter"), tone: "bad", href: "/dead" }));
}

export default function Live() {
  return () => h("div", { id: "live", class: "live" },
    h("h1", { class: "quiet" }, "Live"),
    loadError.value && h(Failed, { key: "failed", error: loadError.value, again: reloadStore }),
    isLoaded.value ? h(Counters, { key: "counters" }) : h(Loading, { key: "loading" }),
    h("div", { key: "columns", class: "live-columns" }, h(Lanes, null), h("div", { class: "told" }, h(Story, null), h(Feed, null))));
}
