// @ts-check
// Fleet: every agent in a line, filters in the address, and steering of all that a filter shows.

import { get, may, question } from "../lib/api.js";
import { count, everyTenSeconds, plural, tone, words } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { h } from "../lib/render.js";
import { filter } from "../lib/router.js";
import { effect, untracked } from "../lib/signal.js";
import { fleet, isLoaded, loadError, reloadFleet } from "../lib/store.js";
import { VirtualList } from "../lib/virtual.js";
import { Empty, Failed, Loading } from "../parts/states.js";
import { Row } from "./fleet/row.js";
import { meant, STEERING, steerMany, WORDS } from "./fleet/steering.js";
import { sought, STATES } from "./fleet/words.js";

/** @typedef {import("../types.d.ts").AgentView} Agent */

const ROW_PX = 62;
const NARROW_PX = 760;
const NARROW_ROW_PX = 140;
const LIST_ROWS_MAX = 12;
const FRESH_FLEET_MAX = 100;      // so small a fleet is asked for every ten seconds; a larger one by the store, once a minute
const ENDINGS_EVERY = 3;          // ticks of ten seconds

/** @param {{ all: readonly Agent[], state: { value: string } }} of */
function States({ all, state }) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const agent of all) counts[agent.state] = (counts[agent.state] ?? 0) + 1;
  const chips = ["", ...STATES].filter((one) => !one || counts[one] || state.value === one);
  return h("div", { class: "fleet-chips", role: "group", "aria-label": "State" }, chips.map((one) => h("button", { key: one, type: "button", class: "fleet-chip", "data-tone": tone(one), "aria-pressed": String(state.value === one), onclick: () => { state.value = one; } },
    one ? words(one) : "all", h("span", { class: "number" }, count(one ? counts[one] ?? 0 : all.length)))));
}

/** @param {{ shown: readonly Agent[], isFiltered: boolean }} of */
function Steering({ shown, isFiltered }) {
  return h("div", { class: "row steering", role: "group", "aria-label": isFiltered ? "Steer all that the filter shows" : "Steer the whole fleet" },
    h("span", { class: "soft" }, isFiltered ? `${plural(shown.length, "agent")} shown:` : "The whole fleet:"),
    STEERING.map((word) => {
      const { name, icon: sign } = WORDS[word];
      const own = meant(word, shown).length;
      return h("button", { key: word, type: "button", class: "button small", disabled: !own, title: own ? `${name} ${plural(own, "agent")}` : `No agent here to ${word}`, onclick: () => steerMany(word, shown) }, icon(sign, 14), name, own > 0 && h("span", { class: "number soft" }, count(own)));
    }));
}

/** @param {boolean} withAction */
const Heads = (withAction) => h("div", { class: "agent-heads", "aria-hidden": "true" },
  ["Agent", "State", "Slots", "In hand", "Last", "24 hours"].map((name) => h("span", { key: name }, name)), withAction && h("span", { key: "act" }));

export default function Fleet() {
  const text = filter("q");
  const state = filter("state", "", { push: true });
  const idle = question((stop) => get("/api/fleet/explain", {}, stop));
  const endings = question((stop) => get("/api/fleet/endings", {}, stop));
  let ticks = 0;
  effect(() => {
    void everyTenSeconds();
    untracked(() => {
      idle.reload();
      if (ticks % ENDINGS_EVERY === 0) endings.reload();
      if (ticks && fleet.peek().length <= FRESH_FLEET_MAX) reloadFleet();
      ticks += 1;
    });
  });

  return () => {
    if (loadError.value && !isLoaded.value) return h(Failed, { key: "failed", error: loadError.value, again: reloadFleet });
    if (!isLoaded.value) return h(Loading, { key: "loading" });
    const all = fleet.value;
    const found = sought(all, text.value);
    const shown = state.value ? found.filter((agent) => agent.state === state.value) : found;
    /** @type {Map<string, string>} */
    const reasons = new Map((idle.value.value?.agents ?? []).map((one) => [one.agent_id, one.reason]));
    const tallies = endings.value.value?.agents ?? {};
    const row = (/** @type {Agent} */ agent) => h(Row, { agent, idle: reasons.get(agent.agent_id), tally: tallies[agent.agent_id] });
    const isFiltered = Boolean(text.value || state.value);
    return h("div", { key: "fleet", id: "agents" },
      h("div", { class: "page-head" }, h("h1", null, "Fleet"),
        h("label", { class: "quiet", for: "fleet-filter" }, "Filter"),
        h("input", { id: "fleet-filter", class: "fleet-filter", type: "search", "data-search": "", placeholder: "name, label, plugin, host", autocomplete: "off", value: text.value, oninput: (/** @type {any} */ event) => { text.value = event.target.value; } })),
      loadError.value && h(Failed, { key: "failed", error: loadError.value, again: reloadFleet }),
      all.length > 0 && h("div", { key: "tools", class: "fleet-tools" }, h(States, { all: found, state }), may.rule && h(Steering, { shown, isFiltered })),
      !all.length && h(Empty, { key: "empty", title: "No agent has ever connected.", text: "Start one on this machine, or on another one:", command: "sidecar connect --agent-id alice" }),
      all.length > 0 && !shown.length && h(Empty, { key: "none", title: "No agent fits the filter." }),
      shown.length > 0 && h("div", { key: "list", class: may.rule ? "panel agents may-rule" : "panel agents" }, Heads(may.rule),
        h("div", { class: "agents-box", style: { "--rows": String(Math.min(LIST_ROWS_MAX, shown.length)) } },
          h(VirtualList, { items: shown, height: rowHeight, row, id: byId, label: "Agents", name: "agent-list", elementId: "agent-list", change: row }))));
  };
}

/** @param {Agent} agent */
const byId = (agent) => agent.agent_id;
/** @param {Agent} _agent @param {number} wide */
const rowHeight = (_agent, wide) => (wide < NARROW_PX ? NARROW_ROW_PX : ROW_PX);
