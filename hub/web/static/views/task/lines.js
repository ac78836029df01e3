// @ts-check
// What a task's log says, as rows: bounded, filtered, and as a file. A model's pieces of text are one row a call. It knows no page.

import { signal } from "../../lib/signal.js";
import { harmless } from "../../lib/text.js";

/** @typedef {{ key: number, kind: string, level: string, text: string, at: number | null, generation: number, raw: any[] }} Row */
/** @typedef {{ text: string, kind: string, level: string }} Wanted */

export const ROWS_MAX = 50_000;   // one person reads no more of one task; older ones are in what the hub keeps
const ROWS_DROPPED = 5_000;       // at once, so that dropping is rare
export const CHARS_MAX = 16_000_000;
const LEVELS = ["debug", "info", "warning", "error"];

/** @param {Row} row @param {Wanted} wanted `text` in small letters */
function fits(row, wanted) {
  if (row.kind === "remark") return true;
  if (wanted.kind && row.kind !== wanted.kind) return false;
  if (wanted.level && LEVELS.indexOf(row.level) < LEVELS.indexOf(wanted.level)) return false;
  return !wanted.text || row.text.toLowerCase().includes(wanted.text) || row.kind.includes(wanted.text);
}

/** All rows, and those that fit. `changed` grows with each change; `dropped` counts what left `shown` at its old end. */
export function keepLines() {
  /** @type {Row[]} */
  let rows = [];
  /** @type {Map<string, Row>} */
  let calls = new Map();
  let wanted = /** @type {Wanted} */ ({ text: "", kind: "", level: "" });
  let counted = 0;
  let chars = 0;
  let isStale = false;
  let generation = -1;
  const kinds = signal(/** @type {string[]} */ ([]));
  const kept = { rows, shown: /** @type {Row[]} */ ([]), dropped: 0, changed: signal(0), kinds, add, want };

  /** @param {any} line of the log, or a remark */
  function add(line) {
    const data = line.data && typeof line.data === "object" ? line.data : {};
    const text = String(line.text ?? "");
    const mine = Number(line.generation ?? 0);
    if (mine !== generation && line.kind !== "remark") { calls = new Map(); generation = mine; }
    const call = line.kind === "chunk" ? `${data.thought ? "thought" : "said"} ${data.call ?? ""}` : "";
    const known = call ? calls.get(call) : undefined;
    chars += text.length;
    if (known) {
      known.text += text;
      known.raw.push(line);
      if (wanted.text && !isStale) isStale = true;
    } else {
      const kind = line.kind === "chunk" ? (data.thought ? "thought" : "said") : String(line.kind || "log");
      const row = { key: counted += 1, kind, level: String(line.level ?? "info"), text, at: typeof line.timestamp === "number" ? line.timestamp : null, generation: mine, raw: [line] };
      rows.push(row);
      if (call) calls.set(call, row);
      if (kind !== "remark" && !kinds.peek().includes(kind) && kinds.peek().length < 50) kinds.value = [...kinds.peek(), kind].sort();
      if (fits(row, wanted)) kept.shown.push(row);
    }
    while (rows.length > ROWS_MAX + ROWS_DROPPED || (chars > CHARS_MAX && rows.length > 1)) drop();
    kept.changed.value += 1;
  }

  function drop() {
    const most = Math.max(1, Math.min(ROWS_DROPPED, Math.ceil(rows.length / 10)));
    const gone = rows.splice(0, most);
    for (const row of gone) chars -= row.text.length;
    const last = gone[gone.length - 1].key;
    let n = 0;
    while (n < kept.shown.length && kept.shown[n].key <= last) n += 1;
    kept.shown.splice(0, n);
    kept.dropped += n;
  }

  /** Show what fits from here on. @param {Wanted} next */
  function want(next) {
    const small = { ...next, text: next.text.trim().toLowerCase() };
    if (!isStale && small.text === wanted.text && small.kind === wanted.kind && small.level === wanted.level) return;
    wanted = small;
    isStale = false;
    kept.shown = rows.filter((row) => fits(row, wanted));
    kept.changed.value += 1;
  }
  return kept;
}

/** One line of a file for people. @param {Row} row */
function asText(row) {
  const at = row.at === null ? "" : new Date(row.at).toISOString();
  return row.kind === "remark" ? row.text : `${at} ${row.level} ${row.kind}: ${harmless(row.text).replaceAll("\n", "\n    ")}`;
}

/** The rows as a file: text for people, or the lines as the hub told them, one JSON object each.
 *  @param {readonly Row[]} rows @param {"text" | "json"} form @returns {string} */
export function asFile(rows, form) {
  if (form === "text") return rows.map((row) => `${asText(row)}\n`).join("");
  return rows.flatMap((row) => (row.kind === "remark" ? [] : row.raw)).map((line) => `${JSON.stringify({ n: line.n, generation: line.generation, timestamp: line.timestamp, level: line.level, kind: line.kind, text: line.text, data: line.data ?? null })}\n`).join("");
}
