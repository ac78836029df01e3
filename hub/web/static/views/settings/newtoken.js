// @ts-check
// The form for a new token or a join code: role, agent, how long, and for whom its owner may push.

import { post } from "../../lib/api.js";
import { h } from "../../lib/render.js";
import { signal } from "../../lib/signal.js";
import { faultsOf, field, listIn } from "./form.js";

/** @typedef {import("../../types.d.ts").NewTokenView} Made */

const HOUR_MS = 3_600_000;
/** @type {[string, string][]} */
const ROLES = [["viewer", "viewer: looks"], ["dispatcher", "dispatcher: looks and acts"], ["admin", "admin: rules"], ["agent", "agent: works"]];
/** @type {[string, string][]} */
const SPANS = [["", "as usual"], ["1", "an hour"], ["24", "a day"], ["168", "7 days"], ["720", "30 days"], ["2160", "90 days"], ["8760", "a year"]];
const USUAL = /** @type {Record<string, string>} */ ({ agent: "90 days", join: "10 minutes" });
const FIELDS = ["agent_id", "label", "expires_in_ms", "agent_patterns", "plugin_patterns"];

/** @param {{ isJoin: boolean, show: (made: Made) => void, leave: () => void }} first */
export function NewToken(first) {
  const said = signal({ role: first.isJoin ? "join" : "viewer", agent: "", label: "", span: "", agents: "", plugins: "" });
  const faults = signal(faultsOf(null, FIELDS));
  const isBusy = signal(false);
  /** @param {Partial<typeof first> & Record<string, any>} change */
  const say = (change) => { said.value = { ...said.peek(), ...change }; faults.value = faultsOf(null, FIELDS); };

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    if (isBusy.peek()) return;
    const { role, agent, label, span, agents, plugins } = said.peek();
    isBusy.value = true;
    try {
      first.show(await post("/admin/tokens", {
        role: /** @type {any} */ (role), label: label.trim() || null, expires_in_ms: span ? Number(span) * HOUR_MS : null,
        agent_id: role === "agent" || role === "join" ? agent.trim() || null : null,
        agent_patterns: role === "dispatcher" && listIn(agents).length ? listIn(agents) : null,
        plugin_patterns: role === "dispatcher" && listIn(plugins).length ? listIn(plugins) : null,
      }));
    } catch (error) { faults.value = faultsOf(error, FIELDS); }
    isBusy.value = false;
  }

  return () => {
    const { role, agent, label, span, agents, plugins } = said.value;
    const { by, all } = faults.value;
    const isOfAgent = role === "agent" || role === "join";
    return h("form", { class: "panel set-form", onsubmit: submit, "aria-label": first.isJoin ? "New join code" : "New token" },
      !first.isJoin && field({ id: "token-role", label: "Role", options: ROLES, value: role, oninput: (value) => say({ role: value }) }),
      isOfAgent && field({ id: "token-agent", label: "Agent", isRequired: true, value: agent, fault: by.agent_id, note: first.isJoin ? "A name, or a pattern such as build-*: one agent may join under a name that fits." : "The one name that may connect with it.", oninput: (value) => say({ agent: value }) }),
      field({ id: "token-label", label: "What it is for", value: label, fault: by.label, note: "The feed and the audit name it so.", oninput: (value) => say({ label: value }) }),
      field({ id: "token-span", label: "Good for", options: SPANS, value: span, fault: by.expires_in_ms, note: `As usual: ${USUAL[role] ?? "30 days"}.`, oninput: (value) => say({ span: value }) }),
      role === "dispatcher" && field({ id: "token-agents", label: "Only for agents", value: agents, fault: by.agent_patterns, placeholder: "build-*, ada", note: "Names or patterns; empty: all.", oninput: (value) => say({ agents: value }) }),
      role === "dispatcher" && field({ id: "token-plugins", label: "Only plugins", value: plugins, fault: by.plugin_patterns, placeholder: "digest", note: "Names or patterns; empty: all.", oninput: (value) => say({ plugins: value }) }),
      all && h("p", { key: "all", class: "error", role: "alert" }, all),
      h("div", { key: "end", class: "row end" }, h("button", { type: "button", class: "button", onclick: first.leave }, "Back"),
        h("button", { type: "submit", class: "button primary", disabled: isBusy.value }, first.isJoin ? "Make a join code" : "Make a token")));
  };
}
