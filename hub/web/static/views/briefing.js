// @ts-check
// One run of a plugin: its briefing as people read it, or what else came of it; with what it was asked.

import { at, get, may, post, question } from "../lib/api.js";
import { attempt } from "../lib/dialog.js";
import { duration, everySecond, words } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { h } from "../lib/render.js";
import { go } from "../lib/router.js";
import { effect } from "../lib/signal.js";
import { taskOf, tasksChanged } from "../lib/store.js";
import { cut } from "../lib/text.js";
import { Json } from "../parts/json.js";
import { Age, Failed, Loading, State } from "../parts/states.js";
import { title } from "../shell.js";
import { whenTasksMove } from "./briefings/lists.js";

const NAME_MAX = 120;
const TITLE_MAX = 300;
const OUTPUT_MAX = 100_000;
const SECTIONS_MAX = 200;

/** A briefing is an object with a summary and sections; whatever else it is, it is shown as it is. @param {string | null} output */
function readOutput(output) {
  if (output === null) return { briefing: null, value: undefined };
  try {
    const value = JSON.parse(output);
    const isBriefing = value !== null && typeof value === "object" && typeof value.summary === "string" && Array.isArray(value.sections);
    return { briefing: isBriefing ? value : null, value: typeof value === "object" ? value : undefined };
  } catch { return { briefing: null, value: undefined }; }
}

/** @param {{ briefing: any }} of */
const Briefing = ({ briefing }) => h("article", { class: "panel run-briefing", "aria-label": "Briefing" },
  h("p", { class: "run-lead" }, cut(briefing.summary, OUTPUT_MAX)),
  briefing.sections.slice(0, SECTIONS_MAX).map((/** @type {any} */ one, /** @type {number} */ n) => h("section", { key: n }, h("h2", null, cut(one?.title, TITLE_MAX)), h("p", { class: "run-text" }, cut(one?.content, OUTPUT_MAX)))),
  briefing.sections.length > SECTIONS_MAX && h("p", { class: "soft" }, `${briefing.sections.length - SECTIONS_MAX} more sections are in its task.`));

/** @param {{ run: import("../types.d.ts").RunView }} of */
function Outcome({ run }) {
  const { briefing, value } = readOutput(run.output);
  if (run.status === "failed") return h("div", { class: "panel stack" }, h("h2", null, "It failed"), h("p", { class: "error" }, run.error_message ?? "Nobody said why."));
  if (briefing) return h(Briefing, { briefing });
  if (run.output !== null) return h("div", { class: "panel stack" }, h("h2", null, "Result"), value === undefined ? h("pre", null, cut(run.output, OUTPUT_MAX)) : h(Json, { value, label: "Result" }));
  const live = taskOf(run.task_id);
  const progress = live?.progress ?? run.progress;
  return h("div", { class: "panel stack" }, h("h2", null, run.status === "pending" ? "It waits for an agent" : "At work"),
    typeof progress === "number" && h("progress", { key: "bar", max: 100, value: progress, "aria-label": "Progress" }),
    h("p", { class: "soft" }, cut(live?.message || run.message || (run.status === "pending" ? "Its task says why." : "Its task shows each step."), TITLE_MAX)));
}

/** @param {{ run: import("../types.d.ts").RunView }} of */
function Facts({ run }) {
  const end = run.completed_at ?? (run.started_at ? everySecond() : null);
  /** @type {[string, any][]} */
  const rows = [["For user", String(run.user_id)], ["Begun by", run.origin], ["Asked for", h(Age, { at: run.created_at })],
    ...(run.started_at && end ? /** @type {[string, any][]} */ ([["Took", duration(end - run.started_at)]]) : []), ...(run.attempts > 1 ? /** @type {[string, any][]} */ ([["Attempts", String(run.attempts)]]) : []),
    ...(String(run.plugin_id) !== run.plugin_name ? /** @type {[string, any][]} */ ([["Called", cut(String(run.plugin_id), NAME_MAX)]]) : []), ["Run", h("code", null, run.plugin_run_id)]];
  return h("section", { class: "panel stack", "aria-labelledby": "run-facts" }, h("h2", { id: "run-facts" }, "This run"),
    h("dl", { class: "run-facts" }, rows.map(([name, value]) => h("div", { key: name }, h("dt", null, name), h("dd", null, value)))),
    run.input && typeof run.input === "object" && Object.keys(run.input).length > 0 && h("div", { key: "input", class: "stack" }, h("h3", null, "Settings"), h(Json, { value: run.input, label: "Settings" })));
}

/** @param {{ params: Record<string, string> }} of */
export default function View({ params }) {
  const asked = question((stop) => get(at("/api/runs/{plugin_run_id}", params.id), {}, stop));
  asked.reload();
  const isOver = () => ["completed", "failed"].includes(asked.value.peek()?.status ?? "");
  whenTasksMove(() => { if (!isOver()) asked.reload(); });
  effect(() => { const run = asked.value.value; if (run) title.value = `${run.plugin_name}: ${words(run.status)}`; });

  /** @param {import("../types.d.ts").RunView} run */
  const again = (run) => attempt(async () => {
    const started = await post(at("/api/plugins/{name}/runs", run.plugin_name), { user_id: run.user_id, settings: run.input ?? {}, plugin_id: run.plugin_id });
    if (started.plugin_run_id === params.id) return "That is this run: the same within half an hour is one run.";
    go(`/briefings/${encodeURIComponent(started.plugin_run_id)}`);
    return "Started";
  }, (/** @type {string} */ said) => said);

  return () => {
    const run = asked.value.value;
    void tasksChanged.value;
    if (!run) return asked.error.value ? h(Failed, { error: asked.error.value, again: asked.reload }) : h(Loading, {});
    return h("div", { class: "runs" },
      h("p", { class: "runs-back" }, h("a", { href: "/briefings?show=runs" }, icon("left", 14), "All runs")),
      h("div", { class: "page-head" }, h("h1", null, cut(run.plugin_name, NAME_MAX)), h(State, { state: run.status }),
        h("a", { class: "button", href: `/tasks/${encodeURIComponent(run.task_id)}` }, icon("tasks"), "Its task"),
        may.act && h("button", { type: "button", class: "button", onclick: () => again(run) }, icon("retry"), "Run again")),
      h("div", { class: "run-columns" }, h(Outcome, { run }), h(Facts, { run })));
  };
}
