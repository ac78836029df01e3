// @ts-check
// The story of one task on the Live view: its steps as they happened, its question, its result. Shows what `tale.js` knows.

import { words } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { h } from "../lib/render.js";
import { filter } from "../lib/router.js";
import { effect, onClose, scope, signal, untracked } from "../lib/signal.js";
import { FINAL } from "../lib/store.js";
import { listen } from "../lib/stream.js";
import { cut } from "../lib/text.js";
import { follow } from "./tale.js";

const TASK_ID = /^task-[0-9a-f]{16}$/;
const NEAR_PX = 40;
const SECOND = 1_000;
const TITLE_MAX = 200;

/** @param {import("./tale.js").Step} step */
function markOf(step) {
  const time = step.ms === null ? "" : ` in ${(step.ms / SECOND).toFixed(1)} s`;
  return step.state === "failed" ? `failed${time}` : step.state === "ended" ? `done${time}` : "";
}

/** @param {{ step: import("./tale.js").Step }} of */
function StepRow({ step }) {
  void step.changed.value;
  const mark = markOf(step);
  return h("li", { class: step.kind === "remark" ? "said" : null, "data-kind": step.kind, "data-state": step.state || null, "data-level": step.level || null },
    h("span", { class: "words" }, step.text), mark && h("span", { class: "mark" }, mark),
    step.kids.length > 0 && h("ul", null, step.kids.map((kid) => h(StepRow, { key: kid.id, step: kid }))));
}

/** The steps, and the end of them while nobody scrolls up. @param {{ tale: ReturnType<typeof follow> }} of */
export function Steps({ tale }) {
  let box = /** @type {any} */ (null);
  let isAtEnd = true;
  /** @param {any} node */
  function hold(node) { box = node; }
  return () => {
    void tale.root.changed.value;
    requestAnimationFrame(() => { if (box && isAtEnd) box.scrollTop = box.scrollHeight; });
    return h("ul", { id: "story-steps", class: "steps", tabindex: 0, "aria-label": "What it does, step by step", ref: hold,
      onscroll: () => { isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX; } },
    tale.root.kids.map((kid) => h(StepRow, { key: kid.id, step: kid })));
  };
}

/** Text, a briefing, or JSON. @param {{ task: any }} of */
export function Result({ task }) {
  const found = task.result;
  const isBriefing = typeof found?.summary === "string" && Array.isArray(found.sections);
  const text = typeof found === "string" ? found : typeof found?.output === "string" ? found.output : JSON.stringify(found, null, 2);
  return h("div", { id: "story-result", class: "result" },
    task.error && h("p", { class: "error" }, task.error),
    isBriefing && h("p", { class: "summary" }, found.summary),
    isBriefing && found.sections.map((/** @type {any} */ one, /** @type {number} */ n) => h("div", { key: n }, h("h3", null, String(one?.title ?? "")), h("p", null, String(one?.content ?? "")))),
    !isBriefing && found !== null && found !== undefined && h("pre", null, text));
}

/** @param {{ task: any }} of */
const Question = ({ task }) => h("div", { id: "story-question", class: "question", role: "status" },
  h("p", null, `It asks: ${task.question.prompt}`), h("p", null, "Answer ", h("a", { href: `/tasks/${encodeURIComponent(task.task_id)}` }, "on its page"), " or with ", h("code", null, `hub tasks answer ${task.task_id} "…"`)));

/** @param {any} task */
function aboutOf(task) {
  const again = task.attempt > 0 && !FINAL.has(task.state) ? `attempt ${task.attempt + 1} of ${task.attempts_max}` : "";
  return [words(task.state), task.agent_id, task.plugin, again].filter(Boolean).join(" · ");
}

/** @param {{ tale: ReturnType<typeof follow>, leave: () => void }} of */
function Told({ tale, leave }) {
  const task = tale.task.value;
  const { progress, message, tokens } = tale.live.value;
  const isAsking = task?.question && !task.question.answered && !FINAL.has(task.state);
  return h("section", { id: "story", class: "panel story", "aria-labelledby": "story-title" },
    h("div", { class: "bar" },
      h("h2", { id: "story-title" }, h("a", { href: `/tasks/${encodeURIComponent(tale.taskId)}` }, cut(task?.description || tale.taskId, TITLE_MAX))),
      h("button", { type: "button", id: "story-close", class: "bare", "aria-label": "Close", title: "Close", onclick: leave }, icon("close"))),
    h("p", null, h("span", { id: "story-about", class: "about", "data-state": task?.state }, task ? aboutOf(task) : ""), tokens && h("span", { id: "story-tokens", class: "about" }, tokens)),
    h("progress", { id: "story-progress", max: 100, value: progress, "aria-label": "Progress" }),
    message && h("p", { id: "story-message", class: "about" }, message),
    tale.error.value && h("p", { class: "error", role: "alert" }, tale.error.value.advice ?? String(tale.error.value)),
    isAsking && h(Question, { key: "question", task }),
    h(Steps, { key: "steps", tale }),
    task && FINAL.has(task.state) && h(Result, { key: "result", task }));
}

/** `?task=` chooses one. Until somebody has chosen or closed one, it shows a task that says what it does, then the next. */
export function Story() {
  const chosen = filter("task", "", { push: true });
  const shown = signal(/** @type {ReturnType<typeof follow> | null} */ (null));
  let end = () => {};
  let isClosed = false;

  /** @param {string | null} taskId */
  function show(taskId) {
    if (shown.peek()?.taskId === taskId) return;
    end();
    end = () => {};
    if (!taskId) { shown.value = null; return; }
    const opened = untracked(() => scope(() => follow(taskId)));
    end = opened.close;
    shown.value = opened.result;
  }

  function leave() {
    isClosed = true;
    if (chosen.peek()) chosen.value = "";
    show(null);
  }

  effect(() => {
    if (TASK_ID.test(chosen.value)) show(chosen.value);
    else if (isClosed) show(null);
  });
  onClose(listen((lines) => {
    for (const line of lines) {
      const now = shown.peek();
      const isFree = !now ? !isClosed : !chosen.peek() && now.isOver;
      if (isFree && line.event === "task_log" && line.payload?.data?.id !== undefined) show(line.task_id);
    }
  }));
  onClose(() => end());
  return () => (shown.value ? h(Told, { key: shown.value.taskId, tale: shown.value, leave }) : null);
}
