// @ts-check
// The lines of the table of tasks, which are cards on a phone: what a task is about, and how it stands now.

/** @import { TaskView } from "../../types.d.ts" */
import { count, everyTenSeconds, moment, percent, plural, words } from "../../lib/format.js";
import { h } from "../../lib/render.js";
import { FINAL } from "../../lib/store.js";
import { cut } from "../../lib/text.js";
import { Age, AgentLink, State, TaskLink } from "../../parts/states.js";

const ABOUT_MAX = 240;
const LABELS_SHOWN = 2;

/** False when it cannot be. @typedef {(ids: string[], isChosen: boolean) => boolean} Choose */

/** Why it is where it is, in one line. @param {TaskView} task @param {number} now */
function aboutOf(task, now) {
  switch (task.state) {
    case "queued":
      if (task.waits_for.length) return `waits for ${plural(task.waits_for.length, "task")} before it`;
      if (task.run_at && task.run_at > now) return `begins ${moment(task.run_at)}`;
      if (task.attempt > 0 && task.error) return `tried ${plural(task.attempt, "time")}: ${task.error}`;
      return task.assign_to ? `waits for ${task.assign_to}` : "waits for an agent";
    case "assigned": return "offered to its agent";
    case "running": case "input_required": case "recovering": case "cancelling":
      return task.question?.prompt ?? task.message ?? { running: "at work", recovering: "its agent is out of reach", cancelling: "told to stop", input_required: "asks a person" }[task.state];
    case "completed": return task.message ?? "done";
    case "cancelled": return task.ending?.stopped ? `its run was stopped: ${words(task.ending.stopped)}` : task.attempt ? "no run of it was left" : "before it began";
    default: return task.error ?? (task.ending ? words(task.ending.how) : "");
  }
}

/** @param {{ task: TaskView }} of */
function Stand({ task }) {
  const isOpen = !FINAL.has(task.state) && task.state !== "queued";
  const said = aboutOf(task, task.run_at ? everyTenSeconds() : 0);
  const isBad = task.state === "failed" || task.state === "dead_letter";
  return h("span", { class: "stand" },
    isOpen && task.progress !== null && h("progress", { max: 100, value: task.progress, "aria-label": `Progress of ${cut(task.description, LABELS_SHOWN * 20)}` }),
    isOpen && task.progress !== null && h("span", { class: "number" }, percent(task.progress)),
    h("span", { class: isBad ? "about cut bad" : "about cut", title: said }, cut(said, ABOUT_MAX)),
    h(Labels, { labels: task.labels }));
}

/** @param {{ labels: Record<string, string> }} of */
function Labels({ labels }) {
  const all = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  if (!all.length) return null;
  return h("span", { class: "labels", title: all.join("\n") }, all.slice(0, LABELS_SHOWN).map((text) => h("span", { key: text, class: "badge cut" }, text)),
    all.length > LABELS_SHOWN && h("span", { class: "badge rest" }, `+${all.length - LABELS_SHOWN}`));
}

/** @param {{ task: TaskView, isChosen: boolean, choose: Choose | null }} of */
function Row({ task, isChosen, choose }) {
  const name = task.description || task.plugin || task.task_id;
  return h("tr", { class: isChosen ? "task-row chosen" : "task-row", "data-state": task.state, "data-task": task.task_id },
    choose && h("td", { class: "pick" }, h("label", null, h("input", { type: "checkbox", checked: isChosen, "aria-label": `Select ${cut(name, 60)}`,
      onchange: (/** @type {any} */ event) => { if (!choose([task.task_id], event.target.checked)) event.target.checked = false; } }))),
    h("td", { class: "of-state" }, h(State, { state: task.state })),
    h("td", { class: "of-task" }, h("div", { class: "task-name" }, h(TaskLink, { id: task.task_id, text: name })), h(Stand, { task })),
    h("td", { class: "of-agent cut" }, task.agent_id ? h(AgentLink, { id: task.agent_id }) : h("span", { class: "soft" }, "anybody")),
    h("td", { class: "of-plugin cut", title: task.plugin }, task.plugin ?? h("span", { class: "soft" }, "–")),
    h("td", { class: "of-priority", "data-priority": task.priority }, task.priority),
    h("td", { class: "of-tries number", title: `${task.attempt} of ${plural(task.attempts_max, "attempt")} used up${task.strikes ? `, ${plural(task.strikes, "strike")}` : ""}` }, task.attempt ? `${count(task.attempt)}/${count(task.attempts_max)}` : "–"),
    h("td", { class: "of-age number" }, h(Age, { at: task.created_at })));
}

/** @param {{ tasks: TaskView[], chosen: ReadonlySet<string>, choose: Choose | null, isBusy: boolean }} of */
export const Rows = ({ tasks, chosen, choose, isBusy }) => h("div", { class: "table-box" },
  h("table", { class: choose ? "tasks-table with-pick" : "tasks-table", "aria-label": "Tasks, newest first", "aria-busy": String(isBusy) },
    h("thead", null, h("tr", null, choose && h("th", { class: "pick" }, h("span", { class: "quiet" }, "Select")),
      h("th", { class: "of-state" }, "State"), h("th", { class: "of-task" }, "Task"), h("th", { class: "of-agent" }, "Agent"), h("th", { class: "of-plugin" }, "Plugin"),
      h("th", { class: "of-priority" }, "Priority"), h("th", { class: "of-tries number", title: "Attempts that are used up" }, "Tries"), h("th", { class: "of-age number" }, "Pushed"))),
    h("tbody", null, tasks.map((task) => h(Row, { key: task.task_id, task, isChosen: chosen.has(task.task_id), choose })))));
