// @ts-check
// The filters of tasks: a chip a state with how many there are, and a field for whatever else can be asked for.

import { count, tone, words } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { place } from "../../lib/router.js";
import { computed, signal } from "../../lib/signal.js";
import { counters, fleet } from "../../lib/store.js";
import { cut } from "../../lib/text.js";
import { BY_LINK, clearAll, isLabelWrong, narrow, said } from "./query.js";

const STATES = ["queued", "assigned", "running", "input_required", "recovering", "cancelling", "completed", "failed", "cancelled", "dead_letter"];
const PRIORITIES = ["urgent", "high", "normal", "low"];
const VALUE_MAX = 40;
const TEXT_MAX = 256;             // as much as the API looks for
const PLUGINS_MAX = 200;          // names that are offered; any other can be typed

const plugins = computed(() => [...new Set(fleet.value.flatMap((agent) => agent.plugins))].sort().slice(0, PLUGINS_MAX).join("\n"));
const agents = computed(() => fleet.value.map((agent) => agent.agent_id).join("\n"));

/** The address with another state, and the rest of the filters. @param {string} state */
function withState(state) {
  const query = new URLSearchParams(place.value.query);
  query.delete("cursor");
  if (state) query.set("state", state); else query.delete("state");
  return `?${query}`;
}

/** On a phone the chips scroll: the chosen one is where it is seen. @param {HTMLElement | null} node */
const toView = (node) => { if (node) requestAnimationFrame(() => node.scrollIntoView({ block: "nearest", inline: "center" })); };

/** How many there are is said while no other filter makes it untrue. */
export function States() {
  return () => {
    const filters = said();
    const counts = counters.value;
    const isWhole = Object.keys(filters).every((name) => name === "state");
    const all = STATES.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
    /** @param {string} state @param {string} name @param {number} n */
    const chip = (state, name, n) => h("li", { key: state },
      h("a", { class: "chip", ref: (filters.state ?? "") === state && state ? toView : null, href: withState(state), "aria-current": (filters.state ?? "") === state ? "true" : null, "data-none": isWhole && !n ? "" : null, "data-tone": state ? tone(state) : null },
        state && h("i", { "aria-hidden": "true" }), name, isWhole && h("span", { class: "chip-count" }, count(n))));
    return h("nav", { class: "chips", "aria-label": "By state" }, h("ul", null, chip("", "All", all), STATES.map((state) => chip(state, words(state), counts[state] ?? 0))));
  };
}

/** Known names are offered, any can be typed; it counts when the field is left, or with Enter.
 *  @param {{ name: string, label: string, hint: string, offered?: string, fault?: string }} of */
const Field = ({ name, label, hint, offered, fault }) => h("div", { class: "filter" },
  h("label", { for: `by-${name}` }, label),
  h("input", { id: `by-${name}`, maxlength: TEXT_MAX, value: said()[name] ?? "", placeholder: hint, autocomplete: "off", spellcheck: "false", list: offered ? `${name}-offered` : null,
    "aria-invalid": fault ? "true" : null, "aria-describedby": fault ? `${name}-fault` : null,
    onchange: (/** @type {any} */ event) => narrow({ [name]: event.target.value.trim() }) }),
  offered && h("datalist", { id: `${name}-offered` }, offered.split("\n").map((value) => h("option", { key: value, value }))),
  fault && h("p", { id: `${name}-fault`, class: "field-error" }, fault));

function Search() {
  return h("div", { class: "filter search" },
    h("label", { for: "by-q" }, "Text"),
    h("input", { id: "by-q", type: "search", maxlength: TEXT_MAX, "data-search": "", value: new URLSearchParams(place.value.query).get("q") ?? "", placeholder: "in the description or the id", autocomplete: "off", spellcheck: "false",
      oninput: (/** @type {any} */ event) => narrow({ q: event.target.value }, false) }));
}

function Priority() {
  return h("div", { class: "filter" },
    h("label", { for: "by-priority" }, "Priority"),
    h("select", { id: "by-priority", value: said().priority ?? "", onchange: (/** @type {any} */ event) => narrow({ priority: event.target.value }) },
      h("option", { value: "" }, "any"), PRIORITIES.map((word) => h("option", { key: word, value: word }, word))));
}

/** What only a link asks for, each with a way to take it away. @param {{ filters: Record<string, string> }} of */
const Linked = ({ filters }) => h("div", { class: "row linked" }, Object.keys(BY_LINK).filter((name) => filters[name]).map((name) =>
  h("button", { key: name, type: "button", class: "button small", title: `Without it: ${filters[name]}`, onclick: () => narrow({ [name]: "" }) },
    `${BY_LINK[name]}: ${cut(filters[name], VALUE_MAX)}`, icon("close", 14))));

export function Filters() {
  const isOpen = signal(false);     // on a phone; elsewhere there is room
  return () => {
    const filters = said();
    const more = ["agent_id", "plugin", "priority", "label", "submitted_by"].filter((name) => filters[name]).length;
    return h("search", { class: isOpen.value ? "filters open" : "filters" },
      h(Search, null),
      h("button", { type: "button", class: "button filters-more", "aria-expanded": String(isOpen.value), "aria-controls": "more-filters", onclick: () => { isOpen.value = !isOpen.peek(); } },
        icon("filter"), more ? `Filters (${more})` : "Filters"),
      h("div", { id: "more-filters", class: "filters-rest" },
        h(Field, { name: "agent_id", label: "Agent", hint: "any", offered: agents.value }),
        h(Field, { name: "plugin", label: "Plugin", hint: "any", offered: plugins.value }),
        h(Priority, null),
        h(Field, { name: "label", label: "Label", hint: "name=value", fault: isLabelWrong(filters) ? "A label is written name=value." : undefined }),
        h(Field, { name: "submitted_by", label: "Pushed by", hint: "anybody" })),
      Object.keys(BY_LINK).some((name) => filters[name]) && h(Linked, { filters }),
      Object.keys(filters).length > 0 && h("button", { key: "clear", type: "button", class: "button filters-clear", onclick: clearAll }, icon("close", 14), "Clear"));
  };
}
