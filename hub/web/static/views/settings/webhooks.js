// @ts-check
// Webhooks: who is told of events. The list of them, a new one, and the one that `?webhook=` names.

import { get, post, question } from "../../lib/api.js";
import { count, everyTenSeconds, plural } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { filter } from "../../lib/router.js";
import { effect, signal, untracked } from "../../lib/signal.js";
import { Age, Empty, Failed, Loading } from "../../parts/states.js";
import { Webhook } from "./webhook.js";
import { EXAMPLE, filtersOf, Secret, stateOf, WebhookForm } from "./webhookform.js";

/** @typedef {import("../../types.d.ts").WebhookView} Hook */
/** @typedef {import("../../types.d.ts").NewWebhookView} NewHook */

/** @param {{ hook: Hook }} of */
function Row({ hook }) {
  const { tone, text } = stateOf(hook);
  return h("li", { class: "set-row", "data-webhook": hook.webhook_id },
    h("div", { class: "set-row-main" },
      h("p", { class: "set-row-title" }, h("a", { class: "wrap", href: `/settings?part=webhooks&webhook=${encodeURIComponent(hook.webhook_id)}` }, hook.url)),
      h("p", { class: "set-row-about" }, hook.description && h("span", { class: "wrap" }, hook.description), h("span", { class: "wrap" }, filtersOf(hook)),
        hook.pending > 0 && h("span", null, `${count(hook.pending)} still to get`), hook.behind > 0 && h("span", null, `${plural(hook.behind, "event")} behind`), h("span", null, "changed ", h(Age, { at: hook.updated_at })))),
    h("span", { class: "state", "data-tone": tone }, h("i", { "aria-hidden": "true" }), text));
}

/** @param {{ made: import("../../lib/signal.js").Signal<NewHook | null> }} first */
function List({ made }) {
  const adding = filter("new", "", { push: true });
  const hooks = question((stop) => get("/api/webhooks", {}, stop));
  effect(() => { void everyTenSeconds(); untracked(hooks.reload); });
  /** @param {any} body */
  async function add(body) {
    made.value = await post("/api/webhooks", body);
    adding.value = "";
    hooks.reload();
  }
  return () => {
    const all = hooks.value.value?.webhooks;
    const fault = hooks.error.value;
    return h("div", { class: "stack" },
      h("div", { class: "row" }, h("button", { type: "button", class: "button primary", "aria-expanded": String(Boolean(adding.value)), onclick: () => { adding.value = adding.peek() ? "" : "webhook"; } }, icon("plus", 16), "New webhook")),
      made.value && h(Secret, { key: "secret", made: made.value, close: () => { made.value = null; } }),
      adding.value && h(WebhookForm, { key: "new", hook: null, save: add, leave: () => { adding.value = ""; } }),
      fault && h(Failed, { key: "failed", error: fault, again: hooks.reload }),
      !all && !fault && h(Loading, { key: "loading" }),
      all && !all.length && h(Empty, { key: "empty", title: "Nobody is told of events yet.", text: "A webhook is a signed call to a place of yours, for each event that you choose. Here, or on the command line:", command: `hub webhooks add ${EXAMPLE} --event task_complete` }),
      all && all.length > 0 && h("ul", { key: "list", id: "webhooks", class: "panel set-rows", "aria-label": plural(all.length, "webhook") }, all.map((hook) => h(Row, { key: hook.webhook_id, hook }))));
  };
}

export function Webhooks() {
  const open = filter("webhook", "", { push: true });
  const made = signal(/** @type {NewHook | null} */ (null));
  return () => (open.value ? h(Webhook, { key: open.value, id: open.value }) : h(List, { key: "list", made }));
}
