// @ts-check
// A task's history: the events that moved it, with their causes, and its attempts as times from and to. Owns asking for it.

import { at, get } from "../../lib/api.js";
import { clock, duration, iso, moment, plural, words } from "../../lib/format.js";
import { h } from "../../lib/render.js";
import { onClose, signal } from "../../lib/signal.js";
import { cut } from "../../lib/text.js";
import { AgentLink } from "../../parts/states.js";

/** @typedef {import("../../types.d.ts").EventView} Event */
/** @typedef {{ generation: number, agent: string | null, from: number, to: number | null, end: string }} Attempt */

const PAGE = 200;
const EVENTS_MAX = 2_000;         // of one task; it has a handful, and more only if somebody plays with it
const SHOWN_STEP = 60;
const WORDS_MAX = 600;

/** @type {Record<string, string>} */
const WORDS = { task_queued: "queued", task_assigned: "assigned", task_accepted: "begun", task_requeued: "back in the queue", task_recovering: "its agent is out of reach", task_resumed: "its agent is back",
  task_cancel: "told to stop", task_complete: "completed", task_failed: "failed", task_cancelled: "cancelled", task_rejected: "rejected", input_required: "asks a person", task_input: "answered", input_ack: "has the answer",
  task_done: "a step is kept" };
/** After these nobody has it in hand. */
const ENDS = new Set(["task_requeued", "task_complete", "task_failed", "task_cancelled", "task_rejected"]);

/** Events of a task, oldest first; `more` asks for what came since. @param {string} taskId */
export function past(taskId) {
  const events = signal(/** @type {Event[]} */ ([]));
  let after = 0;
  let isOver = false;
  let isAsking = false;
  let again = false;
  onClose(() => { isOver = true; });

  async function more() {
    if (isAsking) { again = true; return; }
    isAsking = true;
    try {
      do {
        again = false;
        const page = await get(at("/api/tasks/{task_id}/events", taskId), { after, limit: PAGE });
        if (isOver) return;
        if (page.next !== null) after = page.next;
        if (page.events.length) events.value = [...events.peek(), ...page.events].slice(-EVENTS_MAX);
        if (page.count >= PAGE) again = true;
      } while (again);
    } catch { /* the task itself says what is wrong; the next change asks again */ } finally { isAsking = false; }
  }
  return { events, more };
}

/** Who had it in hand, and when. @param {readonly Event[]} events @returns {Attempt[]} */
export function attemptsOf(events) {
  /** @type {Map<number, Attempt>} */
  const found = new Map();
  for (const { event, generation, timestamp, agent_id: agent, payload } of events) {
    const held = generation === null ? undefined : found.get(generation);
    if (generation !== null && (event === "task_assigned" || event === "task_accepted") && !held) found.set(generation, { generation, agent, from: timestamp, to: null, end: "" });
    else if (held && event === "task_accepted") { held.from = timestamp; held.agent = agent ?? held.agent; }
    if (!ENDS.has(event)) continue;
    for (const one of found.values()) {
      if (one.to === null && (generation === null || one.generation <= generation)) { one.to = timestamp; one.end = String(/** @type {any} */ (payload)?.state ?? event.replace("task_", "")); }
    }
  }
  return [...found.values()];
}

/** Why, in one line. @param {any} payload */
function causeOf(payload) {
  if (!payload || typeof payload !== "object") return "";
  const parts = [];
  if (typeof payload.cause === "string") parts.push(words(payload.cause));
  else if (typeof payload.how === "string" && payload.how !== "completed") parts.push(words(payload.how));
  for (const name of ["reason", "error", "prompt", "description"]) if (typeof payload[name] === "string" && payload[name] && !parts.includes(words(payload[name]))) { parts.push(cut(payload[name], WORDS_MAX)); break; }
  if (typeof payload.stopped === "string") parts.push(words(payload.stopped));
  if (typeof payload.by === "string" && payload.by) parts.push(`by ${cut(payload.by, 100)}`);
  if (payload.delay_ms > 0) parts.push(`again in ${duration(payload.delay_ms)}`);
  if (typeof payload.index === "number") parts.push(`step ${payload.index + 1}`);
  return parts.join(" · ");
}

/** @param {Event} event */
function toneOf({ event, payload }) {
  if (event === "task_complete") return "good";
  if (event === "task_failed") return "bad";
  return /recovering|requeued|rejected|cancel|input_required/.test(event) || /** @type {any} */ (payload)?.state === "dead_letter" ? "warn" : "plain";
}

/** @param {{ of: ReturnType<typeof past> }} first */
export function History({ of }) {
  const most = signal(SHOWN_STEP);
  return () => {
    const all = of.events.value;
    const shown = all.slice(-most.value);
    return h("section", { class: "panel task-history", "aria-labelledby": "history-title" },
      h("div", { class: "bar" }, h("h2", { id: "history-title" }, "History"), h("span", { class: "soft number" }, plural(all.length, "event"))),
      shown.length < all.length && h("button", { type: "button", class: "button small", onclick: () => { most.value = most.peek() * 4; } }, `${plural(all.length - shown.length, "earlier event")}`),
      h("ol", { id: "history", class: "task-events" }, shown.map((one) => h("li", { key: one.cursor ?? `${one.timestamp}${one.event}`, "data-tone": toneOf(one) },
        h("time", { datetime: iso(one.timestamp), title: moment(one.timestamp) }, clock(one.timestamp)),
        h("p", { class: "task-event" }, h("b", { title: one.event }, WORDS[one.event] ?? words(one.event)), one.agent_id && one.event !== "task_queued" && h("span", null, " ", h(AgentLink, { id: one.agent_id })),
          causeOf(one.payload) && h("span", { class: "task-cause" }, causeOf(one.payload)))))));
  };
}
