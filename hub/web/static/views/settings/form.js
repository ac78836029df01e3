// @ts-check
// What the forms of the settings are made of: a field with its faults, and a secret that is shown once.

import { Refusal } from "../../lib/api.js";
import { copy } from "../../lib/dialog.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";

/** What was refused, by field; what belongs to no field is said above the button.
 *  @param {any} error @param {readonly string[]} fields @returns {{ by: Record<string, string>, all: string }} */
export function faultsOf(error, fields) {
  /** @type {Record<string, string>} */
  const by = {};
  const others = [];
  for (const fault of error instanceof Refusal ? error.faults : []) {
    const field = fields.find((one) => fault.field === one || fault.field.startsWith(`${one}[`) || fault.field.startsWith(`${one}.`));
    if (field) by[field] = fault.detail; else others.push(`${fault.field}: ${fault.detail}`);
  }
  const isSaid = Object.keys(by).length > 0;
  return { by, all: others.join(" ") || (isSaid || !error ? "" : error.advice ?? String(error)) };
}

/** @typedef {{ id: string, label: string, note?: any, fault?: string, value?: string, list?: string, placeholder?: string, isRequired?: boolean, options?: [string, string][], oninput: (value: string) => void, maxlength?: number }} FieldProps */

/** A field with its label, its note and what was refused of it. @param {FieldProps} props */
export const field = (props) => h(Field, { ...props, key: props.id });

/** @param {FieldProps} of */
function Field({ id, label, note, fault, value, placeholder, isRequired, options, oninput, maxlength }) {
  const about = [note && `${id}-note`, fault && `${id}-fault`].filter(Boolean).join(" ");
  const own = { id, value: value ?? "", "aria-invalid": fault ? "true" : null, "aria-describedby": about || null, required: isRequired ?? false };
  const hear = (/** @type {any} */ event) => oninput(event.target.value);
  return h("div", { class: "field" }, h("label", { for: id }, label),
    options ? h("select", { ...own, onchange: hear }, options.map(([word, text]) => h("option", { key: word, value: word }, text)))
      : h("input", { ...own, type: "text", autocomplete: "off", spellcheck: "false", placeholder, maxlength, oninput: hear }),
    note && h("p", { key: "note", id: `${id}-note`, class: "field-note" }, note),
    fault && h("p", { key: "fault", id: `${id}-fault`, class: "field-error", role: "alert" }, fault));
}

/** @param {{ title: string, name: string, secret: string, note: any, close: () => void }} of */
export function Once({ title, name, secret, note, close }) {
  return h("section", { class: "panel set-once", "aria-labelledby": "once-title" },
    h("div", { class: "bar" }, h("h2", { id: "once-title" }, title), h("button", { type: "button", class: "bare", "aria-label": "I have it: close", title: "I have it: close", onclick: close }, icon("close"))),
    h("p", null, h("strong", null, "It is shown this once."), " The hub keeps only what it recognises it by."),
    h("div", { class: "set-secret" },
      h("label", { class: "quiet", for: "once" }, name),
      h("input", { id: "once", class: "mono", readonly: true, value: secret, spellcheck: "false", ref: focusOn, onfocus: (/** @type {any} */ event) => event.target.select() }),
      h("button", { type: "button", class: "button primary", onclick: () => copy(secret, `${name} copied`) }, icon("copy", 16), "Copy")),
    note);
}

/** @param {any} node */
function focusOn(node) { if (node) requestAnimationFrame(() => node.focus()); }

/** "a, b c" @param {string} text */
export const listIn = (text) => text.split(/[\s,]+/).filter(Boolean);

/** "site=north, rack=7"; what is not of that form becomes a name without a value, which the hub refuses.
 *  @param {string} text @returns {Record<string, string>} */
export const labelsIn = (text) => Object.fromEntries(text.split(",").map((one) => one.trim()).filter(Boolean).map((one) => {
  const place = one.indexOf("=");
  return place < 0 ? [one, ""] : [one.slice(0, place).trim(), one.slice(place + 1).trim()];
}));

/** @param {Record<string, string>} labels */
export const labelsOut = (labels) => Object.entries(labels).map(([name, value]) => `${name}=${value}`).join(", ");
