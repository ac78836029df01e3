// @ts-check
// One task: its head and what can be done, its question, why it waits or how it ended, its timeline, its log, its result, and
// the events that moved it. Each part is a module of its own in task/; this one follows the task and puts them together.

import { h } from "../lib/render.js";
import { effect, untracked } from "../lib/signal.js";
import { FINAL, learn } from "../lib/store.js";
import { cut } from "../lib/text.js";
import { Failed, Loading } from "../parts/states.js";
import { follow } from "../parts/tale.js";
import { title } from "../shell.js";
import { Question } from "./task/answer.js";
import { Asked, Facts, Head } from "./task/head.js";
import { keepLines } from "./task/lines.js";
import { Log } from "./task/log.js";
import { Ending, Result, Why } from "./task/outcome.js";
import { attemptsOf, History, past } from "./task/past.js";
import { Waterfall } from "./task/waterfall.js";

const TITLE_MAX = 80;
const WAITS = new Set(["queued", "recovering", "assigned"]);

/** @param {{ id: string }} of */
const Unknown = ({ id }) => h("div", { class: "panel empty task-unknown", role: "alert" },
  h("h1", null, "There is no such task"), h("p", { class: "mono wrap" }, cut(id, 200)),
  h("p", null, "It was never here, or it is over and was forgotten after its time."), h("p", null, h("a", { href: "/tasks" }, "All tasks"), ", or in a terminal: ", h("code", null, "hub tasks list")));

/** @param {{ params: { id: string } }} of */
export default function Task({ params }) {
  const lines = keepLines();
  const tale = follow(params.id, lines.add);
  const history = past(params.id);
  effect(() => {
    const task = tale.task.value;
    if (!task) return;
    title.value = cut(task.description || task.plugin || params.id, TITLE_MAX);
    untracked(() => { learn(task); history.more(); });
  });
  return () => {
    const task = tale.task.value;
    const error = tale.error.value;
    if (!task && error?.status === 404) return h(Unknown, { id: params.id });
    if (!task) return error ? h(Failed, { error, again: tale.reload }) : h(Loading, { what: "Loading the task…" });
    const isOver = FINAL.has(task.state);
    const isAsking = task.question && !task.question.answered && !isOver;
    const events = history.events.value;
    const cancelled = /** @type {any} */ (events.findLast((one) => one.event === "task_cancel"))?.payload;
    const last = attemptsOf(events).at(-1);
    return h("div", { id: "task", class: "task-view" },
      error && h(Failed, { key: "failed", error, again: tale.reload }),
      h(Head, { key: "head", tale }),
      h("div", { key: "columns", class: "task-columns" },
        h("div", { class: "stack" },
          isAsking && h(Question, { key: `question ${task.question.request_id}`, task, reload: tale.reload }),
          WAITS.has(task.state) && h(Why, { key: "why", task }),
          h(Ending, { key: "ending", task, cancel: cancelled }),
          task.result !== null && task.result !== undefined && h(Result, { key: "result", task }),
          h(Waterfall, { key: "fall", tale, of: history }),
          h(Log, { key: "log", lines, taskId: params.id, isOver })),
        h("div", { class: "stack" },
          h(Facts, { key: "facts", tale, began: last?.from ?? null, ended: last?.to ?? null }),
          h(Asked, { key: "asked", task }),
          h(History, { key: "history", of: history }))));
  };
}
