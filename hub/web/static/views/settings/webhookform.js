// @ts-check
// The form of a webhook, new or known: where, which events, of what; and how a webhook fares, in a word.

import { age } from "../../lib/format.js";
import { h } from "../../lib/render.js";
import { signal } from "../../lib/signal.js";
import { faultsOf, field, labelsIn, labelsOut, listIn, Once } from "./form.js";

/** @typedef {import("../../types.d.ts").WebhookView} Hook */

/** Put together, so that no address of elsewhere stands in a script of ours. */
export const EXAMPLE = ["https:", "", "example.com", "crewhub"].join("/");
const FIELDS = ["url", "description", "events", "agent_id", "plugin", "labels"];
const OFTEN = ["task_complete", "task_failed", "task_cancelled", "input_required", "agent_joined", "agent_left"];

/** @param {Hook} hook @returns {{ tone: string, text: string }} */
export function stateOf(hook) {
  if (hook.status === "disabled") return { tone: "warn", text: hook.disabled_why ? `disabled: ${hook.disabled_why}` : "disabled" };
  if (hook.failing_since) return { tone: "bad", text: `failing since ${age(hook.failing_since)}` };
  return { tone: "good", text: "enabled" };
}

/** What it is told of, in short. @param {Hook} hook */
export const filtersOf = (hook) => [hook.events.includes("*") ? "all events" : hook.events.join(", "), hook.agent_id && `agent ${hook.agent_id}`, hook.plugin && `plugin ${hook.plugin}`,
  ...Object.entries(hook.labels).map(([name, value]) => `${name}=${value}`)].filter(Boolean).join(" · ");

/** @param {{ made: import("../../types.d.ts").NewWebhookView, close: () => void }} of */
export const Secret = ({ made, close }) => h(Once, { title: `The secret of ${made.url}`, name: "Secret", secret: made.secret, close, note: h("p", null, "The receiver checks the signature of every call with it. Until tomorrow an older one signs as well.") });

/** `save` gets the body and throws what was refused. @param {{ hook: Hook | null, save: (body: any) => Promise<void>, leave: () => void }} first */
export function WebhookForm(first) {
  const { hook } = first;
  const said = signal({ url: hook?.url ?? "", description: hook?.description ?? "", events: hook ? hook.events.join(", ") : "task_complete, task_failed", agent: hook?.agent_id ?? "", plugin: hook?.plugin ?? "", labels: labelsOut(hook?.labels ?? {}) });
  const faults = signal(faultsOf(null, FIELDS));
  const isBusy = signal(false);
  /** @param {Record<string, string>} change */
  const say = (change) => { said.value = { ...said.peek(), ...change }; faults.value = faultsOf(null, FIELDS); };

  /** @param {string} event */
  function turn(event) {
    const now = listIn(said.peek().events);
    say({ events: (now.includes(event) ? now.filter((one) => one !== event) : [...now, event]).join(", ") });
  }

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    if (isBusy.peek()) return;
    const { url, description, events, agent, plugin, labels } = said.peek();
    const own = labelsIn(labels);
    isBusy.value = true;
    try {
      await first.save({ url: url.trim(), description: description.trim(), events: listIn(events).length ? listIn(events) : ["*"], agent_id: agent.trim() || null, plugin: plugin.trim() || null, labels: Object.keys(own).length ? own : null });
      faults.value = faultsOf(null, FIELDS);
    } catch (error) { faults.value = faultsOf(error, FIELDS); }
    isBusy.value = false;
  }

  return () => {
    const { url, description, events, agent, plugin, labels } = said.value;
    const { by, all } = faults.value;
    const chosen = listIn(events);
    return h("form", { class: "panel set-form", onsubmit: submit, "aria-label": hook ? "Change the webhook" : "New webhook" },
      h("div", { class: "set-wide" }, field({ id: "hook-url", label: "Address", isRequired: true, value: url, fault: by.url, placeholder: EXAMPLE, note: "https, on the open Internet; for your own network set hooks_allow_private.", oninput: (value) => say({ url: value }) })),
      h("div", { class: "set-wide" }, field({ id: "hook-events", label: "Events", value: events, fault: by.events, placeholder: "all", note: "Names as the feed has them; * is any letters; empty: all.", oninput: (value) => say({ events: value }) }),
        h("div", { class: "fleet-chips set-space", role: "group", "aria-label": "Often wanted" }, OFTEN.map((event) => h("button", { key: event, type: "button", class: "fleet-chip mono", "aria-pressed": String(chosen.includes(event)), onclick: () => turn(event) }, event)))),
      field({ id: "hook-agent", label: "Only of agent", value: agent, fault: by.agent_id, oninput: (value) => say({ agent: value }) }),
      field({ id: "hook-plugin", label: "Only of plugin", value: plugin, fault: by.plugin, oninput: (value) => say({ plugin: value }) }),
      field({ id: "hook-labels", label: "Only tasks with labels", value: labels, fault: by.labels, placeholder: "site=north, kind=nightly", oninput: (value) => say({ labels: value }) }),
      field({ id: "hook-description", label: "What it is for", value: description, fault: by.description, maxlength: 500, oninput: (value) => say({ description: value }) }),
      all && h("p", { key: "all", class: "error", role: "alert" }, all),
      h("div", { key: "end", class: "row end" }, h("button", { type: "button", class: "button", onclick: first.leave }, "Back"),
        h("button", { type: "submit", class: "button primary", disabled: isBusy.value }, hook ? "Save" : "Add the webhook")));
  };
}
