// @ts-check
// One page of tasks, kept as it is while somebody reads it: its lines follow the stream, new tasks only say how many they are.

/** @import { TaskView } from "../../types.d.ts" */
import { get, question } from "../../lib/api.js";
import { batch, effect, onClose, signal } from "../../lib/signal.js";
import { listen } from "../../lib/stream.js";

const ROWS = 50;
const ROUNDS_MAX = 20;            // pages of the API for one of ours: a filter without an index looks at so many tasks at a time
const TYPING_MS = 250;
const FOLLOW_MS = 300;            // lines that have changed are asked for together
const FOLLOW_PAUSE_MS = 1_500;
const NEWS_PAUSE_MS = 3_000;
const TALK = new Set(["task_log", "task_usage", "task_progress"]);

/** @typedef {{ tasks: TaskView[], next: string | null }} Page */

/** As many as fill a page, or all there are; `next` is where to go on. @param {Record<string, string>} filters @param {string} cursor @param {AbortSignal} stop @returns {Promise<Page>} */
async function load(filters, cursor, stop) {
  /** @type {TaskView[]} */
  const tasks = [];
  /** @type {string | null} */
  let next = cursor;
  for (let round = 0; round < ROUNDS_MAX && next !== null && tasks.length < ROWS; round += 1) {
    /** @type {Page} */
    const page = await get("/api/tasks", { ...filters, cursor: next, limit: ROWS - tasks.length, brief: true }, stop);
    tasks.push(...page.tasks);
    next = page.next;
  }
  return { tasks, next };
}

/** Called in a view's set-up. @param {{ value: string }} wanted the filters as JSON @param {{ value: string }} cursor */
export function taskPage(wanted, cursor) {
  const tasks = signal(/** @type {TaskView[]} */ ([]));
  const next = signal(/** @type {string | null} */ (null));
  const news = signal(/** @type {Page | null} */ (null));
  const isLoaded = signal(false);
  const asking = question((stop) => load(JSON.parse(wanted.value), cursor.value, stop));
  const looking = new AbortController();
  const stale = new Set();
  let follows = /** @type {any} */ (null);
  let looks = /** @type {any} */ (null);
  let followedAt = 0;

  /** @param {Page} page */
  function show(page) {
    batch(() => { tasks.value = page.tasks; next.value = page.next; news.value = null; isLoaded.value = true; });
  }

  let isFirst = true;
  effect(() => {
    void wanted.value;
    void cursor.value;
    const timer = setTimeout(() => { asking.reload(); }, isFirst ? 0 : TYPING_MS);
    isFirst = false;
    return () => clearTimeout(timer);
  });
  effect(() => { if (asking.value.value) show(asking.value.value); });

  async function follow() {
    follows = null;
    followedAt = Date.now();
    const ids = tasks.peek().map((task) => task.task_id).filter((id) => stale.has(id));
    stale.clear();
    if (!ids.length) return;
    const found = await get("/api/tasks", { task_ids: ids.join(","), limit: ROWS, brief: true }, looking.signal).catch(() => null);
    if (!found) return;             // the lamp says it; the next event asks again
    const fresh = new Map(found.tasks.map((task) => [task.task_id, task]));
    tasks.value = tasks.peek().map((task) => fresh.get(task.task_id) ?? task);
  }

  async function look() {
    looks = null;
    const shown = new Set(tasks.peek().map((task) => task.task_id));
    const filters = wanted.value;
    const page = await load(JSON.parse(filters), "", looking.signal).catch(() => null);
    if (!page || filters !== wanted.value || cursor.value) return;
    const isNews = page.tasks.some((task) => !shown.has(task.task_id));
    if (isNews && !tasks.peek().length) show(page); else news.value = isNews ? page : null;
  }

  /** @param {import("../../lib/stream.js").Line[]} lines */
  function hear(lines) {
    const shown = new Map(tasks.peek().map((task) => [task.task_id, task]));
    const said = new Map();
    let hasMoved = false;
    for (const line of lines) {
      if (line.event === "snapshot" || line.event === "reset" || line.event === "gap") { for (const id of shown.keys()) stale.add(id); hasMoved = true; }
      if (!line.task_id || line.event === "task_log" || line.event === "task_usage") continue;
      if (!TALK.has(line.event)) { hasMoved = true; if (shown.has(line.task_id)) stale.add(line.task_id); }
      else if (shown.get(line.task_id)?.generation === line.generation) said.set(line.task_id, line.payload ?? {});
    }
    if (said.size) tasks.value = tasks.peek().map((task) => (said.has(task.task_id) ? withProgress(task, said.get(task.task_id)) : task));
    if (stale.size && !follows) follows = setTimeout(follow, Math.max(FOLLOW_MS, followedAt + FOLLOW_PAUSE_MS - Date.now()));
    if (hasMoved && !looks && !cursor.value) looks = setTimeout(look, tasks.peek().length ? NEWS_PAUSE_MS : FOLLOW_MS);
  }

  const deaf = listen(hear);
  onClose(() => { deaf(); clearTimeout(follows); clearTimeout(looks); looking.abort(); });

  return { tasks, next, isLoaded, error: asking.error, isLoading: asking.isLoading, reload: asking.reload, news,
    /** How many are new at the top. */
    newCount: () => { const shown = new Set(tasks.value.map((task) => task.task_id)); return news.value?.tasks.filter((task) => !shown.has(task.task_id)).length ?? 0; },
    showNews: () => { if (news.peek()) show(/** @type {Page} */ (news.peek())); } };
}

/** @param {TaskView} task @param {Record<string, any>} heard @returns {TaskView} */
const withProgress = (task, heard) => ({ ...task, progress: typeof heard.progress === "number" ? heard.progress : task.progress, message: typeof heard.message === "string" ? heard.message : task.message });
