// @ts-check
// The head of a task: what it is about, its state, how far it is, what can be done with it, and its facts.

import { at, may, post } from "../../lib/api.js";
import { attempt, confirm, copy, tell } from "../../lib/dialog.js";
import { duration, everySecond, moment, percent, plural, tokens, words } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { go } from "../../lib/router.js";
import { FINAL } from "../../lib/store.js";
import { cut } from "../../lib/text.js";
import { curlOf } from "../../parts/commands.js";
import { Json } from "../../parts/json.js";
import { Age, AgentLink, State, TaskLink } from "../../parts/states.js";
import { Menu } from "./menu.js";
import { Long } from "./outcome.js";

/** @typedef {ReturnType<typeof import("../../parts/tale.js").follow>} Tale */

const TITLE_MAX = 220;
const VALUE_MAX = 300;
const LIST_MAX = 20;

/** The members of a push that would make the same task again. @param {any} task */
export function pushOf(task) {
  const kept = ["description", "plugin", "inputs", "metadata", "priority", "labels", "assign_to", "needed_capabilities", "needed_labels", "preferred_labels", "slot", "sticky_key", "concurrency_key", "limit", "rate",
    "attempts_max", "backoff", "timeout_ms", "accept_timeout_ms", "lease_ms", "progress_timeout_ms"];
  const isSaid = (/** @type {any} */ value) => value !== null && value !== undefined && value !== "" && !(typeof value === "object" && !Object.keys(value).length);
  return Object.fromEntries(kept.filter((name) => isSaid(task[name])).map((name) => [name, task[name]]));
}

/** @param {any} task @param {() => void} reload */
async function cancel(task, reload) {
  const isHeld = !["queued"].includes(task.state);
  const said = await confirm({ title: "Cancel this task?", isDangerous: true, yes: "Cancel it", body: h("div", { class: "stack" }, h("p", null, cut(task.description || task.task_id, TITLE_MAX)),
    h("p", { class: "soft" }, isHeld ? "Its run is told to stop, and killed if it does not. What it has made so far is not kept as a result." : "It has not begun; it leaves the queue.")) });
  if (!said) return;
  await attempt(() => post(at("/api/tasks/{task_id}/cancel", task.task_id), {}), (answer) => (answer.status === "cancelled" ? "Cancelled" : "It was told to stop"));
  reload();
}

/** @param {any} task */
async function again(task) {
  await attempt(async () => {
    const answer = await post(at("/api/tasks/{task_id}/retry", task.task_id));
    tell("Runs again, as a new task", "good", { address: `/tasks/${encodeURIComponent(task.task_id)}`, text: "The first one" });
    go(`/tasks/${encodeURIComponent(answer.task_id ?? "")}`);
  });
}

/** @param {{ task: any, reload: () => void }} of */
function Actions({ task, reload }) {
  const isOver = FINAL.has(task.state);
  const items = [{ text: "Its id", act: () => { copy(task.task_id); } }, { text: "Its address", act: () => { copy(String(location)); } }, { text: "curl that pushes the same again", act: () => { copy(curlOf("POST", "/api/tasks", pushOf(task))); } },
    { text: "Command that watches it", act: () => { copy(`hub watch ${task.task_id}`); } }];
  return h("div", { class: "row task-actions" },
    may.act && !isOver && h("button", { key: "cancel", type: "button", class: "button danger", disabled: task.state === "cancelling", onclick: () => cancel(task, reload) }, icon("stop", 16), task.state === "cancelling" ? "Cancelling…" : "Cancel"),
    may.act && isOver && h("button", { key: "retry", type: "button", class: task.state === "completed" ? "button" : "button primary", onclick: () => again(task) }, icon("retry", 16), "Run again"),
    may.act && h("a", { key: "clone", class: "button", href: `/push?clone=${encodeURIComponent(task.task_id)}` }, icon("plus", 16), "Clone"),
    h(Menu, { key: "copy", id: "task-copy", label: "Copy", iconName: "copy", items }));
}

/** @param {{ tale: Tale }} of */
function Progress({ tale }) {
  const task = tale.task.value;
  const { progress, message } = tale.live.value;
  const isOver = FINAL.has(task.state);
  const isOn = ["running", "input_required", "cancelling", "recovering", "assigned"].includes(task.state);
  const said = isOver && task.state === "completed" ? "" : message;
  if (isOver ? progress === null : !isOn) return null;
  return h("div", { class: "task-progress", "data-state": task.state },
    h("progress", { id: "progress", max: 100, value: progress ?? 0, "aria-label": "Progress", "aria-valuetext": progress === null ? "not said" : percent(progress) }),
    h("p", null, h("span", { id: "progress-said", class: "number" }, progress === null ? (said ? "" : "It has not said how far it is.") : percent(progress)), said && h("span", { id: "progress-message", class: "task-message" }, said)));
}

/** The one that is on, or was the last. @param {any} task */
function attemptOf(task) {
  const isSpent = FINAL.has(task.state) && task.state !== "completed";
  return `attempt ${Math.min(task.attempts_max, isSpent ? Math.max(1, task.attempt) : task.attempt + 1)} of ${task.attempts_max}`;
}

/** @param {{ tale: Tale }} of */
export function Head({ tale }) {
  const task = tale.task.value;
  const about = task.description || task.plugin || task.task_id;
  return h("header", { class: "panel task-head", "data-state": task.state },
    h("div", { class: "task-top" },
      h("div", { class: "task-about" }, h("h1", { id: "task-title" }, cut(about, TITLE_MAX)),
        h("p", { class: "task-line" }, h("span", { id: "task-state" }, h(State, { state: task.state })), task.agent_id && h(AgentLink, { id: task.agent_id }), task.plugin && h("span", { class: "badge" }, cut(task.plugin, 80)),
          task.attempts_max > 1 && h("span", { class: "soft" }, attemptOf(task)), h("span", { class: "soft" }, h(Age, { at: task.created_at })),
          task.retry_of && h("span", { class: "soft" }, "again, after ", h(TaskLink, { id: task.retry_of, text: "an earlier one" })))),
      h(Actions, { task, reload: tale.reload })),
    h(Progress, { tale }));
}

/** @param {string} name @param {any} value */
const fact = (name, value) => (value === null || value === undefined || value === "" || value === false ? null : h("div", { key: name }, h("dt", null, name), h("dd", null, value)));

/** @param {Record<string, any>} of */
const pairs = (of) => { const all = Object.entries(of ?? {}); return all.length ? h("span", { class: "task-labels" }, all.slice(0, LIST_MAX).map(([key, value]) => h("span", { key, class: "badge", title: `${key}=${value}` }, cut(`${key}=${value}`, 60))), all.length > LIST_MAX && `and ${all.length - LIST_MAX} more`) : null; };

/** @param {string[]} ids */
const links = (ids) => (ids?.length ? h("span", null, ids.slice(0, LIST_MAX).map((id, n) => h("span", { key: id }, n > 0 && ", ", h(TaskLink, { id }))), ids.length > LIST_MAX && ` and ${ids.length - LIST_MAX} more`) : null);

/** @param {any} task */
const limitOf = (task) => [task.limit && `${plural(task.limit, "task")} at a time`, task.rate && `${task.rate.count} in ${duration(task.rate.per_ms)}`].filter(Boolean).join(", ");

/** @param {{ tale: Tale, began: number | null, ended: number | null }} of */
export function Facts({ tale, began, ended }) {
  const task = tale.task.value;
  const usage = task.usage;
  const live = tale.live.value.tokens;
  const took = began === null ? null : duration((ended ?? everySecond()) - began);
  return h("section", { class: "panel", "aria-labelledby": "facts-title" }, h("h2", { id: "facts-title", class: "task-gap" }, "Facts"), h("dl", { id: "facts", class: "task-facts" },
    fact("Id", h("span", { class: "mono wrap" }, task.task_id)),
    fact("Agent", task.agent_id ? h(AgentLink, { id: task.agent_id }) : task.assign_to ? h(AgentLink, { id: task.assign_to }) : "anybody"),
    fact("Plugin", task.plugin && cut(task.plugin, VALUE_MAX)), fact("Priority", task.priority),
    fact("Attempts", `${task.attempts_max} at most${task.attempt ? `, ${task.attempt} failed` : ""}`), fact("Strikes", task.strikes > 0 && plural(task.strikes, "lost run")),
    fact("Pushed", h("span", null, h(Age, { at: task.created_at }), h("span", { class: "soft" }, ` by ${cut(task.submitted_by || "nobody", 80)}`))), fact("Ran for", took && h("span", { class: "number" }, took)),
    fact("Tokens", live && h("span", { id: "task-tokens", class: "number" }, usage && !live ? `${tokens(usage.tokens_in)} in, ${tokens(usage.tokens_out)} out` : live)), fact("Model", usage?.model && cut(usage.model, VALUE_MAX)),
    fact("Cost", typeof usage?.cost === "number" ? h("span", { class: "number" }, usage.cost.toPrecision(3)) : null),
    fact("Labels", pairs(task.labels)), fact("Needs", [...task.needed_capabilities, task.slot && `a ${task.slot} slot`].filter(Boolean).map((/** @type {string} */ one) => cut(one, 80)).join(", ")), fact("Needs labels", pairs(task.needed_labels)), fact("Rather with", pairs(task.preferred_labels)),
    fact("Depends on", links(task.depends_on)), fact("Unique key", task.unique_key && cut(task.unique_key, VALUE_MAX)), fact("Concurrency key", task.concurrency_key && `${cut(task.concurrency_key, VALUE_MAX)}${limitOf(task) ? ` (${limitOf(task)})` : ""}`), fact("Same agent as", task.sticky_key && cut(task.sticky_key, VALUE_MAX)),
    fact("Not before", task.run_at && moment(task.run_at)), fact("Begin by", task.start_by && moment(task.start_by)), fact("May take", task.timeout_ms && duration(task.timeout_ms)), fact("Silent for at most", task.progress_timeout_ms && duration(task.progress_timeout_ms)),
    fact("Kept for the next attempt", !FINAL.has(task.state) && [task.steps_kept && plural(task.steps_kept, "step"), task.answers_kept && plural(task.answers_kept, "answer")].filter(Boolean).join(", ")), fact("Retry of", task.retry_of && h(TaskLink, { id: task.retry_of, text: task.retry_of })), fact("Ending", task.ending && task.ending.how !== task.state && words(task.ending.how))));
}

/** @param {any} value */
const isSaid = (value) => value !== null && value !== undefined && !(typeof value === "object" && !Object.keys(value).length);

/** What was asked, whole: its text where the head has only the beginning, its inputs and its metadata. @param {{ task: any }} of */
export function Asked({ task }) {
  const isLong = task.description.length > TITLE_MAX || task.description.includes("\n");
  if (!isLong && !isSaid(task.inputs) && !isSaid(task.metadata)) return null;
  return h("section", { class: "panel task-asked", "aria-labelledby": "asked-title" }, h("h2", { id: "asked-title", class: "task-gap" }, "What was asked"),
    isLong && h(Long, { key: "text", text: task.description, label: "The whole text" }),
    isSaid(task.inputs) && h("div", { key: "inputs", class: "task-json" }, h("h3", null, "Inputs"), h(Json, { value: task.inputs, label: "Inputs" })),
    isSaid(task.metadata) && h("div", { key: "metadata", class: "task-json" }, h("h3", null, "Metadata"), h(Json, { value: task.metadata, open: 1, label: "Metadata" })));
}

