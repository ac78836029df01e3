// @ts-check
// One feed a browser, whatever the number of tabs: one tab reads it and tells the others, and when it goes the next
// reads on from the last cursor it has heard. Owns the lamp, which says truly how live this page is. It reads the
// stream itself, not through EventSource: so pings count, and no word of the feed has to be known beforehand.

import { Refusal, session, whoAmI } from "./api.js";
import { hubNow } from "./format.js";
import { signal } from "./signal.js";

/** @typedef {{ cursor: string, event: string, task_id: string | null, agent_id: string | null, generation: number | null, timestamp: number, payload: any, isPassing: boolean, n: number }} Line */
/** @typedef {{ state: "idle" | "opening" | "live" | "late" | "off", text: string, lagMs: number | null }} Lamp */

const NAME = "crewhub feed";
const SILENCE_MS = 40_000;        // the hub sends a ping every 15 s; two in a row may be lost
const LATE_MS = 5_000;            // older than this when it is shown is not live
const FRESH_MS = 10_000;          // how long the lag of the last line is worth showing
const PAUSE_FIRST_MS = 500;
const PAUSE_MAX_MS = 10_000;
const WAITING_MAX = 5_000;        // lines that wait to be shown; more in one frame are left out, and the feed says so
const SHOW_MS = 100;              // the least time between two showings: nobody reads faster, and each one is painted
const WATCH_MS = 2_000;

/** @type {import("./signal.js").Signal<Lamp>} */
export const lamp = signal(/** @type {Lamp} */ ({ state: "idle", text: "not connected", lagMs: null }));
/** The last line that can be resumed from. @type {import("./signal.js").Signal<string | null>} */
export const cursor = signal(/** @type {string | null} */ (null));
/** Does this tab read for all? */
export const isLeader = signal(false);

/** @type {Set<(lines: Line[]) => void>} */
const listeners = new Set();
/** @type {Line[]} */
let waiting = [];
let isAsked = false;
let heardAt = 0;
let shownAt = 0;
let lagMs = /** @type {number | null} */ (null);
let link = "off";                 // what the reading tab says of its connection: off, opening, live
let linkText = "";
let counted = 0;
let hasOthers = false;            // does any other tab listen? A copy for nobody is work for nothing
/** @type {AbortController | null} */
let open = null;
/** @type {BroadcastChannel | null} */
let channel = null;
/** @type {(() => void) | null} */
let hurry = null;

/** Be called with the new lines, at most ten times a second. @param {(lines: Line[]) => void} act @returns {() => void} */
export function listen(act) {
  listeners.add(act);
  return () => listeners.delete(act);
}

/** @param {string | null} text @returns {[string, number]} */
export function placeOf(text) {
  const end = (text ?? "").lastIndexOf(":");
  return end < 0 ? ["", -1] : [(text ?? "").slice(0, end), Number((text ?? "").slice(end + 1))];
}

// --- what every tab does

/** Lines from the hub or from the reading tab: those that were heard already are left out.
 *  @param {Line[]} lines @param {string | null} from */
function take(lines, from) {
  const [epoch, place] = placeOf(cursor.peek());
  const [fromEpoch, fromPlace] = placeOf(from);
  if (cursor.peek() && from && epoch === fromEpoch && fromPlace > place) waiting.push(remark("gap", { from: cursor.peek(), to: from }));
  for (const line of lines) {
    const [itsEpoch, itsPlace] = placeOf(line.cursor);
    const [knownEpoch, known] = placeOf(cursor.peek());
    if (!line.isPassing) {
      if (line.event !== "snapshot" && line.event !== "reset" && itsEpoch === knownEpoch && itsPlace <= known) continue;
      cursor.value = line.cursor;
    }
    line.n = counted += 1;
    waiting.push(line);
  }
  if (waiting.length > WAITING_MAX) waiting = [remark("gap", { reason: "too many at once" }), ...waiting.slice(-WAITING_MAX + 1)];
  if (document.hidden) show();
  else if (!isAsked && waiting.length) {
    isAsked = true;
    setTimeout(() => requestAnimationFrame(() => { isAsked = false; show(); }), Math.max(0, shownAt + SHOW_MS - Date.now()));
  }
}

/** @param {string} event @param {any} payload @returns {Line} */
const remark = (event, payload) => ({ cursor: cursor.peek() ?? "", event, task_id: null, agent_id: null, generation: null, timestamp: hubNow(), payload, isPassing: true, n: counted += 1 });

function show() {
  const lines = waiting;
  waiting = [];
  if (!lines.length) return;
  const last = lines[lines.length - 1];
  shownAt = Date.now();
  if (last.event !== "gap") lagMs = Math.max(0, hubNow() - last.timestamp);
  for (const act of listeners) { try { act(lines); } catch (error) { reportError(error); } }      // one view's fault is not the others'
  judge();
}

/** What the lamp says, from what is known now. */
function judge() {
  const silence = Date.now() - heardAt;
  const lag = Date.now() - shownAt < FRESH_MS ? lagMs : null;
  /** @type {Lamp} */
  let next = { state: "live", text: lag === null ? "live" : `live · ${Math.round(lag)} ms`, lagMs: lag };
  if (!open) next = { state: "idle", text: "not connected", lagMs: null };
  else if (link !== "live") next = { state: link === "opening" ? "opening" : "off", text: linkText || "connecting…", lagMs: null };
  else if (silence > SILENCE_MS) next = { state: "late", text: `quiet for ${Math.round(silence / 1000)} s`, lagMs: null };
  else if (lag !== null && lag > LATE_MS) next = { state: "late", text: `${Math.round(lag / 1000)} s behind`, lagMs: lag };
  const now = lamp.peek();
  if (now.state !== next.state || now.text !== next.text) lamp.value = next;
}

/** @param {string} state @param {string} text */
function say(state, text) {
  link = state;
  linkText = text;
  heardAt = Date.now();
  judge();
  if (isLeader.peek()) channel?.postMessage({ kind: "link", state, text, cursor: cursor.peek() });
}

/** @param {MessageEvent} event */
function hearTab(event) {
  const said = event.data;
  if (isLeader.peek()) { if (said?.kind === "hello") { hasOthers = true; say(link, linkText); } return; }
  if (said?.kind === "who") channel?.postMessage({ kind: "hello" });
  if (said?.kind === "lines") { link = "live"; heardAt = Date.now(); take(said.lines, said.from); }
  if (said?.kind === "alive") heardAt = Date.now();
  if (said?.kind === "link") {
    cursor.value ??= said.cursor;
    link = said.state;
    linkText = said.text;
    heardAt = Date.now();
    judge();
  }
}

// --- what the reading tab does

/** @param {AbortSignal} stop */
async function lead(stop) {
  let pause = PAUSE_FIRST_MS;
  isLeader.value = true;
  hasOthers = false;
  channel?.postMessage({ kind: "who" });
  while (!stop.aborted) {
    const began = Date.now();
    let wait = 0;
    try {
      say("opening", "connecting…");
      await read(stop);
    } catch (error) {
      if (stop.aborted) break;
      if (error instanceof Refusal && error.status === 401) break;
      if (error instanceof Refusal) wait = error.retryAfterS * 1000;
      if (error instanceof Refusal && error.status === 422) cursor.value = null;      // a cursor that no hub gave out
    }
    if (stop.aborted) break;
    if (Date.now() - began > PAUSE_MAX_MS) pause = PAUSE_FIRST_MS;
    say("off", "reconnecting…");
    await resting(Math.max(wait, pause * (0.5 + Math.random() / 2)), stop);
    pause = Math.min(PAUSE_MAX_MS, pause * 2);
  }
  isLeader.value = false;
}

/** @param {number} ms @param {AbortSignal} stop */
const resting = (ms, stop) => new Promise((go) => {
  const timer = setTimeout(go, ms);
  hurry = () => { clearTimeout(timer); go(undefined); };
  stop.addEventListener("abort", hurry, { once: true });
});

/** @param {AbortSignal} stop */
async function read(stop) {
  const since = cursor.peek();
  const round = new AbortController();
  const end = () => round.abort();
  stop.addEventListener("abort", end, { once: true });
  const quiet = setInterval(() => { if (Date.now() - heardAt > SILENCE_MS + PAUSE_MAX_MS) end(); }, WATCH_MS);
  try {
    const answer = await openFeed(since, round.signal);
    say("live", "");
    const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
    const parse = parser();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heardAt = Date.now();
      const from = cursor.peek();
      const lines = parse(/** @type {any} */ (value));
      if (hasOthers) channel?.postMessage(lines.length ? { kind: "lines", lines, from } : { kind: "alive" });
      if (lines.length) take(lines, null);
    }
  } finally {
    clearInterval(quiet);
    stop.removeEventListener("abort", end);
    end();
  }
}

/** An open stream has no end, so the patience of `ask` is not for it. @param {string | null} since @param {AbortSignal} stop */
async function openFeed(since, stop) {
  /** @type {Record<string, string>} */
  const headers = { accept: "text/event-stream" };
  if (since) headers["last-event-id"] = since;
  const answer = await fetch("/api/feed", { headers, signal: stop, cache: "no-store" });
  if (answer.ok && answer.body) return answer;
  if (answer.status === 401) session.value = null;
  throw new Refusal(answer.status, { retry_after: Number(answer.headers.get("retry-after")) || 0, ...await answer.json().catch(() => ({})) });
}

/** Takes pieces of an event stream, gives its whole lines. Comments give none. @returns {(piece: string) => Line[]} */
export function parser() {
  let rest = "";
  return (piece) => {
    rest += piece;
    const end = rest.lastIndexOf("\n\n");
    if (end < 0) return [];
    const whole = rest.slice(0, end);
    rest = rest.slice(end + 2);
    const lines = [];
    for (const block of whole.split("\n\n")) {
      const line = lineOf(block);
      if (line) lines.push(line);
    }
    return lines;
  };
}

/** @param {string} block @returns {Line | null} */
function lineOf(block) {
  let said = "";
  let isPassing = true;
  for (const row of block.split("\n")) {
    if (row.startsWith("data: ")) said += row.slice(6);
    else if (row.startsWith("id: ")) isPassing = false;
  }
  if (!said) return null;
  try { return { ...JSON.parse(said), isPassing, n: 0 }; } catch { return null; }
}

// --- from login to logout

/** Who logs in or out does so in all tabs of this browser. */
const tabs = new BroadcastChannel(`${NAME} session`);
tabs.onmessage = (/** @type {MessageEvent} */ { data }) => { if (data === "out") session.value = null; else whoAmI().catch(() => {}); };

/** @param {"in" | "out"} word */
export const tellTabs = (word) => tabs.postMessage(word);

export function startStream() {
  if (open) return;
  const mine = open = new AbortController();
  channel = new BroadcastChannel(NAME);
  channel.onmessage = hearTab;
  link = "opening";
  linkText = "connecting…";
  heardAt = Date.now();
  const watch = setInterval(judge, WATCH_MS);
  mine.signal.addEventListener("abort", () => { clearInterval(watch); channel?.close(); channel = null; });
  if (navigator.locks) {
    navigator.locks.request(NAME, { signal: mine.signal }, () => lead(mine.signal)).catch(() => {});
    channel.postMessage({ kind: "hello" });
  } else lead(mine.signal);      // over plain http from another machine there are no locks: each tab reads for itself
  judge();
}

export function stopStream() {
  open?.abort();
  open = null;
  cursor.value = null;
  waiting = [];
  lagMs = null;
  judge();
}

addEventListener("online", () => hurry?.());
document.addEventListener("visibilitychange", () => { if (!document.hidden) { hurry?.(); judge(); } });

