// @ts-check
// What the page knows of the fleet: agents, the newest tasks, counters, lanes and the feed. Asked for once over REST,
// then kept by the lines of the stream; everything is bounded, and readers are woken at most once a frame.

import { ask, at, get, session, withQuery } from "./api.js";
import { addBar, clearLanes, endBar, lanesChanged, markBar } from "./lanes.js";
import { batch, signal } from "./signal.js";
import { cursor, listen, placeOf } from "./stream.js";

/** @typedef {import("./stream.js").Line} Line */
/** @typedef {{ task_id: string, description: string, state: string, agent_id: string | null, progress: number | null, message: string | null, at: number, isKnown: boolean }} TaskLine */
/** @typedef {import("../types.d.ts").AgentView} Agent */

const TASKS_MAX = 5_000;          // of the newest; all of them are on the Tasks view, a page at a time
const LINES_MAX = 2_000;          // of the feed; older ones are in each task's own history
const PAST_LINES = 100;           // of the log: what a feed shows that has just been opened
const TASKS_ASKED = 100;
const ASK_PAUSE_MS = 2_000;       // the least time between two questions of the same kind
const SLOW_MS = 400;
const ANEW_MS = 60_000;           // what deltas cannot know drifts no longer than this
const ONE_BY_ONE_MAX = 5;         // more changed agents than this are asked for as one list
const DESCRIPTION_MAX = 200;

export const FINAL = new Set(["completed", "failed", "cancelled", "dead_letter"]);
const STATES = ["queued", "assigned", "running", "input_required", "recovering", "cancelling", ...FINAL];
/** What an event says of its task, where its payload does not say `state`. @type {Record<string, string>} */
const STATE_AFTER = {
  task_queued: "queued", task_assigned: "assigned", task_accepted: "running", task_resumed: "running", task_requeued: "queued",
  task_rejected: "queued", task_recovering: "recovering", task_cancel: "cancelling", task_complete: "completed", task_failed: "failed",
  task_cancelled: "cancelled", input_required: "input_required", input_ack: "running",
};

/** Agents by name, those here first. @type {import("./signal.js").Signal<Agent[]>} */
export const fleet = signal(/** @type {Agent[]} */ ([]));
/** Tasks by state. @type {import("./signal.js").Signal<Record<string, number>>} */
export const counters = signal(/** @type {Record<string, number>} */ ({}));
/** The feed, oldest first; the array is the same one, `feedChanged` says that it has changed. @type {Line[]} */
export const feed = [];
export const feedChanged = signal(0);
/** Grows whenever a task's line has changed. */
export const tasksChanged = signal(0);
/** Grows when it was learnt what tasks are about: the feed names them only by their ids. */
export const namesLearnt = signal(0);
/** Has the first picture come? */
export const isLoaded = signal(false);
/** @type {import("./signal.js").Signal<any>} */
export const loadError = signal(/** @type {any} */ (null));

/** @type {Map<string, TaskLine>} */
const tasks = new Map();
/** @type {Map<string, Agent>} */
const agents = new Map();
/** @type {Set<string>} */
const staleAgents = new Set();
let isCountStale = false;
let hasUnknown = false;
let isFleetStale = false;
let hasPast = false;
let hasMoved = false;
let slowAt = 0;
let slow = /** @type {any} */ (null);
/** @type {Map<string, { at: number, timer: any, again: boolean }>} */
const asked = new Map();
/** @type {(() => void) | null} */
let close = null;

/** @param {string | null} id */
export const taskOf = (id) => (id ? tasks.get(id) : undefined);
/** What was asked, or the id while that is not known. @param {string} id */
export const describe = (id) => tasks.get(id)?.description || id;
/** @param {string} id */
export const agentOf = (id) => agents.get(id);

// --- asking

/** Ask, but not more often than the pause; asked meanwhile, it is asked once more afterwards.
 *  @param {string} name @param {() => Promise<void>} act */
function soon(name, act) {
  const mine = asked.get(name) ?? { at: 0, timer: null, again: false };
  asked.set(name, mine);
  if (mine.timer) { mine.again = true; return; }
  const wait = Math.max(0, mine.at + ASK_PAUSE_MS - Date.now());
  mine.timer = setTimeout(async () => {
    mine.at = Date.now();
    try { await act(); loadError.value = null; } catch (error) { if (close) loadError.value = error; }
    mine.timer = null;
    if (mine.again && close) { mine.again = false; soon(name, act); }
  }, wait);
}

async function askCounters() {
  const found = await get("/api/tasks/stats");
  if (close) counters.value = { ...found.states };
}

async function askFleet() {
  const found = await get("/api/agents");
  if (!close) return;
  isFleetStale = false;
  staleAgents.clear();
  agents.clear();
  for (const agent of found.agents) agents.set(agent.agent_id, agent);
  sortFleet();
}

async function askAgents() {
  if (isFleetStale || staleAgents.size > ONE_BY_ONE_MAX) { await askFleet(); return; }
  for (const id of [...staleAgents]) {
    staleAgents.delete(id);
    const found = await get(at("/api/agents/{agent_id}", id)).catch((error) => { if (error.status === 404) return null; throw error; });
    if (found) agents.set(id, found); else agents.delete(id);
  }
  sortFleet();
}

function sortFleet() {
  const all = [...agents.values()].filter((agent) => !agent.agent_id.startsWith("hub:") || agent.connected);
  all.sort((a, b) => Number(b.connected) - Number(a.connected) || (a.agent_id < b.agent_id ? -1 : 1));
  fleet.value = all;
}

async function askTasks() {
  const found = await get("/api/tasks", { limit: TASKS_ASKED, brief: true });
  if (!close) return;
  hasUnknown = false;
  batch(() => {
    for (const task of [...found.tasks].reverse()) learn(task);
    namesLearnt.value += 1;
    tasksChanged.value += 1;
    lanesChanged.value += 1;
  });
}

/** What happened shortly before this page heard its first line, once; the feed asks for it when it is looked at. */
export function rememberPast() {
  if (hasPast) return;
  const from = cursor.value;
  if (!from || !close) return;
  hasPast = true;
  askPast(from).catch(() => {});      // without it the feed begins with what comes next
}

/** @param {string} from */
async function askPast(from) {
  const [epoch, place] = placeOf(from);
  const answer = await ask("GET", withQuery("/api/events/export", { since: `${epoch}:${Math.max(0, place - PAST_LINES)}` }));
  const said = (await answer.text()).split("\n").filter(Boolean).map((text) => JSON.parse(text));
  const lines = said.filter((line) => placeOf(line.cursor)[1] <= place);
  if (!close || !lines.length) return;
  feed.unshift(...lines.map((line, index) => ({ ...line, isPassing: false, n: index - lines.length })));
  feedChanged.value += 1;
}

/** @param {import("../types.d.ts").TaskView} task a whole one, as the API shows it */
export function learn(task) {
  const known = tasks.get(task.task_id);
  const isNewer = !known || task.updated_at >= known.at;
  const line = known ?? { task_id: task.task_id, description: "", state: "queued", agent_id: null, progress: null, message: null, at: 0, isKnown: true };
  line.description = String(task.description || task.plugin || "").slice(0, DESCRIPTION_MAX);
  line.isKnown = true;
  if (isNewer) Object.assign(line, { state: task.state, agent_id: task.agent_id, progress: task.progress, message: task.message, at: task.updated_at });
  keep(line);
  if (!known && task.agent_id && task.state !== "queued") {
    const bar = addBar(task.agent_id, task.task_id, task.created_at, "running");
    if (FINAL.has(task.state)) endBar(bar, task.updated_at, task.state); else markBar(bar, task.state);
  }
}

/** @param {TaskLine} line */
function keep(line) {
  tasks.delete(line.task_id);
  tasks.set(line.task_id, line);
  if (tasks.size <= TASKS_MAX) return;
  for (const [id, one] of tasks) { if (FINAL.has(one.state)) { tasks.delete(id); return; } }
  tasks.delete(/** @type {string} */ (tasks.keys().next().value));
}

// --- the lines of the stream

/** @param {Line[]} lines */
function hear(lines) {
  batch(() => {
    const before = { ...counters.peek() };
    let hasCounted = false;
    for (const line of lines) hasCounted = hearOne(line, before) || hasCounted;
    if (hasCounted) counters.value = before;
    keepFeed(lines);
  });
  slowly();
  if (isCountStale) { isCountStale = false; soon("counters", askCounters); }
  if (hasUnknown) soon("tasks", askTasks);
  if (isFleetStale || staleAgents.size) soon("agents", askAgents);
}

/** What is drawn large, and read by eye only, follows the stream a few times a second, not at every frame. */
function slowly() {
  if (slow) return;
  const wait = Math.max(0, slowAt + SLOW_MS - performance.now());
  slow = setTimeout(() => {
    slow = null;
    slowAt = performance.now();
    if (!close) return;
    batch(() => {
      if (hasMoved) { hasMoved = false; fleet.value = fleet.peek().map((one) => agents.get(one.agent_id) ?? one); }
      tasksChanged.value += 1;
      lanesChanged.value += 1;
    });
  }, wait);
}

/** @param {Line} line @param {Record<string, number>} counts @returns {boolean} whether a counter has changed */
function hearOne(line, counts) {
  if (line.event === "snapshot" || line.event === "reset" || line.event === "gap") {
    isCountStale = isFleetStale = hasUnknown = true;
    return false;
  }
  if (line.agent_id && (line.event.startsWith("agent_") || line.event === "draining")) staleAgents.add(line.agent_id);
  if (!line.task_id) return false;
  return hearTask(line, counts);
}

/** @param {Line} line @param {Record<string, number>} counts */
function hearTask(line, counts) {
  const id = /** @type {string} */ (line.task_id);
  let task = tasks.get(id);
  const isNew = !task;
  if (!task) {
    task = { task_id: id, description: "", state: "", agent_id: null, progress: null, message: null, at: 0, isKnown: false };
    keep(task);
  }
  if (!task.isKnown) hasUnknown = true;
  if (line.event === "task_progress") hearProgress(task, line.payload ?? {});
  const said = line.payload?.state;
  const state = STATES.includes(said) ? said : STATE_AFTER[line.event];
  if (!state || line.timestamp < task.at) return false;
  task.at = line.timestamp;
  if (state === task.state) return false;
  if (task.state) counts[task.state] = Math.max(0, (counts[task.state] ?? 0) - 1);
  else if (!isNew || line.event !== "task_queued") isCountStale = true;
  counts[state] = (counts[state] ?? 0) + 1;
  move(task, state, line);
  return true;
}

/** @param {TaskLine} task @param {Record<string, any>} said */
function hearProgress(task, said) {
  if (typeof said.progress === "number") task.progress = said.progress;
  if (typeof said.message === "string") task.message = said.message.slice(0, DESCRIPTION_MAX);
}

/** A task is in another state: its agent's hands and lane follow. @param {TaskLine} task @param {string} state @param {Line} line */
function move(task, state, line) {
  const holder = line.agent_id ?? task.agent_id;
  const isHeld = state !== "queued" && !FINAL.has(state);
  if (isHeld && holder) {
    markBar(addBar(holder, task.task_id, line.timestamp, state), state);
    setHeld(holder, task.task_id, true);
    if (state === "assigned") { const agent = agents.get(holder); if (agent) agent.last_dispatch = line.timestamp; }
  } else if (holder && task.state !== "" && task.state !== "queued") {
    endBar(addBar(holder, task.task_id, line.timestamp, state), line.timestamp, state);
    setHeld(holder, task.task_id, false);
  }
  if (state === "queued") { task.progress = null; task.message = null; }
  task.state = state;
  task.agent_id = holder;
}

/** @param {string} agentId @param {string} taskId @param {boolean} isHeld */
function setHeld(agentId, taskId, isHeld) {
  const agent = agents.get(agentId);
  if (!agent) { staleAgents.add(agentId); return; }
  if (agent.running_tasks.includes(taskId) === isHeld) return;
  const held = isHeld ? [...agent.running_tasks, taskId] : agent.running_tasks.filter((one) => one !== taskId);
  const next = { ...agent, running_tasks: held, free_slots: Math.max(0, agent.slots - held.length) };
  agents.set(agentId, next);
  hasMoved = true;
}

/** What a model says word by word is in the task's story, and no line of the feed. @param {Line[]} lines */
function keepFeed(lines) {
  let hasNew = false;
  for (const line of lines) {
    if (line.event === "snapshot" || line.payload?.kind === "chunk") continue;
    feed.push(line);
    hasNew = true;
  }
  if (feed.length > LINES_MAX * 1.25) feed.splice(0, feed.length - LINES_MAX);
  if (hasNew) feedChanged.value += 1;
}

// --- from login to logout

/** Load the picture and keep it. Called by the shell. */
export function startStore() {
  if (close) return;
  const stop = listen(hear);
  const anew = setInterval(() => { if (!document.hidden) { isFleetStale = true; soon("agents", askAgents); soon("counters", askCounters); } }, ANEW_MS);
  close = () => { stop(); clearInterval(anew); };
  Promise.all([askCounters(), askFleet(), askTasks()])
    .then(() => { isLoaded.value = true; loadError.value = null; })
    .catch((error) => { if (session.peek()) loadError.value = error; });
}

/** Ask for the agents again. */
export function reloadFleet() {
  isFleetStale = true;
  soon("agents", askAgents);
}

/** Ask for everything again. */
export function reloadStore() {
  isFleetStale = true;
  soon("agents", askAgents);
  soon("counters", askCounters);
  soon("tasks", askTasks);
}

export function stopStore() {
  close?.();
  close = null;
  for (const one of asked.values()) clearTimeout(one.timer);
  asked.clear();
  tasks.clear();
  agents.clear();
  clearLanes();
  feed.length = 0;
  hasPast = false;
  batch(() => { fleet.value = []; counters.value = {}; isLoaded.value = false; loadError.value = null; feedChanged.value += 1; });
}
