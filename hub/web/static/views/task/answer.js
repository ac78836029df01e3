// @ts-check
// The question that a run asks a person: its schema becomes a form, and the answer goes to the run. What the hub refuses is
// said beside it. Owns the form; the hub judges the answer.

import { at, may, post, Refusal } from "../../lib/api.js";
import { tell } from "../../lib/dialog.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { signal } from "../../lib/signal.js";
import { cut } from "../../lib/text.js";

/** @typedef {{ name: string, title: string, note: string, kind: "choice" | "number" | "line" | "text" | "json", choices: { value: any, text: string }[], isWhole: boolean, isRequired: boolean, schema: any }} Field */

const RADIOS_MAX = 8;             // more choices than these are a list to pick from
const CHOICES_MAX = 500;
const FIELDS_MAX = 40;            // more members than these are written as JSON
const SHORT_MAX = 120;            // a text that may be no longer fits a line
const TITLE_MAX = 200;
const PROMPT_MAX = 20_000;

/** @param {any} schema @returns {{ value: any, text: string }[]} */
function choicesOf(schema) {
  if (Array.isArray(schema.enum)) return schema.enum.slice(0, CHOICES_MAX).map((/** @type {any} */ value) => ({ value, text: typeof value === "string" ? value : JSON.stringify(value) }));
  const each = Array.isArray(schema.oneOf) ? schema.oneOf : Array.isArray(schema.anyOf) ? schema.anyOf : [];
  if (each.length && each.every((/** @type {any} */ one) => one && typeof one === "object" && "const" in one)) return each.slice(0, CHOICES_MAX).map((/** @type {any} */ one) => ({ value: one.const, text: String(one.title ?? (typeof one.const === "string" ? one.const : JSON.stringify(one.const))) }));
  return schema.type === "boolean" ? [{ value: true, text: "Yes" }, { value: false, text: "No" }] : [];
}

/** @param {string} name @param {any} said @param {boolean} isRequired @returns {Field} */
function fieldOf(name, said, isRequired) {
  const schema = said && typeof said === "object" ? said : {};
  const choices = choicesOf(schema);
  const isText = schema.type === "string" || (schema.type === undefined && !Object.keys(schema).some((key) => ["properties", "items", "anyOf", "oneOf", "allOf", "const"].includes(key)));
  const kind = choices.length ? "choice" : schema.type === "number" || schema.type === "integer" ? "number" : isText ? (schema.maxLength <= SHORT_MAX ? "line" : "text") : "json";
  return { name, title: cut(schema.title ?? name, TITLE_MAX), note: cut(schema.description ?? "", TITLE_MAX * 3), kind, choices, isWhole: schema.type === "integer", isRequired, schema };
}

/** The fields of a schema; one without a name is the answer itself. @param {any} schema @returns {Field[]} */
export function fieldsOf(schema) {
  const members = schema && typeof schema === "object" && schema.type === "object" && schema.properties && typeof schema.properties === "object" ? Object.entries(schema.properties) : [];
  const required = Array.isArray(schema?.required) ? schema.required : [];
  if (members.length && members.length <= FIELDS_MAX) return members.map(([name, one]) => fieldOf(name, one, required.includes(name)));
  return [{ ...fieldOf("", schema, true), title: "Answer" }];
}

/** @param {Field} field @param {string} said @returns {{ value?: any, fault?: string }} no value: nothing was said */
function valueOf(field, said) {
  if (field.kind === "choice") return said === "" ? (field.isRequired ? { fault: "Choose one." } : {}) : { value: field.choices[Number(said)].value };
  if (field.kind === "line" || field.kind === "text") return said === "" && field.name && !field.isRequired ? {} : { value: said };
  if (said.trim() === "") return field.isRequired ? { fault: field.kind === "number" ? "A number is needed." : "JSON is needed." } : {};
  if (field.kind === "number") {
    const value = Number(said);
    return !Number.isFinite(value) ? { fault: "That is not a number." } : field.isWhole && !Number.isInteger(value) ? { fault: "A whole number is needed." } : { value };
  }
  try { return { value: JSON.parse(said) }; } catch (error) { return { fault: `That is not JSON: ${/** @type {Error} */ (error).message}` }; }
}

/** @param {Field} field @param {string} id @param {string} value @param {(said: string) => void} set @param {boolean} isWrong */
function control(field, id, value, set, isWrong) {
  const own = { id, value, "aria-invalid": isWrong ? "true" : null, "aria-describedby": `${id}-note`, oninput: (/** @type {any} */ event) => set(event.target.value) };
  if (field.kind === "choice" && field.choices.length <= RADIOS_MAX) {
    return h("div", { class: "answer-choices" }, field.choices.map((one, n) => h("label", { key: n, class: "answer-choice" },
      h("input", { type: "radio", name: id, checked: value === String(n), onchange: () => set(String(n)) }), h("span", null, cut(one.text, TITLE_MAX)))));
  }
  if (field.kind === "choice") return h("select", { ...own, oninput: undefined, onchange: own.oninput }, h("option", { key: "", value: "" }, "Choose…"), field.choices.map((one, n) => h("option", { key: n, value: String(n) }, cut(one.text, TITLE_MAX))));
  if (field.kind === "number") return h("input", { ...own, type: "number", step: field.isWhole ? "1" : "any", inputmode: field.isWhole ? "numeric" : "decimal" });
  if (field.kind === "line") return h("input", { ...own, type: "text", autocomplete: "off" });
  return h("textarea", { ...own, rows: field.kind === "json" ? 6 : 3, class: field.kind === "json" ? "mono" : null, spellcheck: field.kind === "json" ? "false" : null });
}

/** @param {Field} field */
const begins = (field) => { const first = field.schema.default; const place = field.choices.findIndex((one) => one.value === first);
  return first === undefined ? "" : field.kind === "choice" ? (place < 0 ? "" : String(place)) : typeof first === "string" ? first : JSON.stringify(first); };

/** Keyed by the question: another question is another form. @param {{ task: any, reload: () => void }} first */
export function Question({ task }) {
  const fields = fieldsOf(task.question.schema);
  const said = signal(/** @type {Record<string, string>} */ (Object.fromEntries(fields.map((field) => [field.name, begins(field)]))));
  const faults = signal(/** @type {Record<string, string>} */ ({}));
  const refused = signal("");
  const isBusy = signal(false);
  const isSent = signal(false);

  /** @param {Event} event @param {() => void} reload */
  async function submit(event, reload) {
    event.preventDefault();
    /** @type {Record<string, string>} */
    const wrong = {};
    /** @type {Record<string, any>} */
    const values = {};
    for (const field of fields) {
      const found = valueOf(field, said.peek()[field.name] ?? "");
      if (found.fault) wrong[field.name] = found.fault;
      else if ("value" in found) values[field.name] = found.value;
    }
    faults.value = wrong;
    refused.value = "";
    const first = fields.findIndex((field) => wrong[field.name]);
    if (first >= 0) { /** @type {any} */ (document.querySelector(`#answer-${first}, [name="answer-${first}"]`))?.focus(); return; }
    isBusy.value = true;
    try {
      await post(at("/api/tasks/{task_id}/input", task.task_id), { request_id: task.question.request_id, value: fields[0].name === "" ? values[""] ?? null : values });
      isSent.value = true;
      tell("Answered", "good");
    } catch (error) {
      refused.value = error instanceof Refusal ? error.faults[0]?.detail || error.advice : String(error);
      if (error instanceof Refusal && error.status === 409) tell(error.advice, "bad");      // the form is about to go: somebody was faster
    }
    isBusy.value = false;
    reload();
  }

  return (/** @type {{ task: any, reload: () => void }} */ { task: now, reload }) => h("section", { id: "question", class: "panel task-question", "aria-labelledby": "question-title" },
    h("h2", { id: "question-title" }, icon("question", 16), "It asks"),
    h("p", { class: "task-prompt" }, cut(now.question.prompt, PROMPT_MAX)),
    !may.act ? h("p", { class: "soft" }, "A dispatcher can answer, here or with ", h("code", null, `hub tasks answer ${now.task_id} "…"`))
      : isSent.value ? h("p", { role: "status" }, "Answered. The run has not taken it yet.")
        : h("form", { class: "task-answer", novalidate: true, onsubmit: (/** @type {Event} */ event) => submit(event, reload) },
          fields.map((field, n) => h(field.kind === "choice" ? "fieldset" : "div", { key: field.name, class: "field" },
            field.kind === "choice" && field.choices.length <= RADIOS_MAX ? h("legend", null, field.title, !field.isRequired && h("span", { class: "field-note" }, " optional"))
              : h("label", { for: `answer-${n}` }, field.title, !field.isRequired && h("span", { class: "field-note" }, " optional")),
            control(field, `answer-${n}`, said.value[field.name] ?? "", (text) => { said.value = { ...said.peek(), [field.name]: text }; }, Boolean(faults.value[field.name])),
            h("div", { id: `answer-${n}-note` }, field.note && h("p", { class: "field-note" }, field.note), faults.value[field.name] && h("p", { class: "field-error", role: "alert" }, faults.value[field.name])))),
          refused.value && h("p", { key: " refused", id: "answer-refused", class: "error", role: "alert" }, refused.value),
          h("div", { key: " go", class: "row" }, h("button", { type: "submit", class: "button primary", disabled: isBusy.value }, "Answer"))));
}
