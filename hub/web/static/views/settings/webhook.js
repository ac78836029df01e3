// @ts-check
// One webhook: how it fares, what an admin does with it, and what it got.

import { at, get, patch, post, question, remove } from "../../lib/api.js";
import { attempt, confirm, tell } from "../../lib/dialog.js";
import { count, everyTenSeconds, plural } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { filter, go, setFilters } from "../../lib/router.js";
import { effect, signal, untracked } from "../../lib/signal.js";
import { Age, Empty, Failed, Loading } from "../../parts/states.js";
import { Deliveries } from "./deliveries.js";
import { filtersOf, Secret, stateOf, WebhookForm } from "./webhookform.js";

/** @typedef {import("../../types.d.ts").WebhookView} Hook */

const HOUR_MS = 3_600_000;
const LIST = "/settings?part=webhooks";

/** What was asked of a webhook, each with its question where something is lost or sent.
 *  @param {string} id @param {() => Promise<any>} again @param {import("../../lib/signal.js").Signal<any>} made @param {import("../../lib/signal.js").Signal<number>} sent */
function deedsOf(id, again, made, sent) {
  return {
    async test() {
      if (await attempt(() => post(at("/api/webhooks/{webhook_id}/test", id)), "A test is on its way: see the deliveries")) sent.value += 1;
      again();
    },
    /** @param {Hook} hook */
    async rotate(hook) {
      const body = "From now on the new secret signs. For 24 hours the old one signs as well, so that the receiver can change over.";
      if (!await confirm({ title: `A new secret for ${hook.url}?`, body, yes: "Make it" })) return;
      await attempt(async () => { made.value = await post(at("/api/webhooks/{webhook_id}/rotate", id)); });
      again();
    },
    /** @param {Hook} hook */
    async turn(hook) {
      const enabled = hook.status === "disabled";
      await attempt(() => patch(at("/api/webhooks/{webhook_id}", id), { enabled }), enabled ? "Enabled: it is told of what happens from now on" : "Disabled: it is told nothing");
      again();
    },
    async replay() {
      const body = "Every event of the last hour that it wants is sent again under the same ids. What it has done already it must know by those.";
      if (!await confirm({ title: "Tell it the last hour again?", body, yes: "Tell it" })) return;
      if (await attempt(() => post(at("/api/webhooks/{webhook_id}/replay", id), { since_time: Date.now() - HOUR_MS }), "It is told again")) sent.value += 1;
      again();
    },
    /** @param {Hook} hook */
    async drop(hook) {
      if (!await confirm({ title: `Remove ${hook.url}?`, body: hook.pending ? `It does not get the ${plural(hook.pending, "delivery", "deliveries")} that it still had to get.` : "It is told nothing any more.", yes: "Remove", isDangerous: true })) return;
      if (await attempt(() => remove(at("/api/webhooks/{webhook_id}", id)), "Removed")) go(LIST, { replace: true });
    },
  };
}

/** @param {{ id: string }} first */
export function Webhook({ id }) {
  const editing = filter("edit", "", { push: true });
  const hook = question((stop) => get(at("/api/webhooks/{webhook_id}", id), {}, stop));
  const made = signal(/** @type {any} */ (null));
  const sent = signal(0);
  effect(() => { void everyTenSeconds(); untracked(hook.reload); });
  const deeds = deedsOf(id, hook.reload, made, sent);

  /** @param {any} body */
  async function save(body) {
    await patch(at("/api/webhooks/{webhook_id}", id), body);
    tell("Saved", "good");
    editing.value = "";
    await hook.reload();
  }

  return () => {
    const now = hook.value.value;
    const fault = hook.error.value;
    const back = h("a", { class: "agent-back", href: LIST }, icon("left", 14), "Webhooks");
    if (fault?.status === 404) return h("div", { key: "gone" }, back, h(Empty, { title: "There is no such webhook.", text: "All that there are:", command: "hub webhooks list" }));
    if (!now) return fault ? h(Failed, { key: "failed", error: fault, again: hook.reload }) : h(Loading, { key: "loading" });
    const { tone, text } = stateOf(now);
    const isOff = now.status === "disabled";
    return h("div", { key: "hook", class: "stack", id: "webhook" }, back,
      h("div", { class: "page-head set-head" }, h("h2", { class: "wrap" }, now.url), h("span", { class: "state wrap", "data-tone": tone }, h("i", { "aria-hidden": "true" }), text)),
      fault && h(Failed, { key: "failed", error: fault, again: hook.reload }),
      made.value && h(Secret, { key: "secret", made: made.value, close: () => { made.value = null; } }),
      h("div", { class: "row", role: "group", "aria-label": "What to do with it" },
        h("button", { type: "button", class: "button primary", disabled: isOff, onclick: deeds.test }, icon("push", 16), "Send a test"),
        h("button", { type: "button", class: "button", "aria-expanded": String(Boolean(editing.value)), onclick: () => { editing.value = editing.peek() ? "" : "1"; } }, icon("settings", 16), "Edit"),
        h("button", { type: "button", class: "button", onclick: () => deeds.rotate(now) }, icon("retry", 16), "New secret"),
        h("button", { type: "button", class: "button", disabled: isOff, onclick: deeds.replay }, icon("clock", 16), "Replay"),
        h("button", { type: "button", class: "button", onclick: () => deeds.turn(now) }, icon(isOff ? "play" : "pause", 16), isOff ? "Enable" : "Disable"),
        h("button", { type: "button", class: "button danger", onclick: () => deeds.drop(now) }, icon("trash", 16), "Remove")),
      editing.value && h(WebhookForm, { key: "edit", hook: now, save, leave: () => setFilters({ edit: "" }) }),
      h("section", { class: "panel", "aria-labelledby": "hook-title" }, h("h3", { id: "hook-title", class: "quiet" }, "About it"),
        h("dl", { class: "agent-facts" },
          now.description && [h("dt", { key: "for name" }, "For"), h("dd", { key: "for" }, now.description)],
          h("dt", null, "Told of"), h("dd", null, filtersOf(now)),
          h("dt", null, "Still to get"), h("dd", { class: "number" }, count(now.pending), now.behind > 0 && `, and ${plural(now.behind, "event")} behind`),
          h("dt", null, "Secrets"), h("dd", null, now.secrets.length === 1 ? "one signs" : `${now.secrets.length} sign`, ", the newest since ", h(Age, { at: now.secrets[now.secrets.length - 1]?.since })),
          h("dt", null, "Added"), h("dd", null, h(Age, { at: now.created_at }), ` by ${now.created_by}`))),
      h(Deliveries, { key: "deliveries", id, sent }));
  };
}
