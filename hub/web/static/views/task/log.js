// @ts-check
// The log of a task: it follows while nobody scrolls up, can be filtered (the address keeps that), opened line by line, and
// downloaded. Owns what is shown of the lines; `lines.js` has them.

import { clock, count, iso, moment } from "../../lib/format.js";
import { copy } from "../../lib/dialog.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { filter, setFilters } from "../../lib/router.js";
import { effect, signal } from "../../lib/signal.js";
import { cut } from "../../lib/text.js";
import { Json } from "../../parts/json.js";
import { asFile } from "./lines.js";
import { Menu } from "./menu.js";
import { Rows } from "./rows.js";

/** @typedef {import("./lines.js").Row} Row */
/** @typedef {ReturnType<typeof import("./lines.js").keepLines>} Lines */

const ROW_PX = 25;
const NARROW_ROW_PX = 44;
const NARROW_PX = 560;
const ROWS_SEEN_MAX = 20;         // more than these scroll
const ROWS_LEAST = 4;
const WORDS_MAX = 400;            // of a line in its row; opened, it is whole
const LEVELS = [["", "Any level"], ["info", "Info and worse"], ["warning", "Warnings and errors"], ["error", "Errors"]];

/** Give the browser a file that was made here. @param {string} name @param {string} text @param {string} type */
function save(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.setAttribute("href", address);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** @param {Row} row */
function Line(row) {
  if (row.kind === "remark") return h("div", { class: "log-line remark" }, row.text);
  return h("div", { class: "log-line", "data-level": row.level, "data-kind": row.kind },
    h("time", { datetime: row.at === null ? null : iso(row.at) }, row.at === null ? "" : clock(row.at)),
    h("span", { class: "log-kind" }, cut(row.kind, 40)),
    h("span", { class: "log-words" }, cut(row.text, WORDS_MAX)));
}

/** One line, whole. @param {{ row: Row, close: () => void }} of */
function Opened({ row, close }) {
  const data = row.raw[row.raw.length - 1]?.data;
  return h("div", { class: "task-opened", role: "region", "aria-label": "The chosen line" },
    h("div", { class: "row" },
      h("span", { class: "badge" }, cut(row.kind, 40)), h("span", { class: "badge" }, row.level), h("span", { class: "soft small" }, row.at === null ? "" : moment(row.at)),
      h("span", { class: "task-space" }),
      h("button", { type: "button", class: "button small", onclick: () => copy(row.text) }, icon("copy", 14), "Copy"),
      h("button", { type: "button", class: "bare", "aria-label": "Close the line", title: "Close", onclick: close }, icon("close", 16))),
    h("pre", { class: "task-whole", tabindex: 0, role: "region", "aria-label": "Text of the line" }, row.text),
    data !== null && data !== undefined && row.raw.length === 1 && h(Json, { value: data, open: 1, label: "Data of the line" }));
}

/** @param {{ lines: Lines, taskId: string, isOver: boolean }} first */
export function Log({ lines, taskId }) {
  const text = filter("log");
  const kind = filter("kind", "", { push: true });
  const level = filter("level", "", { push: true });
  const active = signal(/** @type {any} */ (null));
  const opened = signal(/** @type {Row | null} */ (null));
  const pinned = signal(true);
  let leftAt = 0;

  effect(() => { lines.want({ text: text.value, kind: kind.value, level: level.value }); });
  effect(() => { if (!pinned.value) leftAt = lines.shown.length + lines.dropped; });

  /** @param {Row} row */
  function open(row) { opened.value = opened.peek() === row ? null : row; }

  /** @param {string} what @param {"text" | "json"} form */
  function download(what, form) {
    const rows = what === "shown" ? lines.shown : lines.rows;
    save(form === "text" ? `${taskId}.log` : `${taskId}.jsonl`, asFile(rows, form), form === "text" ? "text/plain" : "application/x-ndjson");
  }

  const items = [
    { text: "What is shown, as text", act: () => download("shown", "text") }, { text: "What is shown, as JSON lines", act: () => download("shown", "json") },
    { text: "Everything, as text", act: () => download("all", "text") }, { text: "Everything, as JSON lines", act: () => download("all", "json") }];

  function Head() {
    const isFiltered = Boolean(text.value || kind.value || level.value);
    return h("div", { class: "bar task-bar" },
      h("h2", { id: "log-title" }, "Log"),
      h("span", { id: "log-count", class: "soft number" }, !lines.rows.length ? "" : isFiltered ? `${count(lines.shown.length)} of ${count(lines.rows.length)} lines` : `${count(lines.rows.length)} lines`),
      (lines.rows.length > 0 || isFiltered) && h("div", { key: "filters", class: "task-filters" },
        h("label", { class: "quiet", for: "log-kind" }, "Kind of line"),
        h("select", { id: "log-kind", value: kind.value, onchange: (/** @type {any} */ event) => { kind.value = event.target.value; } },
          h("option", { key: "", value: "" }, "All kinds"), lines.kinds.value.concat(kind.value && !lines.kinds.value.includes(kind.value) ? [kind.value] : []).map((one) => h("option", { key: one, value: one }, cut(one, 40)))),
        h("label", { class: "quiet", for: "log-level" }, "Level"),
        h("select", { id: "log-level", value: level.value, onchange: (/** @type {any} */ event) => { level.value = event.target.value; } }, LEVELS.map(([value, name]) => h("option", { key: value, value }, name))),
        h("label", { class: "quiet", for: "log-text" }, "Text in the log"),
        h("input", { id: "log-text", type: "search", "data-search": "", placeholder: "text in the log", autocomplete: "off", value: text.value, oninput: (/** @type {any} */ event) => { text.value = event.target.value; } }),
        h(Menu, { label: "Download", iconName: "download", items, id: "log-download" })));
  }

  return (/** @type {{ lines: Lines, taskId: string, isOver: boolean }} */ { isOver }) => {
    void lines.changed.value;
    const isFiltered = Boolean(text.value || kind.value || level.value);
    lines.want({ text: text.value, kind: kind.value, level: level.value });
    const fresh = lines.shown.length + lines.dropped - leftAt;
    return h("section", { class: "panel task-log", "aria-labelledby": "log-title" },
      Head(),
      !lines.shown.length && h("div", { key: "empty", class: "empty" },
        isFiltered ? h("p", null, "No line fits the filter. ", h("button", { type: "button", class: "button small", onclick: () => setFilters({ log: "", kind: "", level: "" }, { push: true }) }, "Show all"))
          : h("p", null, isOver ? "It has logged nothing." : "Nothing is logged yet. Lines appear here while it runs.")),
      lines.shown.length > 0 && h("div", { key: "rows", class: "task-log-box", style: { "--rows": String(Math.max(ROWS_LEAST, Math.min(ROWS_SEEN_MAX, lines.shown.length))) } },
        h(Rows, { items: lines.shown, dropped: lines.dropped, change: lines.changed.value, keyOf: keyOf, rowPx: rowHeight, row: Line, role: "listbox", label: "Lines of the log, oldest first", elementId: "log", active, act: open, pinned }),
        !pinned.value && h("button", { type: "button", id: "log-follow", class: "button primary", onclick: () => { pinned.value = true; document.getElementById("log")?.focus({ preventScroll: true }); } }, icon("down", 16), fresh > 0 ? `${count(fresh)} new` : "Follow")),
      opened.value && h(Opened, { key: "opened", row: opened.value, close: () => { opened.value = null; document.getElementById("log")?.focus({ preventScroll: true }); } }));
  };
}

/** @param {Row} row */
const keyOf = (row) => row.key;
/** @param {number} wide */
const rowHeight = (wide) => (wide < NARROW_PX ? NARROW_ROW_PX : ROW_PX);
