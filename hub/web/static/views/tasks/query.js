// @ts-check
// What is filtered, as the address has it: the names are those of the API. Owns which of them have a field of their own.

/** @import { FilterBody } from "../../types.d.ts" */
import { setFilters, place } from "../../lib/router.js";
import { computed } from "../../lib/signal.js";

/** With a field. */
export const FIELDS = /** @type {const} */ (["state", "q", "agent_id", "plugin", "priority", "label", "submitted_by"]);
/** Only by a link that has them; shown, and taken away with a click. @type {Record<string, string>} */
export const BY_LINK = { fingerprint: "kind of failure", unique_key: "unique key", concurrency_key: "concurrency key", after: "pushed after", before: "pushed before",
  task_ids: "tasks", retry_of: "run again from" };
const ALL = [...FIELDS, ...Object.keys(BY_LINK)];

/** What the address says, as text; only what is said. @returns {Record<string, string>} */
export function said() {
  const query = new URLSearchParams(place.value.query);
  /** @type {Record<string, string>} */
  const found = {};
  for (const name of ALL) { const value = query.get(name)?.trim(); if (value) found[name] = value; }
  return found;
}

/** A label that is no `name=value` yet is not asked for. @param {Record<string, string>} filters */
export const isLabelWrong = (filters) => Boolean(filters.label) && !/^[^=]+=/.test(filters.label);

/** For lists and exports, as one text: the same filters are the same text. */
export const wanted = computed(() => {
  const filters = said();
  if (isLabelWrong(filters)) delete filters.label;
  return JSON.stringify(filters);
});

/** The same for bulk. @param {Record<string, string>} filters @returns {FilterBody} */
export function bodyOf(filters) {
  /** @type {Record<string, any>} */
  const body = { ...filters };
  for (const name of ["after", "before"]) if (body[name]) body[name] = Number(body[name]);
  for (const name of ["task_ids", "retry_of"]) if (body[name]) body[name] = body[name].split(",");
  return body;
}

/** One filter is another one; a page further down is of the old ones. @param {Record<string, string>} changes @param {boolean} [push] */
export const narrow = (changes, push = true) => setFilters({ ...changes, cursor: "" }, { push });

export const clearAll = () => narrow(Object.fromEntries(ALL.map((name) => [name, ""])));
