// @ts-check
// Lanes: an agent a row, its tasks as bars over the last one to ten minutes. Time moves once a second, for the rows one sees.

import { clock, duration, everySecond, MINUTE, plural, SECOND, words } from "../lib/format.js";
import { barsOf, lanesChanged, spanOf, tracksOf } from "../lib/lanes.js";
import { h } from "../lib/render.js";
import { filter, go } from "../lib/router.js";
import { effect, signal } from "../lib/signal.js";
import { agentOf, describe, fleet, isLoaded } from "../lib/store.js";
import { harmless } from "../lib/text.js";
import { VirtualList } from "../lib/virtual.js";
import { AgentLink, Empty } from "./states.js";

const ROW_PX = 44;
const MARKS = 5;                  // lines across the lanes
const BAR_LEAST = 0.4;            // per cent: a short task can still be seen

/** The time that all lanes show. */
const span = signal(spanOf(0));

/** @param {import("../lib/lanes.js").Bar} bar @param {number} now @param {number} tracks */
function Bar(bar, now, tracks) {
  const begin = now - span.value;
  const end = bar.to ?? now;
  if (end < begin) return null;
  const left = Math.max(0, (bar.from - begin) / span.value) * 100;
  const wide = Math.max(BAR_LEAST, Math.min(100, ((end - begin) / span.value) * 100) - left);
  return h("i", { key: `${bar.task_id} ${bar.from}`, class: "bar-in-time", "data-state": bar.state, "data-task": bar.task_id, title: `${describe(bar.task_id)} · ${words(bar.state)} · ${duration(end - bar.from)}`,
    style: { left: `${Math.min(left, 100 - BAR_LEAST).toFixed(2)}%`, width: `${wide.toFixed(2)}%`, top: `${(bar.track * 100) / tracks}%`, height: `${100 / tracks}%` } });
}

/** A pointer opens the task below it; its name is in the feed and on the agent's page for everybody. @param {MouseEvent} event */
function openTask(event) {
  const task = event.target instanceof Element ? event.target.getAttribute("data-task") : null;
  if (task) go(`/tasks/${encodeURIComponent(task)}`);
}

/** @param {{ id: string }} of */
function Lane({ id }) {
  const now = everySecond();
  void lanesChanged.value;
  const agent = agentOf(id);
  if (!agent) return null;
  const slots = `${agent.running_tasks.length}/${agent.slots}`;
  const about = [words(agent.state), ...agent.capabilities].join(" · ");
  const bars = barsOf(id).filter((bar) => bar.to === null || bar.to > now - span.value);
  const tracks = tracksOf(bars);
  return h("div", { class: agent.connected ? "lane" : "lane away" },
    h("div", { class: "lane-head" },
      h("p", { class: "name" }, h("i", { class: "mark", "data-state": agent.state, "aria-hidden": "true" }), h(AgentLink, { id })),
      h("p", { class: "about", title: about }, h("span", { class: "slots", title: `${slots} slots in use` }, slots), ` ${harmless(about)}`)),
    h("div", { class: "lane-time", role: "img", "aria-label": `${plural(bars.length, "task")} in the last ${plural(span.value / MINUTE, "minute")}`, onclick: openTask }, bars.map((bar) => Bar(bar, now, tracks))));
}

function Scale() {
  const now = everySecond();
  return h("div", { class: "scale", "aria-hidden": "true" }, Array.from({ length: MARKS }, (_, n) => h("span", { key: n }, mark(now, span.value * (1 - (n + 1) / MARKS)))));
}

/** What stands over a line: how long ago, or at what time. @param {number} now @param {number} ago */
function mark(now, ago) {
  if (ago <= 0) return "now";
  return span.value / MARKS < MINUTE ? `−${Math.round(ago / SECOND)} s` : clock(now - ago).slice(0, 5);
}

export function Lanes() {
  const wanted = filter("agent");
  effect(() => { void lanesChanged.value; span.value = spanOf(everySecond()); });
  return () => {
    const text = wanted.value.toLowerCase();
    const shown = text ? fleet.value.filter((agent) => agent.agent_id.toLowerCase().includes(text) || agent.capabilities.some((one) => one.toLowerCase().includes(text))) : fleet.value;
    const tall = Math.min(12, Math.max(1, shown.length)) * ROW_PX;
    return h("section", { class: "panel lanes", "aria-labelledby": "fleet-title" },
      h("div", { class: "bar" }, h("h2", { id: "fleet-title" }, "Fleet"), h("span", { class: "soft" }, `last ${span.value / MINUTE} min`)),
      isLoaded.value && !fleet.value.length && h(Empty, { key: "empty", title: "No agent is connected.", text: "Start one:", command: "sidecar connect --agent-id alice" }),
      fleet.value.length > 0 && !shown.length && h(Empty, { key: "none", title: "No agent fits the filter." }),
      shown.length > 0 && h(Scale, { key: "scale" }),
      shown.length > 0 && h("div", { key: "lanes", class: "lanes-box", style: { height: `${tall}px` } },
        h(VirtualList, { elementId: "fleet", items: shown, height: ROW_PX, id: byId, row: lane, label: "Agents and their tasks over time" })));
  };
}

/** @param {any} agent */
const byId = (agent) => agent.agent_id;
/** @param {any} agent */
const lane = (agent) => h(Lane, { id: agent.agent_id });
