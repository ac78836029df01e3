// @ts-check
// Tasks: filters in the address, a page that is still while it is read, and many tasks cancelled or run again at once.

import { may, withQuery } from "../lib/api.js";
import { tell } from "../lib/dialog.js";
import { plural } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { onKey } from "../lib/keys.js";
import { h } from "../lib/render.js";
import { filter } from "../lib/router.js";
import { computed, effect, signal } from "../lib/signal.js";
import { describe } from "../lib/store.js";
import { many } from "../parts/bulk.js";
import { Empty, Failed, Loading } from "../parts/states.js";
import { Filters, States } from "./tasks/filters.js";
import { taskPage } from "./tasks/page.js";
import { bodyOf, clearAll, wanted } from "./tasks/query.js";
import { Rows } from "./tasks/rows.js";

const CHOSEN_MAX = 500;           // as many as the API takes by their ids; more are meant by a filter

/** Where a page further down was come from, by its own place and filters: for a step back towards the new.
 *  @type {Map<string, string>} */
const before = new Map();
const BEFORE_MAX = 1_000;

const none = /** @type {ReadonlySet<string>} */ (new Set());

/** @typedef {import("./tasks/rows.js").Choose} Choose */

export default function Tasks() {
  const asked = filter("cursor", "", { push: true });
  const cursor = computed(() => asked.value);
  const page = taskPage(wanted, cursor);
  const chosen = signal(none);
  let isActing = false;           // not `disabled`: the focus comes back to the button
  /** @type {Map<string, string>} */
  const names = new Map();

  effect(() => { void wanted.value; chosen.value = none; });      // what is not seen any more is not meant
  effect(() => { for (const task of page.tasks.value) names.set(task.task_id, task.description || task.plugin || task.task_id); });

  /** Is it as was wished? @param {string[]} ids @param {boolean} isChosen */
  function choose(ids, isChosen) {
    const next = new Set(chosen.peek());
    for (const id of ids) if (isChosen) next.add(id); else next.delete(id);
    if (next.size > CHOSEN_MAX) { tell(`No more than ${CHOSEN_MAX} can be selected: filter, and nothing needs to be.`, "bad"); return false; }
    chosen.value = next;
    return true;
  }

  /** @param {"cancel" | "retry"} action */
  async function act(action) {
    if (isActing) return;
    const ids = [...chosen.peek()];
    isActing = true;
    const isDone = await many(action, ids.length ? { task_ids: ids } : bodyOf(JSON.parse(wanted.value)), {
      what: ids.length ? "" : "All that fit the filter, on every page.", name: (id) => names.get(id) ?? describe(id) });
    isActing = false;
    if (isDone) chosen.value = none;
  }

  function older() {
    const next = page.next.peek();
    if (!next) return;
    if (before.size > BEFORE_MAX) before.clear();
    before.set(wanted.value + next, cursor.peek());
    asked.value = next;
    scrollTo(0, 0);
  }

  function newer() {
    if (!cursor.peek()) return;
    asked.value = before.get(wanted.value + cursor.peek()) ?? "";
    scrollTo(0, 0);
  }

  onKey("]", "Older tasks", older);
  onKey("[", "Newer tasks", newer);

  return () => h("div", { id: "tasks", class: "tasks" },
    h("div", { class: "page-head" }, h("h1", null, "Tasks"),
      h("a", { class: "button", href: withQuery("/api/tasks/export", JSON.parse(wanted.value)), download: "tasks.ndjson", title: "All that fit the filter, as JSON lines" }, icon("download"), "Export")),
    h(States, null), h(Filters, null),
    page.error.value && h(Failed, { key: "failed", error: page.error.value, again: page.reload }),
    h(Bar, { key: "bar", page, chosen, choose, act }),
    h(Body, { key: "body", page, chosen, choose }),
    h(Steps, { key: "steps", page, cursor, older, newer }));
}

/** What there is, what is chosen, and what can be done to it. @param {{ page: ReturnType<typeof taskPage>, chosen: { value: ReadonlySet<string> }, choose: Choose, act: (action: "cancel" | "retry") => void }} of */
function Bar({ page, chosen, choose, act }) {
  const tasks = page.tasks.value;
  const picked = chosen.value.size;
  const onPage = tasks.filter((task) => chosen.value.has(task.task_id)).length;
  const fresh = page.newCount();
  const isFiltered = wanted.value !== "{}";
  const whom = picked ? plural(picked, "task") : "all that fit";
  return h("div", { class: "bar tasks-bar" },
    may.act && tasks.length > 0 && h("label", { class: "pick-all" }, h("input", { type: "checkbox", checked: onPage === tasks.length, indeterminate: onPage > 0 && onPage < tasks.length,
      onchange: (/** @type {any} */ event) => { if (!choose(tasks.map((task) => task.task_id), event.target.checked)) event.target.checked = false; } }), h("span", null, picked ? `${plural(picked, "task")} selected` : "Select this page")),
    picked > onPage && h("button", { type: "button", class: "button small", onclick: () => choose([...chosen.value], false) }, `${plural(picked - onPage, "task")} on other pages: select none`),
    !may.act && tasks.length > 0 && h("span", { class: "soft" }, `${plural(tasks.length, "task")}, newest first`),
    fresh > 0 && h("button", { type: "button", class: "button primary small fresh", onclick: page.showNews }, `${plural(fresh, "new task")}`),
    h("span", { class: "space" }),
    may.act && (picked > 0 || isFiltered) && [
      h("button", { key: "cancel", type: "button", class: "button", onclick: () => act("cancel") }, icon("stop"), `Cancel ${whom}…`),
      h("button", { key: "retry", type: "button", class: "button", onclick: () => act("retry") }, icon("retry"), `Run ${whom} again…`)]);
}

/** @param {{ page: ReturnType<typeof taskPage>, chosen: { value: ReadonlySet<string> }, choose: Choose }} of */
function Body({ page, chosen, choose }) {
  if (page.tasks.value.length) return h(Rows, { tasks: page.tasks.value, chosen: chosen.value, choose: may.act ? choose : null, isBusy: page.isLoading.value });
  if (!page.isLoaded.value) return page.error.value ? null : h(Loading, null);
  if (page.next.value) return h("div", { class: "empty" }, h("p", null, "None so far among the newest: there are more to look through."));
  if (wanted.value === "{}") return h(Empty, { title: "No task was pushed yet.", text: "Push one from the Push view, or in a terminal:", command: 'hub push alice "say hello" --watch' });
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, "No task fits these filters."), h("p", null, h("button", { type: "button", class: "button", onclick: clearAll }, "Show all tasks")));
}

/** @param {{ page: ReturnType<typeof taskPage>, cursor: { value: string }, older: () => void, newer: () => void }} of */
function Steps({ page, cursor, older, newer }) {
  const back = before.get(wanted.value + cursor.value);
  if (!cursor.value && !page.next.value) return null;
  return h("nav", { class: "row steps-nav", "aria-label": "Pages" },
    h("button", { type: "button", class: "button", disabled: !cursor.value, onclick: newer }, icon("left"), back ? "Newer" : "Newest"),
    h("button", { type: "button", class: "button", disabled: !page.next.value, onclick: older }, page.tasks.value.length ? "Older" : "Look further", icon("right")));
}
