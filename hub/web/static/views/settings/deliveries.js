// @ts-check
// What a webhook got and did not get: pages of deliveries, every try of one, and sending it again.

import { at, calmly, get, post, question } from "../../lib/api.js";
import { attempt } from "../../lib/dialog.js";
import { duration, everySecond, everyTenSeconds, plural } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { filter, setFilters } from "../../lib/router.js";
import { computed, effect, untracked } from "../../lib/signal.js";
import { cut } from "../../lib/text.js";
import { Age, Empty, Failed, Loading, TaskLink } from "../../parts/states.js";

/** @typedef {import("../../types.d.ts").DeliveryView} Delivery */

const PAGE = 25;
const BODY_MAX = 20_000;          // characters of what was sent: the whole is with its task
const STATES = ["", "pending", "delivered", "failed"];
const TONES = /** @type {Record<string, string>} */ ({ delivered: "good", failed: "bad", pending: "busy" });

/** @param {{ state: string }} of */
const Mark = ({ state }) => h("span", { class: "state", "data-tone": TONES[state] ?? "plain" }, h("i", { "aria-hidden": "true" }), state);

/** @param {{ id: string, state: string, again: () => void }} first */
function Tries({ id, again }) {
  const found = question((stop) => get(at("/api/webhooks/deliveries/{delivery_id}", id), {}, stop));
  const isPending = computed(() => found.value.value?.state === "pending");
  const ask = calmly(found.reload);
  effect(() => { if (isPending.value) void everySecond(); untracked(ask); });
  async function send() {
    await attempt(() => post(at("/api/webhooks/deliveries/{delivery_id}/redeliver", id)), "It is sent again, under the same id");
    found.reload();
    again();
  }
  return () => {
    const one = found.value.value;
    if (!one) return found.error.value ? h(Failed, { key: "failed", error: found.error.value, again: found.reload }) : h(Loading, { key: "loading" });
    return h("div", { key: "tries", class: "set-tries", id: "delivery" },
      h("div", { class: "bar" }, h("h3", null, one.log.length ? plural(one.log.length, "try", "tries") : "Not tried yet"),
        h("button", { type: "button", class: "button small", disabled: one.state === "pending", onclick: send }, icon("retry", 14), "Send again")),
      h("ol", null, [...one.log].reverse().map((told, n) => h("li", { key: one.log.length - n }, h("p", { class: "row" }, h("span", { class: "mono set-code", "data-tone": told.status && told.status < 300 ? "good" : "bad" }, told.status ?? "no answer"), h(Age, { at: told.at }), h("span", { class: "soft" }, `took ${duration(told.took_ms)}`)),
        told.error && h("p", { class: "error" }, told.error), told.answer && h("pre", { tabindex: 0, "aria-label": "The beginning of its answer", role: "group" }, told.answer)))),
      one.body !== null && h("details", null, h("summary", null, "What was sent"), h("pre", { tabindex: 0, role: "group", "aria-label": "What was sent" }, cut(JSON.stringify(one.body, null, 2), BODY_MAX))),
      h("p", { class: "soft mono wrap" }, `webhook-id ${one.message_id}`));
  };
}

/** @param {{ one: Delivery, isOpen: boolean, again: () => void }} of */
function Row({ one, isOpen, again }) {
  return h("li", { class: "set-delivery", "data-delivery": one.delivery_id },
    h("div", { class: "set-delivery-head" },
      h("button", { type: "button", class: "set-fold", "aria-expanded": String(isOpen), onclick: () => setFilters({ delivery: isOpen ? "" : one.delivery_id }, { push: true }) }, icon(isOpen ? "down" : "right", 14), h("span", { class: "mono" }, one.event)),
      h(Mark, { state: one.state }),
      h("span", { class: "soft set-delivery-about" }, h(Age, { at: one.updated_at }), `, ${plural(one.tries, "try", "tries")}`, one.state === "pending" && one.next_try_at && [", next ", h(Age, { at: one.next_try_at })]),
      h("span", { class: "set-delivery-task" }, one.task_id ? h(TaskLink, { id: one.task_id }) : one.agent_id ?? "")),
    isOpen && h(Tries, { key: one.delivery_id, id: one.delivery_id, state: one.state, again }));
}

/** @param {{ id: string, sent: import("../../lib/signal.js").Signal<number> }} first */
export function Deliveries({ id, sent }) {
  const state = filter("state", "", { push: true });
  const cursor = filter("cursor", "", { push: true });
  const open = filter("delivery", "", { push: true });
  const page = question((stop) => get(at("/api/webhooks/{webhook_id}/deliveries", id), { state: untracked(() => state.value), cursor: untracked(() => cursor.value), limit: PAGE }, stop));
  const isMoving = computed(() => (page.value.value?.deliveries ?? []).some((one) => one.state === "pending"));
  const ask = calmly(page.reload);
  effect(() => {
    void [state.value, cursor.value, sent.value, everyTenSeconds()];
    if (isMoving.value) void everySecond();
    untracked(ask);
  });
  return () => {
    const found = page.value.value;
    const fault = page.error.value;
    return h("section", { class: "panel", "aria-labelledby": "deliveries-title" },
      h("div", { class: "bar set-bar" }, h("h2", { id: "deliveries-title" }, "Deliveries"),
        h("label", { class: "quiet", for: "delivery-state" }, "State"),
        h("select", { id: "delivery-state", value: state.value, onchange: (/** @type {any} */ event) => setFilters({ state: event.target.value, cursor: "", delivery: "" }, { push: true }) }, STATES.map((one) => h("option", { key: one, value: one }, one || "all")))),
      fault && h(Failed, { key: "failed", error: fault, again: page.reload }),
      !found && !fault && h(Loading, { key: "loading" }),
      found && !found.count && h(Empty, { key: "none", title: state.value ? `No delivery is ${state.value}.` : "Nothing was sent yet.", text: "A test shows whether the receiver takes it: Send a test, or", command: `hub webhooks test ${id}` }),
      found && found.count > 0 && h("ul", { key: "list", id: "deliveries" }, found.deliveries.map((one) => h(Row, { key: one.delivery_id, one, isOpen: open.value === one.delivery_id, again: page.reload }))),
      (cursor.value || found?.next) && h("div", { key: "pages", class: "row end set-space" },
        cursor.value && h("button", { type: "button", class: "button small", onclick: () => { cursor.value = ""; } }, "Newest"),
        found?.next && h("button", { type: "button", class: "button small", onclick: () => setFilters({ cursor: String(found.next), delivery: "" }, { push: true }) }, "Older")));
  };
}
