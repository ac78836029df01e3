// @ts-check
// The settings of a plugin as a form: what its schema says becomes fields, and all of it can be written as JSON instead.
// Owns what was typed; `schema.js` owns what fits.

import { batch, signal } from "../lib/signal.js";
import { h } from "../lib/render.js";
import { cut } from "../lib/text.js";
import { fieldsOf, fits, readField, readJson, shownOf } from "./schema.js";

const ROWS_MAX = 12;
const NAME_MAX = 80;

/** @typedef {{ value: any, faults: Record<string, string> }} Read the settings, and what is wrong, by name; "" is the whole */
/** @typedef {ReturnType<typeof settingsModel>} Model */

/** What a form holds. `begin` gives it a schema and perhaps values; reading it draws again when something is typed. */
export function settingsModel() {
  const schema = signal(/** @type {any} */ (null));
  const fields = signal(/** @type {import("./schema.js").Field[] | null} */ (null));
  const shown = signal(/** @type {Record<string, string | string[]>} */ ({}));
  const json = signal("");
  const isJson = signal(true);
  const touched = signal(/** @type {Record<string, boolean>} */ ({}));
  const isShowingAll = signal(false);

  /** The values as fields, if they fit. @param {any} values */
  function asFields(values) {
    const all = fields.peek();
    const named = values && typeof values === "object" && !Array.isArray(values) ? values : null;
    if (!all || !named || Object.keys(named).some((name) => !all.some((field) => field.name === name && fits(field, named[name])))) return false;
    shown.value = Object.fromEntries(all.map((field) => [field.name, shownOf(field, named[field.name])]));
    return true;
  }

  /** @param {any} said the schema, or null @param {any} [values] what they shall begin with; else what the schema says */
  function begin(said, values) {
    batch(() => {
      schema.value = said;
      const all = fields.value = fieldsOf(said);
      const first = values ?? Object.fromEntries((all ?? []).filter((field) => field.first !== undefined && fits(field, field.first)).map((field) => [field.name, field.first]));
      touched.value = {};
      isShowingAll.value = false;
      isJson.value = !asFields(first);
      json.value = Object.keys(first ?? {}).length ? JSON.stringify(first, null, 2) : "";
    });
  }

  /** @returns {Read} */
  function read() {
    if (isJson.value) {
      if (!json.value.trim()) return { value: {}, faults: {} };
      const found = readJson(json.value);
      const isWrong = !found.fault && (found.value === null || typeof found.value !== "object" || Array.isArray(found.value));
      return { value: found.value ?? {}, faults: found.fault ? { "": found.fault } : isWrong ? { "": "An object is needed: { … }." } : {} };
    }
    /** @type {Read} */
    const all = { value: {}, faults: {} };
    for (const field of fields.value ?? []) {
      const found = readField(field, shown.value[field.name] ?? "");
      if (found.fault) all.faults[field.name] = found.fault;
      else if ("value" in found) all.value[field.name] = found.value;
    }
    return all;
  }

  /** From fields to JSON and back, as far as they fit. */
  function turn() {
    batch(() => {
      const now = read();
      if (!isJson.peek()) { json.value = JSON.stringify(now.value, null, 2); isJson.value = true; } else if (!Object.keys(now.faults).length) isJson.value = !asFields(now.value);
    });
  }

  /** @param {string} name @param {string | string[]} text */
  function set(name, text) { batch(() => { shown.value = { ...shown.peek(), [name]: text }; touched.value = { ...touched.peek(), [name]: true }; }); }

  return { schema, fields, shown, json, isJson, touched, isShowingAll, begin, read, turn, set };
}

/** @param {string} prefix @param {string} name */
const idOf = (prefix, name) => `${prefix}-${name.replace(/[^\w-]/g, "_")}`;

/** @param {{ field: import("./schema.js").Field, model: Model, id: string, isWrong: boolean }} of */
function Control({ field, model, id, isWrong }) {
  const said = model.shown.value[field.name] ?? "";
  const set = (/** @type {any} */ event) => model.set(field.name, event.target.value);
  const own = { id, "aria-invalid": isWrong ? "true" : null, "aria-describedby": `${id}-about`, "aria-required": field.isRequired ? "true" : null };
  const places = Array.isArray(said) ? said : [];
  switch (field.kind) {
    case "choice": return h("select", { ...own, value: said, onchange: set }, h("option", { key: "", value: "" }, field.isRequired ? "Choose…" : "As it is by default"), field.choices.map((one, n) => h("option", { key: n, value: String(n) }, one.text)));
    case "switch": return h("select", { ...own, value: said, onchange: set }, h("option", { key: "", value: "" }, field.isRequired ? "Choose…" : "As it is by default"), h("option", { key: "y", value: "true" }, "Yes"), h("option", { key: "n", value: "false" }, "No"));
    case "many": return h("div", { ...own, "aria-invalid": null, "aria-required": null, role: "group", "aria-labelledby": `${id}-name`, class: "checks" }, field.choices.map((one, n) => h("label", { key: n, class: "check" },
      h("input", { type: "checkbox", checked: places.includes(String(n)), onchange: () => model.set(field.name, places.includes(String(n)) ? places.filter((place) => place !== String(n)) : [...places, String(n)].sort((a, b) => Number(a) - Number(b))) }), h("span", null, one.text))));
    case "line": return h("input", { ...own, type: "text", value: said, autocomplete: "off", spellcheck: field.schema.pattern ? "false" : null, oninput: set });
    case "number": return h("input", { ...own, type: "number", value: said, min: field.schema.minimum, max: field.schema.maximum, step: field.schema.type === "integer" ? 1 : "any", inputmode: field.schema.type === "integer" ? "numeric" : "decimal", oninput: set });
    default: {
      const rows = Math.min(ROWS_MAX, Math.max(3, String(said).split("\n").length + 1));
      return h("textarea", { ...own, value: said, rows, class: field.kind === "json" ? "mono" : null, spellcheck: field.kind === "json" ? "false" : null, oninput: set });
    }
  }
}

/** @param {{ field: import("./schema.js").Field, model: Model, prefix: string, fault: string }} of */
function FieldRow({ field, model, prefix, fault }) {
  const id = idOf(prefix, field.name);
  const hint = field.kind === "lines" ? "One a line." : field.kind === "json" ? "As JSON." : "";
  return h("div", { class: "field" },
    h(field.kind === "many" ? "span" : "label", { id: `${id}-name`, class: "field-name", for: field.kind === "many" ? null : id }, field.title, !field.isRequired && h("span", { class: "field-note" }, " optional")),
    h(Control, { field, model, id, isWrong: Boolean(fault) }),
    h("div", { id: `${id}-about` }, (field.note || hint) && h("p", { class: "field-note" }, [field.note, hint].filter(Boolean).join(" ")), fault && h("p", { class: "field-error" }, fault)));
}

/** `faults` are the hub's own, by name; they stay until something is typed there.
 *  @param {{ model: Model, prefix: string, faults: Record<string, string> }} of */
export function Settings({ model, prefix, faults }) {
  const own = model.read().faults;
  const all = model.fields.value;
  const fault = (/** @type {string} */ name) => faults[name] || (model.touched.value[name] || model.isShowingAll.value ? own[name] ?? "" : "");
  const stray = Object.keys(faults).filter((name) => name && (model.isJson.value || !all?.some((field) => field.name === name)));
  const whole = [fault(""), ...stray.map((name) => `${cut(name, NAME_MAX)}: ${faults[name]}`)].filter(Boolean);
  return h("div", { class: "stack settings-form" },
    all !== null && h("div", { key: "turn", class: "row settings-turn" }, h("button", { type: "button", class: "button small", "aria-pressed": String(model.isJson.value), disabled: model.isJson.value && Boolean(own[""]), onclick: model.turn }, "As JSON")),
    model.isJson.value
      ? h("div", { key: "json", class: "field" },
        h("label", { for: `${prefix}-json` }, "Settings as JSON"),
        h("textarea", { id: `${prefix}-json`, class: "mono", rows: Math.min(ROWS_MAX, Math.max(5, model.json.value.split("\n").length + 1)), spellcheck: "false", placeholder: "{}", value: model.json.value, "aria-invalid": whole.length ? "true" : null, "aria-describedby": `${prefix}-json-about`,
          oninput: (/** @type {any} */ event) => { model.json.value = event.target.value; model.touched.value = { "": true }; } }),
        h("div", { id: `${prefix}-json-about` }, all === null && h("p", { class: "field-note" }, model.schema.value ? "Its schema says more than a form can show." : "Nobody has told this hub what its settings are: it takes any."), whole.map((one) => h("p", { key: one, class: "field-error" }, one))))
      : all?.length ? all.map((field) => h(FieldRow, { key: field.name, field, model, prefix, fault: fault(field.name) })) : h("p", { key: "none", class: "soft" }, "It has no settings."),
    !model.isJson.value && whole.length > 0 && h("div", { key: "whole" }, whole.map((one) => h("p", { key: one, class: "field-error" }, one))));
}

/** Which of the hub's faults are about settings: `inputs.topics[2]` is about `topics`. @param {{ field: string, detail: string }[]} faults @param {string} member */
export function settingsFaults(faults, member) {
  /** @type {Record<string, string>} */
  const found = {};
  for (const { field, detail } of faults) {
    if (field !== member && !field.startsWith(`${member}.`) && !field.startsWith(`${member}[`)) continue;
    const rest = field.slice(member.length).replace(/^\./, "");
    const [, name = "", place] = /^(.*?)((?:\[\d+\]|\.).*)?$/s.exec(rest) ?? [];
    const words = place ? `${place}: ${detail}` : detail;
    found[name] = found[name] ? `${found[name]} ${words}` : words;
  }
  return found;
}
