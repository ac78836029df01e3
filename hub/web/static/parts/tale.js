// @ts-check
// What is known of one task's activity: crew > task > agent > tool or model call. It reads the kept log, then follows the
// feed, and says where lines are missing. Owns the tree; `story.js` shows it.

import { at, get } from "../lib/api.js";
import { onClose, signal } from "../lib/signal.js";
import { FINAL } from "../lib/store.js";
import { listen } from "../lib/stream.js";
import { cut } from "../lib/text.js";

/** @typedef {{ id: number, kind: string, state: string, level: string, text: string, ms: number | null, at: number | null, endedAt: number | null, generation: number,
 *   about: Record<string, any>, kids: Step[], changed: import("../lib/signal.js").Signal<number> }} Step */

const LINES_MAX = 1_500;          // steps on the page; a longer run loses its oldest here, and `hub tasks log` has what is kept
const SPOKEN_MAX = 4_000;         // characters of one model call that are shown while it speaks
const TEXT_MAX = 2_000;
const PAGE_LINES = 500;
const REFRESH_MS = 300;

/** Follow a task until `close`, or the end of the component that asked. `hearAll` is told each line once, in order, and
 *  the remarks between them. @param {string} taskId @param {(line: any) => void} [hearAll] */
export function follow(taskId, hearAll = () => {}) {
  const task = signal(/** @type {any} */ (null));
  const error = signal(/** @type {any} */ (null));
  const live = signal({ progress: /** @type {number | null} */ (null), message: "", tokens: "" });
  /** @type {Map<number, number>} */
  const last = new Map();
  /** @type {Map<any, Step>} */
  let steps = new Map();
  /** @type {Map<string, Step>} */
  let calls = new Map();
  let generation = /** @type {number | null} */ (null);
  let shiftMs = /** @type {number | null} */ (null);
  let place = 0;
  let counted = 0;
  let held = 0;
  /** @type {any[] | null} */
  let waiting = null;
  let timer = /** @type {any} */ (null);
  let isOver = false;
  const root = step("root", "");

  /** @param {string} kind @param {string} text @returns {Step} */
  function step(kind, text) {
    return { id: counted += 1, kind, state: "", level: "", text, ms: null, at: null, endedAt: null, generation: generation ?? 0, about: {}, kids: [], changed: signal(0) };
  }

  /** @param {import("../lib/stream.js").Line[]} lines */
  function hear(lines) {
    for (const line of lines) {
      if (line.event === "gap" || line.event === "reset") remark("some lines were left out here");
      if (line.event === "gap" || line.event === "reset" || line.event === "snapshot") { soon(); continue; }
      if (line.task_id !== taskId) continue;
      const said = line.payload ?? {};
      if (line.event === "task_log") hearLine({ timestamp: line.timestamp, ...said });
      else if (line.event === "task_usage") live.value = { ...live.peek(), tokens: tokensOf(said) };
      else if (line.event === "task_progress") hearProgress(said);
      else soon();
    }
  }

  /** @param {any} said */
  function hearProgress(said) {
    const now = live.peek();
    live.value = { ...now, progress: typeof said.progress === "number" ? Math.max(0, Math.min(100, said.progress)) : now.progress,
      message: typeof said.message === "string" ? cut(said.message, 300) : now.message };
  }

  // What was said before this page listened, or was left out, may be in the kept log; lines wait for it in their order.
  /** @param {any} line */
  function hearLine(line) {
    if (waiting) waiting.push(line);
    else if (line.n > (last.get(line.generation) ?? 0) + 1) catchUp([line]).catch(() => {});
    else tell(line);
  }

  /** @param {any[]} mine */
  async function catchUp(mine = []) {
    if (waiting) return;
    waiting = mine;
    try {
      for (;;) {
        const page = await get(at("/api/tasks/{task_id}/log", taskId), { after: place, limit: PAGE_LINES });
        if (isOver) return;
        for (const line of page.lines) tell(line);
        if (page.next !== null) place = page.next;
        if (page.count < PAGE_LINES) return;
      }
    } finally {
      waiting = null;
      if (!isOver) for (const line of mine) tell(line);
    }
  }

  async function refresh() {
    try {
      const found = await get(at("/api/tasks/{task_id}", taskId));
      if (isOver) return;
      task.value = found;
      error.value = null;
      hearProgress(found);
      if (found.usage) live.value = { ...live.peek(), tokens: tokensOf(found.usage) };
      if (FINAL.has(found.state)) live.value = { ...live.peek(), progress: found.state === "completed" ? 100 : found.progress ?? 0 };
    } catch (fault) { if (!isOver) error.value = fault; }
  }

  function soon() {
    timer ??= setTimeout(() => { timer = null; Promise.all([refresh(), catchUp()]).catch(() => {}); }, REFRESH_MS);
  }

  // --- lines

  /** @param {any} line */
  function tell(line) {
    const before = last.get(line.generation) ?? 0;
    if (typeof line.n !== "number" || line.n <= before) return;       // told already
    if (line.generation !== generation) beginRun(line.generation);
    const missing = line.n - before - 1;
    if (missing > 0) remark(missing === 1 ? "one line is missing here" : `${missing} lines are missing here`);
    last.set(line.generation, line.n);
    const about = line.data && typeof line.data === "object" ? line.data : {};
    hearAll(line);
    if (line.kind === "chunk") speak(line, about);
    else if (line.kind !== "usage") hearStep(line, about);
  }

  /** @param {number} next */
  function beginRun(next) {
    if (generation !== null) remark("another attempt");
    generation = next;
    shiftMs = null;
    steps = new Map();
    calls = new Map();
  }

  /** When it was, on the hub's clock: the run's own times say how far apart lines were, however late they came.
   *  @param {any} line @param {any} about @returns {number | null} */
  function timeOf(line, about) {
    const heardAt = typeof line.timestamp === "number" ? line.timestamp : null;
    if (heardAt === null || typeof about.t !== "number" || !Number.isFinite(about.t)) return heardAt;
    shiftMs ??= heardAt - about.t;
    return Math.min(about.t + shiftMs, heardAt);
  }

  /** @param {any} line @param {any} about */
  function hearStep(line, about) {
    const text = cut(line.text ?? "", TEXT_MAX);
    const known = about.id === undefined ? undefined : steps.get(about.id);
    if (known) {
      known.state = String(about.state ?? "");
      known.endedAt = timeOf(line, about);
      known.about = { ...known.about, ...about };
      if (about.state === "failed" || line.kind === "model") known.text = text;
      known.ms = typeof about.ms === "number" ? about.ms : null;
      known.changed.value += 1;
      return;
    }
    const mine = step(String(line.kind ?? "log"), text);
    Object.assign(mine, { state: String(about.state ?? ""), level: String(line.level ?? ""), at: timeOf(line, about), about });
    if (about.id !== undefined) steps.set(about.id, mine);
    put(about.parent, mine);
  }

  /** @param {any} line @param {any} about */
  function speak(line, about) {
    const call = `${about.thought ? "thought" : "said"} ${about.call ?? ""}`;
    let said = calls.get(call);
    if (!said) {
      calls.set(call, said = step(about.thought ? "thought" : "chunk", ""));
      said.at = timeOf(line, about);
      put(about.parent, said);
    }
    said.text = (said.text + String(line.text ?? "")).slice(-SPOKEN_MAX);
    said.changed.value += 1;
  }

  /** Under its parent; where that is not known, at the end of the whole. @param {any} parent @param {Step} mine */
  function put(parent, mine) {
    const above = steps.get(parent) ?? root;
    above.kids.push(mine);
    held += 1;
    if (held > LINES_MAX) trim();
    above.changed.value += 1;
    if (above !== root) root.changed.value += 1;
  }

  /** The oldest line that is no step goes; where there is none, the oldest leaf. */
  function trim() {
    let above = root;
    const plain = root.kids.findIndex((kid) => kid.about.id === undefined && !kid.kids.length);
    if (plain > 0) { root.kids.splice(plain, 1); held -= 1; return; }
    while (above.kids[0]?.kids.length) above = above.kids[0];
    above.kids.shift();
    held -= 1;
    above.changed.value += 1;
  }

  /** @param {string} text */
  function remark(text) {
    put(undefined, step("remark", `— ${text} —`));
    hearAll({ kind: "remark", text, generation: generation ?? 0 });
  }

  function close() {
    isOver = true;
    clearTimeout(timer);
    stop();
  }

  const stop = listen(hear);
  onClose(close);
  Promise.all([catchUp(), refresh()]).catch(() => {});
  return { taskId, task, error, live, root, close, reload: soon, get isOver() { return FINAL.has(task.peek()?.state); } };
}

/** @param {any} usage */
const tokensOf = (usage) => (typeof usage?.tokens_out === "number" ? `${usage.tokens_in ?? 0} tokens in, ${usage.tokens_out} out` : "");
