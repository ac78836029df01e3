// @ts-check
// The dead letters of one kind: each with its error, what runs it again, and a way to run it again.

/** @import { TaskView } from "../../types.d.ts" */
import { at, get, may, post, question } from "../../lib/api.js";
import { attempt, tell } from "../../lib/dialog.js";
import { plural } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { effect, signal } from "../../lib/signal.js";
import { Age, AgentLink, Failed, Loading, TaskLink } from "../../parts/states.js";

const LETTERS = 20;
const ROUNDS_MAX = 20;            // a page of the API looks at so many tasks, and may find none among them
const LETTERS_MAX = 200;          // of one kind on the page; all of them are on Tasks, by the same filter

/** @typedef {{ letters: TaskView[], again: Map<string, string>, hasMore: boolean }} Found */

/** @param {string} fingerprint @param {number} most @param {AbortSignal} stop @returns {Promise<Found>} */
async function load(fingerprint, most, stop) {
  /** @type {TaskView[]} */
  const letters = [];
  /** @type {string | null} */
  let next = "";
  for (let round = 0; round < ROUNDS_MAX && next !== null && letters.length < most; round += 1) {
    /** @type {{ tasks: TaskView[], next: string | null }} */
    const page = await get("/api/tasks/dead-letter", { fingerprint, cursor: next, limit: most - letters.length, brief: true }, stop);
    letters.push(...page.tasks);
    next = page.next;
  }
  const ids = letters.map((task) => task.task_id);
  const retries = ids.length ? (await get("/api/tasks", { retry_of: ids.join(","), limit: 500, brief: true }, stop)).tasks : [];
  return { letters, again: new Map(retries.reverse().map((task) => [String(task.retry_of), task.task_id])), hasMore: next !== null };
}

/** @typedef {{ task: TaskView, again: string | undefined, reload: () => void }} LetterProps */

/** @param {LetterProps} first */
function Letter({ task: { task_id } }) {
  let isActing = false;
  return (/** @type {LetterProps} */ now) => {
    async function run() {
      if (isActing) return;
      isActing = true;
      await attempt(async () => {
        const told = await post(at("/api/tasks/{task_id}/retry", task_id));
        tell("It runs again as a new task.", "good", { address: `/tasks/${encodeURIComponent(String(told.task_id))}`, text: "Open it" });
      });
      isActing = false;
      now.reload();
    }
    return h("li", { class: "letter", "data-task": task_id },
      h("div", { class: "letter-words" },
        h("div", { class: "cut" }, h(TaskLink, { id: task_id, text: now.task.description })),
        h("p", { class: "letter-error", title: now.task.error }, now.task.error ?? "")),
      h("span", { class: "letter-about soft" }, now.task.agent_id && h(AgentLink, { id: now.task.agent_id }), h("span", null, plural(now.task.attempt, "attempt")), h(Age, { at: now.task.updated_at })),
      now.again ? h("a", { class: "button small", href: `/tasks/${encodeURIComponent(now.again)}` }, icon("check", 14), "Was run again")
        : may.act ? h("button", { type: "button", class: "button small", onclick: run }, icon("retry", 14), "Run again") : h("span", { class: "soft small" }, "not run again"));
  };
}

/** @param {{ fingerprint: string, changes: { value: number } }} first */
export function Letters({ fingerprint, changes }) {
  const most = signal(LETTERS);
  const asking = question((stop) => load(fingerprint, most.peek(), stop));
  effect(() => { void changes.value; void most.value; asking.reload(); });
  return () => {
    const found = asking.value.value;
    if (!found) return asking.error.value ? h(Failed, { error: asking.error.value, again: asking.reload }) : h(Loading, null);
    return h("div", { class: "letters" },
      h("ul", null, found.letters.map((task) => h(Letter, { key: task.task_id, task, again: found.again.get(task.task_id), reload: asking.reload }))),
      h("div", { class: "row" },
        found.hasMore && most.value < LETTERS_MAX && h("button", { type: "button", class: "button small", onclick: () => { most.value = Math.min(LETTERS_MAX, most.peek() + LETTERS * 2); } }, "Show more"),
        h("a", { class: "small", href: `/tasks?state=dead_letter&fingerprint=${encodeURIComponent(fingerprint)}` }, "All of them on Tasks")));
  };
}
