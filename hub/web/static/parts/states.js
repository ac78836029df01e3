// @ts-check
// What every view shows in the same way: states, empty, loading and failed pictures, links to tasks and agents.

import { age, iso, moment, tone, words } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { h } from "../lib/render.js";
import { describe, namesLearnt } from "../lib/store.js";
import { cut } from "../lib/text.js";

const NAME_MAX = 120;

/** A state as a word with a mark. @param {{ state: string }} of */
export const State = ({ state }) => h("span", { class: "state", "data-tone": tone(state) }, h("i", { "aria-hidden": "true" }), words(state));

/** Nothing to see, and the command that changes that. @param {{ title: string, text?: any, command?: string }} of */
export const Empty = ({ title, text, command }) => h("div", { class: "empty" }, h("p", { class: "empty-title" }, title),
  text && h("p", null, text), command && h("p", null, h("code", null, command)));

/** @param {{ what?: string }} of */
export const Loading = ({ what = "Loading…" }) => h("p", { class: "empty loading", role: "status" }, what);

/** What went wrong and what to do. @param {{ error: any, again?: () => void }} of */
export const Failed = ({ error, again }) => h("div", { class: "failed panel", role: "alert" },
  h("p", null, icon("dead"), " ", error?.advice ?? String(error)),
  again && h("button", { type: "button", class: "button", onclick: again }, icon("retry"), "Try again"));

/** @param {{ id: string, text?: string }} of */
export function TaskLink({ id, text }) {
  if (!text) void namesLearnt.value;      // what it is about may be learnt later
  return h("a", { class: "task", href: `/tasks/${encodeURIComponent(id)}`, title: id }, cut(text || describe(id), NAME_MAX));
}

/** @param {{ id: string }} of */
export const AgentLink = ({ id }) => h("a", { class: "agent", href: `/agents/${encodeURIComponent(id)}`, title: id }, id);

/** "3 min ago", with the whole date on it; it grows by itself. @param {{ at: number | null | undefined }} of */
export const Age = ({ at }) => h("time", { datetime: at ? iso(at) : null, title: moment(at) }, age(at));
