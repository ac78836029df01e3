// @ts-check
// The fields of a push: a label, what it is, what is wrong with it. Owns how they look and what a screen reader hears.

import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { effect, signal } from "../../lib/signal.js";

/** @typedef {{ model: import("./model.js").Push, name: any, label: string, note?: string, hint?: string, rows?: number, mode?: string, list?: string, isOptional?: boolean, values?: string[] }} Said */

/** What every control of a form says of itself. @param {Said} of */
function own({ model, name }) {
  const said = /** @type {Record<string, string>} */ (model.said.value);
  const fault = model.fault(name);
  return { fault, props: { id: `push-${name}`, value: said[name], "aria-invalid": fault ? "true" : null, "aria-describedby": `push-${name}-about`, oninput: (/** @type {any} */ event) => model.set({ [name]: event.target.value }) } };
}

/** @param {Said} of @param {string} fault @param {any} control */
const field = ({ name, label, note, isOptional }, fault, control) => h("div", { class: "field" },
  h("label", { for: `push-${name}` }, label, isOptional && h("span", { class: "field-note" }, " optional")), control,
  h("div", { id: `push-${name}-about` }, note && h("p", { class: "field-note" }, note), fault && h("p", { class: "field-error" }, fault)));

/** @param {Said} of */
export function Line(of) {
  const { fault, props } = own(of);
  return field(of, fault, h("input", { ...props, type: "text", placeholder: of.hint, autocomplete: "off", spellcheck: "false", inputmode: of.mode, list: of.list }));
}

/** @param {Said} of */
export function Area(of) {
  const { fault, props } = own(of);
  return field(of, fault, h("textarea", { ...props, rows: of.rows ?? 2, placeholder: of.hint }));
}

/** @param {Said} of */
export function When(of) {
  const { fault, props } = own(of);
  return field(of, fault, h("input", { ...props, type: "datetime-local" }));
}

/** @param {Said} of */
export function Pick(of) {
  const { fault, props } = own(of);
  return field(of, fault, h("select", { ...props, oninput: undefined, onchange: props.oninput }, (of.values ?? []).map((value) => h("option", { key: value, value }, value))));
}

/** What few need: folded, and opened as soon as one of its fields says something or is wrong.
 *  @param {{ model: import("./model.js").Push, names: string[], label: string, children?: any[] }} first */
export function More({ model, names }) {
  const isOpen = signal(false);
  const said = () => names.filter((name) => /** @type {Record<string, string>} */ (model.said.value)[name]).length;
  effect(() => { if (said() || names.some((name) => model.fault(/** @type {any} */ (name)))) isOpen.value = true; });
  return (/** @type {{ label: string, children?: any[] }} */ { label, children } = { label: "" }) => h("div", { class: "stack more" },
    h("button", { type: "button", class: "button more-turn", "aria-expanded": String(isOpen.value), onclick: () => { isOpen.value = !isOpen.peek(); } },
      icon(isOpen.value ? "down" : "right", 15), label, said() > 0 && h("span", { class: "badge" }, `${said()} set`)),
    isOpen.value && children);
}
