// @ts-check
// A settings schema as a list of fields, and what people typed as values. JSON Schema 2020-12 of the sort that forms are made
// of; whatever else it says becomes a field of JSON. Owns what fits; draws nothing. The schema was written by a stranger.

import { cut } from "../lib/text.js";

/** @typedef {"line" | "text" | "number" | "switch" | "choice" | "many" | "lines" | "json"} Kind */
/** @typedef {{ name: string, title: string, note: string, kind: Kind, choices: { value: any, text: string }[], isRequired: boolean, schema: any, first: any }} Field */

const FIELDS_MAX = 60;            // a schema with more is written as JSON
const CHOICES_MAX = 500;
const MANY_MAX = 12;              // more choices of several than these are lines
const HOPS_MAX = 8;               // of references that lead to references
const WORDS_MAX = 400;
const NAME_MAX = 80;
const SHORT_MAX = 160;            // a text that may be no longer fits a line
const PATTERN_MAX = 200;
const STEPS_MAX = 10_000_000;     // of a pattern on a text, at its worst: below a tenth of a second

/** @param {any} said */
const isObject = (said) => said !== null && typeof said === "object" && !Array.isArray(said);

/** What `$ref: "#/$defs/x"` points at, with what stands beside it. @param {any} said @param {any} root */
function resolved(said, root) {
  let found = isObject(said) ? said : {};
  for (let hops = 0; typeof found.$ref === "string"; hops += 1) {
    const { $ref: place, ...beside } = found;
    if (hops === HOPS_MAX || !place.startsWith("#/")) return {};
    let target = root;
    for (const step of place.slice(2).split("/").map(plainStep)) target = isObject(target) && Object.hasOwn(target, step) ? target[step] : undefined;
    if (!isObject(target)) return {};
    found = { ...target, ...beside };
  }
  return found;
}

/** @param {string} step */
const plainStep = (step) => step.replaceAll("~1", "/").replaceAll("~0", "~");

/** @param {any} schema @returns {{ value: any, text: string }[]} */
function choicesOf(schema) {
  const each = [schema.oneOf, schema.anyOf].find((one) => Array.isArray(one) && one.length && one.every((/** @type {any} */ choice) => isObject(choice) && "const" in choice));
  if (each) return each.slice(0, CHOICES_MAX).map((/** @type {any} */ one) => ({ value: one.const, text: cut(one.title ?? wordOf(one.const), NAME_MAX) }));
  return Array.isArray(schema.enum) ? schema.enum.slice(0, CHOICES_MAX).map((/** @type {any} */ value) => ({ value, text: cut(wordOf(value), NAME_MAX) })) : [];
}

/** @param {any} value */
const wordOf = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** @param {any} schema @param {any} root @returns {{ kind: Kind, choices: { value: any, text: string }[] }} */
function kindOf(schema, root) {
  const choices = choicesOf(schema);
  if (choices.length) return { kind: "choice", choices };
  if (["allOf", "anyOf", "oneOf", "not", "if", "const"].some((word) => word in schema)) return { kind: "json", choices };
  if (schema.type === "string") return { kind: schema.maxLength <= SHORT_MAX || schema.pattern || schema.format ? "line" : "text", choices };
  if (schema.type === "integer" || schema.type === "number") return { kind: "number", choices };
  if (schema.type === "boolean") return { kind: "switch", choices };
  if (schema.type !== "array" || schema.prefixItems || schema.contains) return { kind: "json", choices };
  const items = resolved(schema.items, root);
  const several = choicesOf(items);
  if (several.length && several.length <= MANY_MAX) return { kind: "many", choices: several };
  const isText = items.type === "string" && !["allOf", "anyOf", "oneOf", "not", "if", "const"].some((word) => word in items);
  return { kind: isText && !several.length ? "lines" : "json", choices: [] };
}

/** The fields of a schema; null when no form can be made of it. @param {any} root @returns {Field[] | null} */
export function fieldsOf(root) {
  if (!isObject(root) || !isObject(root.properties) || !["object", undefined].includes(root.type)) return null;
  const names = Object.keys(root.properties);
  if (names.length > FIELDS_MAX) return null;
  const required = Array.isArray(root.required) ? root.required : [];
  const defaults = isObject(root.default) ? root.default : {};
  return names.filter((name) => !name.startsWith("_")).map((name) => {
    const schema = resolved(root.properties[name], root);
    const items = resolved(schema.items, root);
    return { name, ...kindOf(schema, root), title: cut(typeof schema.title === "string" ? schema.title : name, NAME_MAX), note: typeof schema.description === "string" ? cut(schema.description, WORDS_MAX) : "",
      isRequired: required.includes(name), schema: schema.type === "array" ? { ...schema, items } : schema, first: Object.hasOwn(defaults, name) ? defaults[name] : schema.default };
  });
}

/** Can this field show that value without losing any of it? @param {Field} field @param {any} value */
export function fits(field, value) {
  switch (field.kind) {
    case "line": return typeof value === "string" && !/[\r\n]/.test(value);
    case "text": return typeof value === "string" && !value.includes("\r");
    case "number": return typeof value === "number";
    case "switch": return typeof value === "boolean";
    case "choice": return field.choices.some((one) => isSame(one.value, value));
    case "many": return Array.isArray(value) && value.every((one) => field.choices.some((choice) => isSame(choice.value, one)));
    case "lines": return Array.isArray(value) && value.every((one) => typeof one === "string" && one.trim() === one && one && !/[\r\n]/.test(one));
    default: return true;
  }
}

/** @param {any} a @param {any} b */
const isSame = (a, b) => Object.is(a, b) || JSON.stringify(a) === JSON.stringify(b);

/** A value as the field shows it: a text, or a list of places among the choices. @param {Field} field @param {any} value @returns {string | string[]} */
export function shownOf(field, value) {
  if (field.kind === "many") return value === undefined ? [] : value.map((/** @type {any} */ one) => String(field.choices.findIndex((choice) => isSame(choice.value, one))));
  if (value === undefined) return "";
  if (field.kind === "choice") return String(field.choices.findIndex((one) => isSame(one.value, value)));
  if (field.kind === "lines") return value.join("\n");
  return field.kind === "json" ? JSON.stringify(value, null, 2) : String(value);
}

/** What was typed as a value, or what is wrong with it; neither when nothing was typed that need be said.
 *  @param {Field} field @param {string | string[]} shown @returns {{ value?: any, fault?: string }} */
export function readField(field, shown) {
  const found = parsed(field, shown);
  if (found.fault) return found;
  if (!("value" in found)) return field.isRequired ? { fault: missing(field) } : {};
  const fault = faultOf(field.schema, found.value);
  return fault ? { fault } : found;
}

/** @param {Field} field */
const missing = (field) => (field.kind === "choice" ? "Choose one." : field.kind === "lines" ? "At least one line is needed." : "This is needed.");

/** @param {Field} field @param {string | string[]} shown @returns {{ value?: any, fault?: string }} */
function parsed(field, shown) {
  if (Array.isArray(shown)) return shown.length || field.first !== undefined ? { value: shown.map((place) => field.choices[Number(place)]?.value) } : {};
  if (field.kind === "text" || field.kind === "line") return shown === "" ? {} : { value: shown };
  if (shown.trim() === "") return field.kind === "lines" && field.first?.length === 0 ? { value: [] } : {};
  if (field.kind === "lines") return { value: shown.split("\n").map((line) => line.trim()).filter(Boolean) };
  if (field.kind === "choice") return { value: field.choices[Number(shown)]?.value };
  if (field.kind === "switch") return { value: shown === "true" };
  if (field.kind === "number") return Number.isFinite(Number(shown)) ? { value: Number(shown) } : { fault: "That is not a number." };
  return readJson(shown);
}

/** @param {string} text @returns {{ value?: any, fault?: string }} */
export function readJson(text) {
  try { return { value: JSON.parse(text) }; } catch (error) { return { fault: `That is not JSON: ${cut(/** @type {Error} */ (error).message, WORDS_MAX)}` }; }
}

/** What of a schema a value does not fit, in words; empty when it fits, or when only the agent can tell. @param {any} schema @param {any} value @returns {string} */
export function faultOf(schema, value) {
  if (typeof value === "string") return textFault(schema, value);
  if (typeof value === "number") return numberFault(schema, value);
  return Array.isArray(value) ? listFault(schema, value) : "";
}

/** @param {any} schema @param {string} value */
function textFault(schema, value) {
  const size = [...value].length;
  if (size < schema.minLength) return `At least ${schema.minLength} characters; this is ${size}.`;
  if (size > schema.maxLength) return `At most ${schema.maxLength} characters; this is ${size}.`;
  const pattern = tame(schema.pattern, value.length);
  return pattern && !pattern.test(value) ? `It does not match ${cut(schema.pattern, NAME_MAX)}` : "";
}

/** A pattern of a stranger can take for ever: one that might, on a text of this length, is left to the agent. Every repetition
 *  can be as long as it may be, at every place. @param {any} pattern @param {number} size @returns {RegExp | null} */
export function tame(pattern, size) {
  if (typeof pattern !== "string" || pattern.length > PATTERN_MAX) return null;
  const plain = pattern.replace(/\\[^0-9k]/g, "x").replace(/\[[^\]]*\]/g, "x");
  if (/\\|\(\?<?[=!]|\)[*+{?]/.test(plain)) return null;      // a reference back, a look around, a group that repeats
  let steps = Math.max(1, size);
  for (const [sign, least, more] of plain.matchAll(/[*+?|]|\{(\d+)(,\d*)?\}/g)) {
    const most = more === undefined ? Number(least) : more === "," ? size : Number(more.slice(1));
    steps *= sign === "?" || sign === "|" ? 2 : sign === "*" || sign === "+" ? Math.max(1, size) : Math.max(1, most);
  }
  if (steps > STEPS_MAX) return null;
  try { return new RegExp(pattern, "u"); } catch { return null; }
}

/** @param {any} schema @param {number} value */
function numberFault(schema, value) {
  if (schema.type === "integer" && !Number.isInteger(value)) return "A whole number is needed.";
  if (value < schema.minimum) return `It must be at least ${schema.minimum}.`;
  if (value > schema.maximum) return `It must be at most ${schema.maximum}.`;
  if (value <= schema.exclusiveMinimum) return `It must be above ${schema.exclusiveMinimum}.`;
  if (value >= schema.exclusiveMaximum) return `It must be below ${schema.exclusiveMaximum}.`;
  const times = value / schema.multipleOf;
  return schema.multipleOf > 0 && Math.abs(times - Math.round(times)) > 1e-9 ? `It must be a multiple of ${schema.multipleOf}.` : "";
}

/** @param {any} schema @param {any[]} value */
function listFault(schema, value) {
  if (value.length < schema.minItems) return `At least ${schema.minItems} are needed; these are ${value.length}.`;
  if (value.length > schema.maxItems) return `At most ${schema.maxItems} may be given; these are ${value.length}.`;
  if (schema.uniqueItems && new Set(value.map(wordOf)).size < value.length) return "One of them is there twice.";
  for (const one of value) {
    const fault = isObject(schema.items) ? faultOf(schema.items, one) : "";
    if (fault) return `${cut(wordOf(one), NAME_MAX)}: ${fault}`;
  }
  return "";
}
