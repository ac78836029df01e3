// @ts-check
// A JSON value as a tree that opens where somebody looks: what is closed is not drawn, and what is long comes in pieces.

import { count, plural } from "../lib/format.js";
import { h } from "../lib/render.js";
import { signal } from "../lib/signal.js";
import { cut } from "../lib/text.js";

const MEMBERS_STEP = 100;         // drawn of one list or object; the next ones on demand
const TEXT_STEP = 1_000;          // characters of one text
const NAME_MAX = 200;
const OPEN_MEMBERS = 20;          // a larger one begins closed
const INDENTED_MAX = 12;          // deeper ones stand below each other: there would be no room left for the words

/** @param {{ text: string }} first */
function Words({ text: first }) {
  const most = signal(TEXT_STEP);
  return (/** @type {{ text: string }} */ { text } = { text: first }) => h("span", { class: "json-text" }, JSON.stringify(cut(text, most.value)),
    text.length > most.value && h("button", { type: "button", class: "button small", onclick: () => { most.value = most.peek() * 10; } }, `${count(text.length - most.value)} more characters`));
}

/** @param {any} value */
function plain(value) {
  if (typeof value === "string") return h(Words, { text: value });
  return h("span", { class: "json-plain" }, value === undefined ? "nothing" : JSON.stringify(value));
}

/** @param {{ name?: string, value: any, depth: number, open: number }} first */
function Node({ value: first, depth, open }) {
  const size = Object.keys(first).length;
  const isOpen = signal(depth === 0 || (depth < open && size <= OPEN_MEMBERS));
  const most = signal(MEMBERS_STEP);
  return (/** @type {{ name?: string, value: any, depth: number, open: number }} */ { name, value }) => {
    const names = Object.keys(value);
    const about = Array.isArray(value) ? plural(names.length, "item") : plural(names.length, "member");
    return h("div", { class: depth > INDENTED_MAX ? "json-node flat" : "json-node" },
      h("button", { type: "button", class: "json-fold", "aria-expanded": String(isOpen.value), onclick: () => { isOpen.value = !isOpen.peek(); } },
        h("i", { "aria-hidden": "true" }), name !== undefined && h("b", null, cut(name, NAME_MAX)), h("span", { class: "soft" }, about)),
      isOpen.value && h("ul", null,
        names.slice(0, most.value).map((one) => h("li", { key: one }, h(Member, { name: one, value: value[one], depth: depth + 1, open }))),
        names.length > most.value && h("li", { key: " more" }, h("button", { type: "button", class: "button small", onclick: () => { most.value = most.peek() * 3; } }, `${count(names.length - most.value)} more`))));
  };
}

/** @param {{ name?: string, value: any, depth: number, open: number }} of */
function Member({ name, value, depth, open }) {
  if (value !== null && typeof value === "object" && Object.keys(value).length) return h(Node, { name, value, depth, open });
  const shown = value !== null && typeof value === "object" ? h("span", { class: "json-plain" }, Array.isArray(value) ? "[]" : "{}") : plain(value);
  return h("div", { class: "json-leaf" }, name !== undefined && h("b", null, cut(name, NAME_MAX)), shown);
}

/** `open`: how many levels begin open. @param {{ value: any, open?: number, label?: string }} of */
export const Json = ({ value, open = 2, label }) => h("div", { class: "json", role: "group", "aria-label": label ?? "JSON" }, h(Member, { value, depth: 0, open }));
