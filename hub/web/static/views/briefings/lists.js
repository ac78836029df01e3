// @ts-check
// The three lists of `/briefings`: what was brought home, every run, and what runs by the clock. Each is a page of the API, and
// its first page follows what happens.

import { at, get, may, post, question, remove } from "../../lib/api.js";
import { attempt, confirm } from "../../lib/dialog.js";
import { duration, hubNow, moment, plural } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { filter, place, setFilters } from "../../lib/router.js";
import { effect, onClose } from "../../lib/signal.js";
import { taskOf, tasksChanged } from "../../lib/store.js";
import { cut } from "../../lib/text.js";
import { Age, Empty, Failed, Loading, State } from "../../parts/states.js";

const ROWS = 50;
const AGAIN_MS = 1_500;           // between two looks at a list while tasks move
const SUMMARY_MAX = 400;
const ERROR_MAX = 300;
const NAME_MAX = 80;

/** Call `act` when a task has moved, now and then. @param {() => void} act */
export function whenTasksMove(act) {
  let timer = /** @type {any} */ (0);
  let isFirst = true;
  effect(() => {
    void tasksChanged.value;
    if (isFirst || timer) { isFirst = false; return; }
    timer = setTimeout(() => { timer = 0; if (!document.hidden) act(); }, AGAIN_MS);
  });
  onClose(() => clearTimeout(timer));
}

const addressed = () => {
  const query = new URLSearchParams(place.value.query);
  const user = query.get("user") ?? "";
  return { plugin: query.get("plugin") ?? "", user_id: /^\d+$/.test(user) ? user : undefined, cursor: query.get("cursor") ?? "", limit: ROWS };
};

/** A list that is asked for again with the address, and on its first page when tasks move. @template T @param {(stop: AbortSignal) => Promise<T>} load */
function list(load) {
  const asked = question(load);
  effect(() => { void place.value; asked.reload(); });
  whenTasksMove(() => { if (!place.peek().query.includes("cursor=")) asked.reload(); });
  return asked;
}

/** @param {string} next */
function older(next) {
  const query = new URLSearchParams(place.value.query);
  query.set("cursor", next);
  return `?${query}`;
}

/** @param {{ next: string | null }} of */
function Paging({ next }) {
  const isLater = new URLSearchParams(place.value.query).has("cursor");
  return next || isLater ? h("nav", { class: "row end runs-paging", "aria-label": "Pages" },
    isLater && h("button", { key: "newest", type: "button", class: "button", onclick: () => setFilters({ cursor: "" }, { push: true }) }, "Newest"),
    next && h("a", { key: "older", class: "button", href: older(next) }, "Older", icon("right", 15))) : null;
}

/** @param {{ statuses?: string[] }} of */
export function Filters({ statuses }) {
  const plugin = filter("plugin");
  const user = filter("user");
  const status = filter("status", "", { push: true });
  const apply = (/** @type {string} */ name) => (/** @type {any} */ event) => setFilters({ [name]: event.target.value.trim(), cursor: "" });
  const isWrong = user.value !== "" && !/^\d+$/.test(user.value);
  return h("search", { class: "row runs-filters" },
    statuses && h("div", { key: "status", class: "runs-filter" }, h("label", { class: "quiet", for: "runs-status" }, "Status"),
      h("select", { id: "runs-status", value: status.value, onchange: (/** @type {any} */ event) => setFilters({ status: event.target.value, cursor: "" }, { push: true }) }, h("option", { key: "", value: "" }, "any status"), statuses.map((one) => h("option", { key: one, value: one }, one)))),
    h("div", { key: "plugin", class: "runs-filter" }, h("label", { class: "quiet", for: "runs-plugin" }, "Plugin"), h("input", { id: "runs-plugin", type: "search", "data-search": "", placeholder: "Plugin", value: plugin.value, autocomplete: "off", spellcheck: "false", onchange: apply("plugin") })),
    h("div", { key: "user", class: "runs-filter" }, h("label", { class: "quiet", for: "runs-user" }, "User"), h("input", { id: "runs-user", type: "search", inputmode: "numeric", placeholder: "User", value: user.value, autocomplete: "off", "aria-invalid": isWrong ? "true" : null, onchange: apply("user") })),
    isWrong && h("p", { key: "wrong", class: "field-error" }, "A user is a number."),
    (plugin.value || user.value || (statuses && status.value)) && h("button", { key: "clear", type: "button", class: "button", onclick: () => setFilters({ plugin: "", user: "", status: "", cursor: "" }, { push: true }) }, icon("close", 14), "Clear"));
}

/** What is there while there are no rows. @param {{ asked: any, rows: any[] | undefined, empty: any }} of */
function Rest({ asked, rows, empty }) {
  if (asked.error.value) return h(Failed, { error: asked.error.value, again: asked.reload });
  if (!rows) return h(Loading, {});
  const { plugin, user_id, cursor } = addressed();
  if (rows.length) return null;
  return plugin || user_id || cursor || new URLSearchParams(place.value.query).get("status") ? h(Empty, { title: "Nothing fits the filter." }) : empty;
}

/** @param {string} id */
const runPath = (id) => `/briefings/${encodeURIComponent(id)}`;

export function Briefings() {
  const asked = list((stop) => get("/api/briefings", addressed(), stop));
  return () => {
    const found = asked.value.value;
    return h("div", { class: "stack" }, h(Filters, {}),
      h(Rest, { asked, rows: found?.briefings, empty: h(Empty, { title: "No briefing yet.", text: "A plugin that briefs people puts a summary and sections here.", command: `hub runs start daily-news-digest --user 1 --input topics='["space"]'` }) }),
      found && found.briefings.length > 0 && h("ul", { key: "list", class: "briefings" }, found.briefings.map((one) => h("li", { key: one.plugin_run_id, class: "panel briefing-card" },
        h("h2", null, h("a", { href: runPath(one.plugin_run_id) }, cut(one.summary || "Without a summary", SUMMARY_MAX))),
        h("p", { class: "soft row briefing-about" }, h("span", { class: "wrap" }, cut(one.plugin_name, NAME_MAX)), h("span", null, `for user ${one.user_id}`), h("span", null, plural(one.sections.length, "section")), h(Age, { at: one.completed_at }))))),
      found && h(Paging, { next: found.next }));
  };
}

/** @param {{ run: import("../../types.d.ts").RunView }} of */
function RunRow({ run }) {
  const progress = run.status === "processing" ? taskOf(run.task_id)?.progress ?? run.progress : null;
  const took = run.started_at && run.status !== "pending" ? duration((run.completed_at ?? hubNow()) - run.started_at) : "";
  return h("li", { class: "run-row" },
    h(State, { state: run.status }),
    h("div", { class: "run-name" }, h("a", { href: runPath(run.plugin_run_id), title: run.plugin_run_id }, cut(run.plugin_name, NAME_MAX)),
      run.error_message ? h("p", { class: "error cut", title: cut(run.error_message, 2_000) }, cut(run.error_message, ERROR_MAX)) : run.status === "processing" && (run.message || typeof progress === "number") ? h("p", { class: "row run-progress" }, typeof progress === "number" && h("progress", { max: 100, value: progress, "aria-label": "Progress" }), h("span", { class: "soft cut" }, cut(run.message, ERROR_MAX))) : null),
    h("span", { class: "soft run-user" }, `user ${run.user_id}`),
    h("span", { class: "soft run-origin" }, `by ${cut(run.origin, NAME_MAX)}`),
    h("span", { class: "soft number run-attempts" }, run.attempts > 1 ? plural(run.attempts, "attempt") : ""),
    h("span", { class: "soft number run-took" }, took),
    h("span", { class: "soft run-age" }, h(Age, { at: run.created_at })));
}

export function Runs() {
  const asked = list((stop) => get("/api/runs", { ...addressed(), status: new URLSearchParams(place.value.query).get("status") ?? "" }, stop));
  return () => {
    const found = asked.value.value;
    void tasksChanged.value;
    return h("div", { class: "stack" }, h(Filters, { statuses: ["pending", "processing", "completed", "failed"] }),
      h(Rest, { asked, rows: found?.runs, empty: h(Empty, { title: "No run yet.", text: "A run is a plugin at work for a user.", command: `hub runs start daily-news-digest --user 1 --input topics='["space"]'` }) }),
      found && found.runs.length > 0 && h("ul", { key: "list", class: "panel run-list" }, found.runs.map((run) => h(RunRow, { key: run.plugin_run_id, run }))),
      found && h(Paging, { next: found.next }));
  };
}

/** @param {{ one: import("../../types.d.ts").ScheduleView, reload: () => void }} of */
function ScheduleRow({ one, reload }) {
  const isPaused = one.next_due_at === null;
  /** @param {() => Promise<any>} act @param {string} done */
  const then = async (act, done) => { await attempt(act, done); reload(); };
  const settings = JSON.stringify(one.settings);
  return h("li", { class: "panel schedule" },
    h("div", { class: "schedule-what" }, h("h2", null, cut(one.plugin_name, NAME_MAX)), h("p", { class: "row" }, h("code", null, one.cron), h("span", { class: "soft" }, one.zone), h("span", { class: "soft" }, `for user ${one.user_id}`)),
      settings !== "{}" && h("p", { class: "soft mono cut", title: cut(settings, 2_000) }, cut(settings, ERROR_MAX))),
    h("div", { class: "schedule-when" },
      isPaused ? h(State, { state: "paused" }) : h("p", { title: moment(one.next_due_at) }, "next ", h(Age, { at: one.next_due_at })),
      one.last ? h("p", { class: "soft" }, "last ", h(Age, { at: one.last.due_at }), one.last.plugin_run_id && [" · ", h("a", { href: runPath(one.last.plugin_run_id) }, one.last.is_new ? "its run" : "the run that was on")]) : h("p", { class: "soft" }, "has not run yet"),
      one.last?.error && h("p", { class: "error" }, cut(one.last.error, ERROR_MAX)),
      one.missed_at && h("p", { class: "soft" }, "let go since ", h(Age, { at: one.missed_at }))),
    may.act && h("div", { class: "row schedule-acts" },
      h("button", { type: "button", class: "button small", onclick: () => then(() => post(at("/api/plugins/{name}/runs", one.plugin_name), { user_id: one.user_id, settings: one.settings, plugin_id: one.plugin_id }), "Started") }, icon("play", 15), "Run now"),
      h("button", { type: "button", class: "button small", onclick: () => then(() => post(at(isPaused ? "/api/schedules/{schedule_id}/resume" : "/api/schedules/{schedule_id}/pause", one.schedule_id)), isPaused ? "It goes on" : "Paused") }, icon(isPaused ? "play" : "pause", 15), isPaused ? "Resume" : "Pause"),
      h("button", { type: "button", class: "button small danger", onclick: async () => {
        if (await confirm({ title: "Delete this schedule?", body: `${one.plugin_name}, ${one.cron} (${one.zone}). Runs that it has begun go on.`, yes: "Delete", isDangerous: true })) await then(() => remove(at("/api/schedules/{schedule_id}", one.schedule_id)), "Deleted");
      } }, icon("trash", 15), "Delete")));
}

export function Schedules() {
  const asked = list((stop) => get("/api/schedules", addressed(), stop));
  return () => {
    const found = asked.value.value;
    return h("div", { class: "stack" }, h(Filters, {}),
      h(Rest, { asked, rows: found?.schedules, empty: h(Empty, { title: "Nothing runs by the clock.", text: "A schedule starts a run of a plugin at times that you say.", command: `hub runs schedule daily-news-digest --cron "0 7 * * 1-5" --user 1 --input topics='["space"]'` }) }),
      found && found.schedules.length > 0 && h("ul", { key: "list", class: "stack" }, found.schedules.map((one) => h(ScheduleRow, { key: one.schedule_id, one, reload: asked.reload }))),
      found && h(Paging, { next: found.next }));
  };
}
