// @ts-check
// The feed: what happens, newest first, with filters in the address. While somebody reads further down it waits.

import { clock, count, iso, percent, words } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { h } from "../lib/render.js";
import { filter } from "../lib/router.js";
import { effect, signal, untracked } from "../lib/signal.js";
import { describe, feed, feedChanged, namesLearnt, rememberPast } from "../lib/store.js";
import { cut } from "../lib/text.js";
import { VirtualList } from "../lib/virtual.js";

/** @typedef {import("../lib/stream.js").Line} Line */

const ROW_PX = 30;
const NARROW_PX = 560;
const NARROW_ROW_PX = 52;
const SHOWN_MAX = 500;            // lines on the page; older ones are in each task's own history
const WORDS_MAX = 300;
const KINDS = [["", "All events"], ["tasks", "Tasks"], ["agents", "Agents"], ["talk", "Logs and progress"], ["trouble", "Trouble"]];
const TALK = new Set(["task_log", "task_progress", "task_usage"]);

/** @param {Line} line */
function toneOf({ event, payload }) {
  if (event === "task_complete" || event === "task_resumed") return "good";
  if (event === "task_failed" || payload?.state === "dead_letter") return "bad";
  if (/recovering|requeued|rejected|left|cancel|stopped|input_required|alert|gap|reset/.test(event)) return "warn";
  return "plain";
}

/** What the event says, in one line. @param {any} payload */
export function wordsOf(payload) {
  if (!payload || typeof payload !== "object") return "";
  const parts = [];
  if (typeof payload.progress === "number") parts.push(percent(payload.progress));
  if (typeof payload.tokens_out === "number") parts.push(`${payload.tokens_in ?? 0} tokens in, ${payload.tokens_out} out`);
  for (const key of ["message", "text", "description", "error", "reason", "how", "prompt", "name"]) {
    if (typeof payload[key] === "string" && payload[key]) { parts.push(cut(payload[key], WORDS_MAX)); break; }
  }
  return parts.join(" · ");
}

/** @param {Line} line @param {string} kind */
function isOfKind(line, kind) {
  if (line.event === "gap" || line.event === "reset" || !kind) return true;
  if (kind === "tasks") return line.task_id !== null && !TALK.has(line.event);
  if (kind === "agents") return line.event.startsWith("agent_") || line.event === "draining";
  if (kind === "talk") return TALK.has(line.event);
  return ["warn", "bad"].includes(toneOf(line));
}

/** @param {Line} line @param {string} text */
const hasText = (line, text) => !text || `${line.event} ${line.agent_id ?? ""} ${line.task_id ?? ""} ${line.task_id ? describe(line.task_id) : ""} ${wordsOf(line.payload)}`.toLowerCase().includes(text);

/** @param {{ line: Line, name: string }} of */
function Row({ line, name }) {
  if (line.event === "gap" || line.event === "reset") {
    const said = line.event === "gap" ? "some passing events were left out here" : "the feed begins anew here: older events are in each task's own history";
    return h("div", { class: "feed-row remark", role: "note" }, `— ${said} —`);
  }
  const what = wordsOf(line.payload);
  return h("div", { class: "feed-row", "data-tone": toneOf(line) },
    h("time", { datetime: iso(line.timestamp) }, clock(line.timestamp)),
    h("span", { class: "event mono" }, line.event),
    h("span", { class: "who", title: line.agent_id ?? "" }, line.agent_id ?? ""),
    h("span", { class: "what", title: what }, line.task_id && h("a", { class: "task", href: `?task=${encodeURIComponent(line.task_id)}`, title: line.task_id }, name), what));
}

/** What is shown of the feed: the newest that fit, until somebody scrolls; then the same ones, and how many came since.
 *  @param {{ value: string }} text @param {{ value: string }} kind @param {{ value: string }} state */
function reading(text, kind, state) {
  const isAway = signal(false);
  const shown = signal(/** @type {Line[]} */ ([]));
  const fresh = signal(0);
  let last = 0;

  /** @param {Line} line */
  const fits = (line) => isOfKind(line, kind.value) && hasText(line, text.value.trim().toLowerCase()) && (!state.value || line.payload?.state === state.value || line.event === state.value);

  effect(() => {
    void feedChanged.value;
    if (text.value) void namesLearnt.value;
    if (isAway.value) {
      let more = 0;
      for (let n = feed.length - 1; n >= 0 && feed[n].n > last; n -= 1) if (fits(feed[n])) more += 1;
      fresh.value = more;
      return;
    }
    const found = [];
    for (let n = feed.length - 1; n >= 0 && found.length < SHOWN_MAX; n -= 1) if (fits(feed[n])) found.push(feed[n]);
    last = untracked(() => feed[feed.length - 1]?.n ?? last);
    fresh.value = 0;
    shown.value = found;
  });
  return { isAway, shown, fresh };
}

export function Feed() {
  const text = filter("q");
  const kind = filter("kind", "", { push: true });
  const state = filter("state", "", { push: true });
  const { isAway, shown, fresh } = reading(text, kind, state);
  effect(rememberPast);

  function goOn() {
    isAway.value = false;
    const box = document.querySelector(".feed");
    if (box) { box.scrollTop = 0; /** @type {HTMLElement} */ (box).focus({ preventScroll: true }); }
  }

  return () => {
    void namesLearnt.value;
    const isFiltered = Boolean(text.value || kind.value || state.value);
    return h("section", { class: "panel feed-panel", "aria-labelledby": "feed-title" },
      h("div", { class: "bar" },
        h("h2", { id: "feed-title" }, "Feed"),
        h("label", { class: "quiet", for: "feed-kind" }, "Kind of event"),
        h("select", { id: "feed-kind", value: kind.value, onchange: (/** @type {any} */ event) => { kind.value = event.target.value; } }, KINDS.map(([value, name]) => h("option", { key: value, value }, name))),
        h("label", { class: "quiet", for: "filter" }, "Filter"),
        h("input", { id: "filter", type: "search", "data-search": "", placeholder: "agent, task, event or text", autocomplete: "off", value: text.value, oninput: (/** @type {any} */ event) => { text.value = event.target.value; } }),
        state.value && h("button", { type: "button", class: "button", onclick: () => { state.value = ""; } }, words(state.value), icon("close", 14))),
      !shown.value.length && h("div", { key: "empty", id: "feed-empty", class: "empty" }, isFiltered ? h("p", null, "Nothing fits the filter.")
        : h("p", null, "Nothing has happened yet. Push a task: ", h("code", null, 'hub push alice "say hello" --watch'))),
      shown.value.length > 0 && h("div", { key: "rows", class: "feed-box" },
        h(VirtualList, { elementId: "feed", name: "feed", items: shown.value, height: rowHeight, row: (/** @type {Line} */ line) => h(Row, { line, name: line.task_id ? cut(describe(line.task_id), WORDS_MAX) : "" }), id: (/** @type {Line} */ line) => line.n, label: "Events, newest first", pin: "start", onaway: (/** @type {boolean} */ away) => { isAway.value = away; } }),
        isAway.value && h("button", { type: "button", id: "resume", class: "button primary", onclick: goOn }, fresh.value ? `${count(fresh.value)} new` : "Newest")));
  };
}

/** @param {Line} _line @param {number} wide */
const rowHeight = (_line, wide) => (wide < NARROW_PX ? NARROW_ROW_PX : ROW_PX);
