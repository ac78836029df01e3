// @ts-check
// Who shall do it, and with which plugin: what is known of them stands beside the fields. Never decides: any name can be given.

import { plural } from "../../lib/format.js";
import { h } from "../../lib/render.js";
import { agentOf, fleet } from "../../lib/store.js";
import { cut } from "../../lib/text.js";
import { State } from "../../parts/states.js";
import { Area, Line } from "./fields.js";

const OFFERED_MAX = 500;
const NAMES_MAX = 5;
const NAME_MAX = 60;

/** Those that people push to, the ones inside the hub left out. */
const hands = () => fleet.value.filter((agent) => !agent.agent_id.startsWith("hub:"));

/** @param {string[]} names */
const listed = (names) => names.slice(0, NAMES_MAX).map((name) => cut(name, NAME_MAX)).join(", ") + (names.length > NAMES_MAX ? ` and ${names.length - NAMES_MAX} more` : "");

/** @param {string} name @param {string} plugin */
function aboutAgent(name, plugin) {
  const agent = agentOf(name);
  if (!name) return h("p", { class: "soft" }, hands().length ? plural(hands().filter((one) => one.connected).length, "agent is", "agents are") + " connected." : ["No agent has ever connected. ", h("code", null, "sidecar connect --agent-id alice")]);
  if (!agent) return h("p", { class: "soft" }, "No agent of that name is known: the task waits until one connects.");
  return h("p", { class: "row" }, h(State, { state: agent.state }), h("span", { class: "soft" }, `${agent.free_slots} of ${plural(agent.slots, "slot")} free`),
    plugin && !agent.plugins.includes(plugin) && h("span", { class: "push-warn" }, `It does not offer ${cut(plugin, NAME_MAX)}.`));
}

/** @param {string} capabilities @param {string} labels */
function aboutAble(capabilities, labels) {
  const wanted = capabilities.split(/[\n,]/).map((one) => one.trim()).filter(Boolean);
  const pairs = labels.split(/[\n,]/).map((one) => one.trim()).filter((one) => one.includes("="));
  if (!wanted.length && !pairs.length) return null;
  const able = hands().filter((agent) => agent.connected && wanted.every((one) => agent.capabilities.includes(one)) && pairs.every((one) => agent.labels[one.slice(0, one.indexOf("="))] === one.slice(one.indexOf("=") + 1)));
  return h("p", { class: able.length ? "soft" : "push-warn" }, able.length ? `${plural(able.length, "agent")} can: ${listed(able.map((agent) => agent.agent_id))}` : "Nobody who is connected can: the task waits.");
}

/** @param {{ model: import("./model.js").Push }} of */
export function Who({ model }) {
  const { to, agent, capabilities, needed_labels, plugin } = model.said.value;
  if (to === "agent") {
    return h("div", { class: "stack" }, h(Line, { model, name: "agent", label: "Agent", hint: hands()[0]?.agent_id ?? "alice", list: "push-agents" }),
      h("datalist", { id: "push-agents" }, hands().slice(0, OFFERED_MAX).map((one) => h("option", { key: one.agent_id, value: one.agent_id, label: one.connected ? `${one.free_slots} of ${one.slots} free` : "offline" }))),
      aboutAgent(agent.trim(), plugin));
  }
  if (to === "any") return h("p", { class: "soft" }, plugin ? "Whoever offers the plugin and is free." : "Whoever is free.");
  const known = [...new Set(hands().flatMap((one) => one.capabilities))].sort().slice(0, OFFERED_MAX);
  return h("div", { class: "stack" }, h("div", { class: "push-grid" },
    h(Line, { model, name: "capabilities", label: "Capabilities", hint: "briefing, python", note: "All of them, with commas between.", list: "push-capabilities" }),
    h(Area, { model, name: "needed_labels", label: "Labels of the agent", hint: "site=north", note: "name=value, one a line." })),
  h("datalist", { id: "push-capabilities" }, known.map((value) => h("option", { key: value, value }))),
  aboutAble(capabilities, needed_labels));
}

/** @param {import("../../types.d.ts").PluginView} one */
const optionOf = (one) => `${cut(one.title ? `${one.title} (${one.name})` : one.name, NAME_MAX)}${one.trouble ? " – broken" : one.agent_count ? "" : " – nobody offers it now"}`;

/** @param {{ form: any }} of */
function About({ form }) {
  if (!form) return null;
  return h("div", { class: "push-about" }, form.description && h("p", { class: "soft" }, cut(form.description, 1_000)),
    form.trouble ? h("p", { class: "push-warn" }, form.trouble)
      : h("p", { class: form.agent_count ? "soft" : "push-warn" }, form.agent_count ? `Offered by ${listed(form.agents)}${form.versions?.length ? ` · version ${form.versions.join(", ")}` : ""}` : "No connected agent offers it: the task waits."));
}

/** @param {{ model: import("./model.js").Push, plugins: import("../../types.d.ts").PluginView[], error: any, form: any }} of */
export function Plugin({ model, plugins, error, form }) {
  const name = model.said.value.plugin;
  const isKnown = plugins.some((one) => one.name === name);
  return h("div", { class: "field" },
    h("label", { for: "push-plugin" }, "Plugin"),
    h("select", { id: "push-plugin", value: name, "aria-describedby": "push-plugin-about", onchange: (/** @type {any} */ event) => model.set({ plugin: event.target.value }) },
      h("option", { key: " none", value: "" }, "None: what the agent itself runs"),
      name && !isKnown && h("option", { key: ` ${name}`, value: name }, cut(name, NAME_MAX)),
      plugins.map((one) => h("option", { key: one.name, value: one.name }, optionOf(one)))),
    h("div", { id: "push-plugin-about" }, error && h("p", { class: "field-error" }, error.advice), h(About, { form })));
}
