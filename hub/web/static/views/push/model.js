// @ts-check
// What a push form holds, how it becomes the body of POST /api/tasks, and the same as commands. Draws nothing.

import { iso } from "../../lib/format.js";
import { batch, computed, signal } from "../../lib/signal.js";
import { commandOf, curlOf, plainJson, whereIsIt } from "../../parts/commands.js";
import { settingsModel } from "../../parts/settings.js";

/** @typedef {ReturnType<typeof pushModel>} Push */
/** @typedef {{ value?: any, fault?: string }} Found */

export const WHO = /** @type {const} */ ({ agent: "An agent", able: "Whoever can", any: "Anybody" });
export const PRIORITIES = ["urgent", "high", "normal", "low"];
const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DEFAULTS = { to: "agent", agent: "", capabilities: "", needed_labels: "", plugin: "", description: "", priority: "normal", attempts: "3", timeout: "", run_at: "", start_by: "", labels: "", unique_key: "",
  concurrency_key: "", limit: "", depends_on: "", slot: "" };
const ATTEMPTS_MAX = 100;
const LIMIT_MAX = 10_000;
const WEEK_MS = 7 * UNITS.d;

/** What a task may have that no field is for: one that is pushed once more keeps it. */
const CARRIED = ["preferred_labels", "sticky_key", "rate", "backoff", "accept_timeout_ms", "lease_ms", "progress_timeout_ms", "metadata"];

/** Where the hub says a fault, and where the form shows it. @type {Record<string, keyof typeof DEFAULTS>} */
const PLACES = { assign_to: "agent", needed_capabilities: "capabilities", attempts_max: "attempts", timeout_ms: "timeout" };

/** @param {string} text */
const linesOf = (text) => text.split(/[\n,]/).map((one) => one.trim()).filter(Boolean);

/** `10m` in milliseconds. @param {string} text @returns {Found} */
export function durationMs(text) {
  const [, number, unit] = /^(\d{1,9})\s*(ms|s|m|h|d)$/.exec(text.trim()) ?? [];
  if (!number) return text.trim() ? { fault: "Write 90s, 10m, 2h or 1d." } : {};
  const value = Number(number) * UNITS[/** @type {keyof typeof UNITS} */ (unit)];
  return value < 1 || value > WEEK_MS ? { fault: "From 1ms to 7d." } : { value };
}

/** @param {number} ms */
function durationText(ms) {
  const unit = /** @type {[string, number][]} */ (Object.entries(UNITS)).reverse().find(([, size]) => ms % size === 0) ?? ["ms", 1];
  return `${ms / unit[1]}${unit[0]}`;
}

/** @param {string} text @returns {Found} */
function pairs(text) {
  const found = /** @type {Record<string, string>} */ ({});
  for (const one of linesOf(text)) {
    const at = one.indexOf("=");
    if (at < 1 || at === one.length - 1) return { fault: `Write name=value, one a line; "${one}" is neither.` };
    found[one.slice(0, at)] = one.slice(at + 1);
  }
  return Object.keys(found).length ? { value: found } : {};
}

/** @param {string} text @param {number} most @returns {Found} */
function whole(text, most) {
  if (!text.trim()) return {};
  const value = Number(text);
  return Number.isInteger(value) && value >= 1 && value <= most ? { value } : { fault: `A whole number from 1 to ${most}.` };
}

/** @param {string} text the local time of a field @returns {Found} */
function moment(text) {
  if (!text) return {};
  const value = new Date(text).getTime();
  return Number.isFinite(value) ? { value } : { fault: "That is no time." };
}

/** For a field of local time. @param {number | null | undefined} ms */
function localTime(ms) {
  if (!ms) return "";
  const at = new Date(ms);
  return new Date(ms - at.getTimezoneOffset() * UNITS.m).toISOString().slice(0, 16);
}

export function pushModel() {
  const said = signal({ ...DEFAULTS });
  const settings = settingsModel();
  const touched = signal(/** @type {Record<string, boolean>} */ ({}));
  const refused = signal(/** @type {{ field: string, detail: string }[]} */ ([]));
  const isShowingAll = signal(false);
  const carried = signal(/** @type {Record<string, any>} */ ({}));
  const fallback = signal("");      // what the task is called when nobody says: its plugin

  /** @param {Partial<typeof DEFAULTS>} changes */
  function set(changes) {
    batch(() => {
      said.value = { ...said.peek(), ...changes };
      touched.value = { ...touched.peek(), ...Object.fromEntries(Object.keys(changes).map((name) => [name, true])) };
      refused.value = refused.peek().filter(({ field }) => !(placeOf(field) in changes));
    });
  }

  /** The body, and what is wrong, by the form's names. */
  const now = computed(() => {
    const form = said.value;
    const faults = /** @type {Record<string, string>} */ ({});
    /** @param {keyof typeof DEFAULTS} name @param {Found} found */
    const value = (name, found) => { if (found.fault) faults[name] = found.fault; return found.value; };
    const filled = settings.read();
    const description = form.description.trim() || fallback.value;
    if (!description) faults.description = "Say what is to be done.";
    if (form.to === "agent" && !form.agent.trim()) faults.agent = "Choose an agent, or let anybody do it.";
    const capabilities = linesOf(form.capabilities);
    const labelled = value("needed_labels", form.to === "able" ? pairs(form.needed_labels) : {});
    if (form.to === "able" && !capabilities.length && !labelled && !faults.needed_labels) faults.capabilities = "Say what it takes: a capability, or a label of the agent.";
    if (form.limit && !form.concurrency_key.trim()) faults.concurrency_key = "Of what is this the limit? Give the key a name.";
    if (form.concurrency_key.trim() && !form.limit && !carried.value.rate) faults.limit = "How many of this key at once?";
    const startBy = value("start_by", moment(form.start_by));
    const runAt = value("run_at", moment(form.run_at));
    if (startBy && runAt && startBy <= runAt) faults.start_by = "It would be given up before it may begin.";
    const body = {
      ...carried.value,
      description, plugin: form.plugin || undefined, inputs: form.plugin && Object.keys(filled.value).length ? filled.value : undefined,
      assign_to: form.to === "agent" ? form.agent.trim() || undefined : undefined, needed_capabilities: form.to === "able" && capabilities.length ? capabilities : undefined, needed_labels: labelled,
      priority: form.priority, attempts_max: value("attempts", whole(form.attempts, ATTEMPTS_MAX)), timeout_ms: value("timeout", durationMs(form.timeout)), run_at: runAt, start_by: startBy,
      labels: value("labels", pairs(form.labels)), unique_key: form.unique_key.trim() || undefined, concurrency_key: form.concurrency_key.trim() || undefined, limit: value("limit", whole(form.limit, LIMIT_MAX)),
      depends_on: linesOf(form.depends_on).length ? linesOf(form.depends_on) : undefined, slot: form.slot.trim() || undefined,
    };
    const isBad = Object.keys(faults).length > 0 || (Boolean(form.plugin) && Object.keys(filled.faults).length > 0);
    return { body: /** @type {any} */ (JSON.parse(JSON.stringify(body))), faults, isBad };
  });

  /** What is said beside a field: the hub's word first, then ours once something was typed. @param {keyof typeof DEFAULTS} name */
  function fault(name) {
    const theirs = refused.value.filter(({ field }) => placeOf(field) === name).map(({ detail }) => detail).join(" ");
    return theirs || (isShowingAll.value || touched.value[name] ? now.value.faults[name] ?? "" : "");
  }

  /** The hub's faults that no field of the form is about. */
  const stray = computed(() => refused.value.filter(({ field }) => !(placeOf(field) in DEFAULTS) && !isSetting(field)).map(({ field, detail }) => (field && field !== "body" ? `${field}: ${detail}` : detail)));

  /** From a link, or from a task that is to be done once more. @param {any} from */
  function fill(from) {
    const text = (/** @type {any} */ value) => (typeof value === "string" ? value : "");
    const lines = (/** @type {any} */ value) => Object.entries(value ?? {}).map(([name, one]) => `${name}=${one}`).join("\n");
    said.value = { ...DEFAULTS, to: from.assign_to ? "agent" : from.needed_capabilities?.length || Object.keys(from.needed_labels ?? {}).length ? "able" : "any",
      agent: text(from.assign_to), capabilities: (from.needed_capabilities ?? []).join(", "), needed_labels: lines(from.needed_labels), plugin: text(from.plugin), description: text(from.description),
      priority: PRIORITIES.includes(from.priority) ? from.priority : "normal", attempts: String(from.attempts_max ?? 3), timeout: from.timeout_ms ? durationText(from.timeout_ms) : "", run_at: localTime(from.run_at), start_by: localTime(from.start_by),
      labels: lines(from.labels), concurrency_key: text(from.concurrency_key), limit: from.limit ? String(from.limit) : "", unique_key: text(from.unique_key), depends_on: (from.depends_on ?? []).join("\n"), slot: text(from.slot) };
    carried.value = Object.fromEntries(CARRIED.filter((name) => from[name] !== null && from[name] !== undefined && (typeof from[name] !== "object" || Object.keys(from[name]).length)).map((name) => [name, from[name]]));
  }

  return { said, carried, settings, now, touched, refused, isShowingAll, fallback, stray, set, fill, fault };
}

/** @param {string} field */
const isSetting = (field) => /^inputs(?:[.[]|$)/.test(field);

/** @param {string} field @returns {string} */
function placeOf(field) {
  const name = field.split(/[.[]/)[0];
  return PLACES[name] ?? name;
}

/** The same for a terminal. @param {any} body */
export function commandsOf(body) {
  /** @type {string[][]} */
  const options = [];
  const put = (/** @type {string} */ option, /** @type {any} */ value) => { if (value !== undefined) options.push([option, String(value)]); };
  const each = (/** @type {string} */ option, /** @type {any} */ values) => { for (const [name, value] of Object.entries(values ?? {})) put(option, `${name}=${value}`); };
  for (const one of body.needed_capabilities ?? []) put("--capability", one);
  each("--need-label", body.needed_labels);
  put("--plugin", body.plugin);
  put("--inputs", body.inputs && plainJson(body.inputs));
  put("--priority", body.priority);
  put("--attempts", body.attempts_max);
  put("--timeout", body.timeout_ms && durationText(body.timeout_ms));
  put("--at", body.run_at && iso(body.run_at));
  put("--start-by", body.start_by && iso(body.start_by));
  each("--label", body.labels);
  put("--unique-key", body.unique_key);
  put("--limit", body.limit && `${body.concurrency_key}=${body.limit}`);
  for (const one of body.depends_on ?? []) put("--after", one);
  put("--slot", body.slot);
  each("--prefer-label", body.preferred_labels);
  put("--sticky", body.sticky_key);
  put("--rate", body.rate && `${body.concurrency_key}=${body.rate.count}/${durationText(body.rate.per_ms)}`);
  put("--backoff", body.backoff && `${durationText(body.backoff.first_ms)}..${durationText(body.backoff.max_ms)}${body.backoff.jitter ? `,${body.backoff.jitter}` : ""}`);
  for (const [option, name] of [["--accept-timeout", "accept_timeout_ms"], ["--lease", "lease_ms"], ["--progress-timeout", "progress_timeout_ms"]]) put(option, body[name] && durationText(body[name]));
  const words = body.assign_to ? [body.assign_to, body.description] : [body.description];
  const to = body.assign_to || body.needed_capabilities ? [] : ["--any"];
  return { cli: commandOf(["hub", "push", ...to, ...whereIsIt()], options, words), curl: curlOf("POST", "/api/tasks", body) };
}
