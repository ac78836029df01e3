// @ts-check
// The timeline of a task: crew > task > agent > tool and model calls as bars in time, each attempt from its own beginning.
// A tree that the arrows walk: right and left open and close, Enter shows all of a step. Owns no line: `tale.js` does.

import { clock, duration, everySecond, plural, tokens, words } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { signal } from "../../lib/signal.js";
import { FINAL } from "../../lib/store.js";
import { cut } from "../../lib/text.js";
import { attemptsOf } from "./past.js";
import { Rows } from "./rows.js";

/** @typedef {import("../../parts/tale.js").Step} Step */
/** @typedef {{ key: string, level: number, step: Step | null, kind: string, text: string, state: string, from: number | null, to: number | null, kids: number, isOpen: boolean, about: Record<string, any> }} Node */

const ROW_PX = 28;
const NARROW_ROW_PX = 46;
const NARROW_PX = 560;
const ROWS_SEEN_MAX = 14;         // more than these scroll
const WORDS_MAX = 300;
const MARKS = 4;
const LEAST = 0.6;                // per cent: the shortest call can still be seen
const SPAN_LEAST_MS = 1_000;
const INDENT_MAX = 8;
/** Kinds that stand in the timeline without being a span: the rest is in the log. */
const TOLD = new Set(["question", "resumed", "warning", "guardrail", "remark", "chunk", "thought"]);

/** @param {Step} step */
const isShown = (step) => step.about.id !== undefined || step.kids.length > 0 || TOLD.has(step.kind);

/** The tree as rows, closed ones left out. @param {Step} root @param {readonly import("./past.js").Attempt[]} attempts @param {Set<string>} turned @param {boolean} isOver */
function rowsOf(root, attempts, turned, isOver) {
  /** @type {Node[]} */
  const rows = [];
  const seen = new Map(attempts.map((one) => [one.generation, one]));
  for (const kid of root.kids) if (isShown(kid) && kid.kind !== "remark" && !seen.has(kid.generation)) seen.set(kid.generation, { generation: kid.generation, agent: null, from: kid.at ?? 0, to: null, end: "" });
  const all = [...seen.values()].sort((a, b) => a.generation - b.generation);
  all.forEach((attempt, n) => {
    const kids = root.kids.filter((kid) => kid.generation === attempt.generation && isShown(kid) && kid.text !== "— another attempt —");
    const isLast = n === all.length - 1;
    const key = `a${attempt.generation}`;
    const from = kids.reduce((least, kid) => Math.min(least, kid.at ?? least), attempt.from || Infinity);
    const to = attempt.to ?? (isLast && !isOver ? null : latest(kids, from));
    const isOpen = kids.length > 0 && (isLast !== turned.has(key));
    rows.push({ key, level: 1, step: null, kind: "attempt", text: `Attempt ${n + 1}${attempt.agent ? ` on ${attempt.agent}` : ""}`, state: attempt.end || (to === null ? "running" : "ended"), from, to, kids: kids.length, isOpen, about: {} });
    if (isOpen) for (const kid of kids) put(rows, kid, 2, turned, { to, isGood: attempt.end === "completed" });
  });
  return rows;
}

/** @param {Step[]} kids @param {number} least @returns {number} */
const latest = (kids, least) => kids.reduce((most, kid) => Math.max(most, kid.endedAt ?? kid.at ?? 0, latest(kid.kids, 0)), least);

/** @param {Node[]} rows @param {Step} step @param {number} level @param {Set<string>} turned @param {{ to: number | null, isGood: boolean }} end of the attempt */
function put(rows, step, level, turned, end) {
  const key = `s${step.id}`;
  const kids = step.kids.filter(isShown);
  const isSpan = step.about.id !== undefined && step.state !== "";
  const took = step.ms !== null && step.at !== null ? step.at + step.ms : step.endedAt;
  const to = took ?? (isSpan ? end.to : step.at);
  const state = isSpan && step.state === "began" && end.to !== null ? (end.isGood ? "ended" : "unfinished") : step.state;
  const isOpen = kids.length > 0 && !turned.has(key);
  rows.push({ key, level, step, kind: step.kind, text: step.text, state, from: step.at, to, kids: kids.length, isOpen, about: step.about });
  if (isOpen) for (const kid of kids) put(rows, kid, level + 1, turned, end);
}

/** From where each row's attempt began, and the longest of them. @param {Node[]} rows @param {number} now */
function scaleOf(rows, now) {
  let span = SPAN_LEAST_MS;
  let begin = 0;
  const begins = new Map();
  for (const row of rows) {
    if (row.level === 1) begin = row.from ?? now;
    begins.set(row.key, begin);
    if (row.from !== null) span = Math.max(span, (row.to ?? now) - begin);
  }
  return { span, begins };
}

/** @param {Node} row @param {number} now */
const lasted = (row, now) => (row.from === null ? null : row.step?.ms ?? (row.to ?? now) - row.from);

/** @param {Node} row */
const isPoint = (row) => row.level > 1 && (row.about.id === undefined || row.state === "");

/** @param {Node} row @param {number} now @param {{ span: number, begins: Map<string, number> }} scale */
function Bar(row, now, { span, begins }) {
  if (row.from === null) return null;
  const left = Math.max(0, Math.min(100 - LEAST, ((row.from - (begins.get(row.key) ?? row.from)) / span) * 100));
  if (isPoint(row)) return h("i", { class: "fall-point", "data-kind": row.kind, style: { left: `${left.toFixed(2)}%` } });
  const wide = Math.max(LEAST, Math.min(100 - left, (((row.to ?? now) - row.from) / span) * 100));
  return h("i", { class: "fall-bar", "data-kind": row.kind, "data-state": row.state, style: { left: `${left.toFixed(2)}%`, width: `${wide.toFixed(2)}%` } });
}

/** @param {Node} row @param {number} now @param {{ span: number, begins: Map<string, number> }} scale */
function Line(row, now, scale) {
  const time = isPoint(row) ? "" : duration(lasted(row, now));
  return h("div", { class: "fall-line", "data-kind": row.kind, "data-state": row.state || null },
    h("span", { class: "fall-name", style: { "padding-left": `${Math.min(INDENT_MAX, row.level - 1) * 14}px` } },
      row.kids > 0 ? h("i", { class: "fall-fold", "data-fold": "", "aria-hidden": "true" }, icon(row.isOpen ? "down" : "right", 12)) : h("i", { class: "fall-fold", "aria-hidden": "true" }),
      h("i", { class: "fall-kind", "data-kind": row.kind, "aria-hidden": "true" }),
      h("span", { class: "fall-words" }, cut(row.text, WORDS_MAX))),
    h("span", { class: "fall-time number" }, row.state === "failed" ? "failed " : row.state === "unfinished" ? "cut off " : "", time),
    h("span", { class: "fall-track", "aria-hidden": "true" }, Bar(row, now, scale)));
}

/** @param {string} name @param {any} value */
const fact = (name, value) => (value === null || value === undefined || value === "" ? null : h("div", { key: name }, h("dt", null, name), h("dd", null, value)));

/** All of one step. @param {{ row: Node, close: () => void }} of */
function Opened({ row, close }) {
  const { about } = row;
  const used = typeof about.tokens_out === "number" ? `${tokens(about.tokens_in ?? 0)} in, ${tokens(about.tokens_out)} out` : null;
  return h("div", { class: "task-opened", role: "region", "aria-label": "The chosen step" },
    h("div", { class: "row" }, h("span", { class: "badge" }, words(row.kind)), row.state && h("span", { class: "badge" }, words(row.state)), h("span", { class: "task-space" }),
      h("button", { type: "button", class: "bare", "aria-label": "Close the step", title: "Close", onclick: close }, icon("close", 16))),
    h("pre", { class: "task-whole", tabindex: 0, role: "region", "aria-label": "What it says" }, row.text),
    h("dl", { class: "task-facts wide" },
      fact("Began", row.from === null ? null : clock(row.from)), fact("Took", isPoint(row) || row.to === null ? null : duration(lasted(row, row.to))),
      ...["crew", "task", "agent", "tool", "model"].map((name) => fact(name[0].toUpperCase() + name.slice(1), typeof about[name] === "string" ? cut(about[name], WORDS_MAX) : null)),
      fact("Tokens", used), fact("Out of the cache", about.from_cache === true ? "yes" : null),
      ...["arguments", "output"].map((name) => fact(name[0].toUpperCase() + name.slice(1), about[name] === undefined || about[name] === null ? null
        : h("pre", { class: "task-whole", tabindex: 0, role: "region", "aria-label": name }, typeof about[name] === "string" ? about[name] : JSON.stringify(about[name], null, 2))))));
}

/** @param {{ tale: ReturnType<typeof import("../../parts/tale.js").follow>, of: ReturnType<typeof import("./past.js").past> }} first */
export function Waterfall({ tale, of }) {
  const active = signal(/** @type {any} */ (null));
  const turned = signal(/** @type {Set<string>} */ (new Set()));
  const opened = signal(/** @type {string | null} */ (null));

  /** @param {Node} row */
  function turn(row) {
    const next = new Set(turned.peek());
    if (!next.delete(row.key)) next.add(row.key);
    turned.value = next;
  }

  /** @param {Node} row */
  function open(row) {
    if (row.level === 1) { if (row.kids) turn(row); return; }
    opened.value = opened.peek() === row.key ? null : row.key;
  }

  /** @param {Node[]} rows @param {string} key @param {Node} row @returns {boolean} */
  function walk(rows, key, row) {
    if (key !== "ArrowRight" && key !== "ArrowLeft") return false;
    if (row.kids && row.isOpen === (key === "ArrowLeft")) { turn(row); return true; }
    const n = rows.indexOf(row);
    const next = key === "ArrowRight" ? (row.kids ? rows[n + 1] : undefined) : rows.slice(0, n).reverse().find((one) => one.level < row.level);
    if (next) active.value = next.key;
    return true;
  }

  return () => {
    const task = tale.task.value;
    const isOver = FINAL.has(task?.state);
    void tale.root.changed.value;
    const now = isOver ? 0 : everySecond();
    const rows = rowsOf(tale.root, attemptsOf(of.events.value), turned.value, isOver);
    for (const row of rows) if (row.step) void row.step.changed.value;
    const scale = scaleOf(rows, now);
    const shown = rows.find((row) => row.key === opened.value);
    const tall = Math.min(ROWS_SEEN_MAX, Math.max(1, rows.length));
    return h("section", { class: "panel task-fall", "aria-labelledby": "fall-title" },
      h("div", { class: "bar" }, h("h2", { id: "fall-title" }, "Timeline"), rows.length > 0 && h("span", { class: "soft number" }, plural(rows.filter((row) => row.level === 1).length, "attempt"))),
      !rows.length && h("div", { key: "empty", class: "empty" }, h("p", null, isOver ? "No agent has had it in hand." : "No agent has it in hand yet. What it does appears here as bars in time.")),
      rows.length > 0 && h("div", { key: "scale", class: "fall-scale", "aria-hidden": "true" }, Array.from({ length: MARKS }, (_, n) => h("span", { key: n }, duration((scale.span * (n + 1)) / MARKS)))),
      rows.length > 0 && h("div", { key: "rows", class: "fall-box", style: { "--rows": String(tall) } },
        h(Rows, { items: rows, keyOf: byKey, rowPx: rowHeight, row: (/** @type {Node} */ row) => Line(row, now, scale), role: "tree", label: "Steps over time", elementId: "fall", active, act: open,
          about: (/** @type {Node} */ row) => ({ "aria-level": row.level, "aria-expanded": row.kids ? String(row.isOpen) : null, "aria-setsize": null, "aria-posinset": null,
            onclick: (/** @type {any} */ event) => { active.value = row.key; if (event.target.closest?.("[data-fold]")) turn(row); else open(row); } }),
          onkey: (/** @type {string} */ key, /** @type {Node} */ row) => walk(rows, key, row) })),
      shown && h(Opened, { key: "opened", row: shown, close: () => { opened.value = null; document.getElementById("fall")?.focus({ preventScroll: true }); } }));
  };
}

/** @param {Node} row */
const byKey = (row) => row.key;
/** @param {number} wide */
const rowHeight = (wide) => (wide < NARROW_PX ? NARROW_ROW_PX : ROW_PX);
