// The Live page: counters, fleet and feed, read only. Everything that agents say is hostile and becomes a text node.

import { $, make } from "/web/dom.js";
import { openFeed } from "/web/feed.js";
import { openStory } from "/web/story.js";

const ROWS_MAX = 500;         // lines kept on the page; older ones are in `hub tasks list` and the API
const DESCRIPTIONS_MAX = 2000;
const REFRESH_MS = 500;       // counters and fleet follow the feed at most twice a second
const FACTS = /^(task_(queued|assigned|accepted|complete|failed|rejected|stopped|requeued|recovering|resumed|cancel|cancelled|input)|agent_|input_|snapshot|reset|gap)/;

const state = { paused: false, waiting: [], refresh: null, feed: null, rows: [], descriptions: new Map(), chosen: null, isClosed: false };
const story = openStory({ get });

async function get(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (answer.status === 401) { showLogin(); throw new Error("logged out"); }
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

function showLogin() {
  state.feed?.close();
  state.feed = null;
  story.close();
  $("live").hidden = true;
  $("logout").hidden = true;
  $("login").hidden = false;
  lamp("idle", "not logged in");
  $("token").focus();
}

function lamp(kind, text) {
  $("lamp").dataset.state = kind;
  $("lamp-text").textContent = text;
}

function tone(event, payload) {
  if (event === "task_complete" || event === "task_resumed") return "good";
  if (event === "task_failed" || payload?.state === "dead_letter") return "bad";
  if (/recovering|requeued|rejected|left|cancel|stopped|input_required/.test(event)) return "warn";
  return "plain";
}

function words(payload) {
  if (!payload || typeof payload !== "object") return "";
  const parts = [];
  if (typeof payload.progress === "number") parts.push(`${Math.round(payload.progress)} %`);
  if (typeof payload.tokens_out === "number") parts.push(`${payload.tokens_in ?? 0} tokens in, ${payload.tokens_out} out`);
  for (const key of ["message", "text", "description", "error", "reason", "how", "prompt", "name"])
    if (typeof payload[key] === "string" && payload[key]) { parts.push(payload[key].slice(0, 300)); break; }
  return parts.join(" · ");
}

function row(item) {
  if (item.event === "gap" || item.event === "reset") {
    const text = item.event === "gap" ? "some passing events were left out here" : "the feed begins anew here: older events are in the task's own history";
    return make("li", {}, [make("span", { class: "said", textContent: `— ${text} —` })]);
  }
  const at = new Date(item.timestamp);
  return make("li", { "data-tone": tone(item.event, item.payload) }, [
    make("time", { dateTime: at.toISOString(), textContent: at.toLocaleTimeString([], { hourCycle: "h23" }) }),
    make("span", { class: "event mono", textContent: item.event }),
    make("span", { class: "who", textContent: item.agent_id ?? "" }),
    make("span", { class: "what", title: item.task_id ?? "" }, [
      item.task_id ? taskLink(item.task_id) : "",
      make("span", { textContent: words(item.payload) }),
    ]),
  ]);
}

// Its address says which story is shown, so that Back works and a story can be sent to somebody.
function taskLink(taskId) {
  const link = make("a", { class: "task", textContent: state.descriptions.get(taskId) || taskId });
  link.setAttribute("href", `#${encodeURIComponent(taskId)}`); // always a fragment of this page, whatever the id is
  return link;
}

function choose() {
  state.chosen = decodeURIComponent(location.hash.slice(1)) || null;
  if (!/^task-[0-9a-f]{16}$/.test(state.chosen ?? "")) state.chosen = null;
  if (state.chosen) story.show(state.chosen);
  else story.close();
}

// Until somebody has chosen or closed one, the page shows a task that says what it does, and after its end the next.
function follow(item) {
  const isFree = !story.taskId ? !state.isClosed : !state.chosen && story.isOver;
  if (isFree && item.event === "task_log" && item.payload?.data?.id !== undefined) story.show(item.task_id);
  story.hear(item);
}

function fits(item) {
  const wanted = $("filter").value.trim().toLowerCase();
  if (!wanted) return true;
  const task = `${item.task_id ?? ""} ${state.descriptions.get(item.task_id) ?? ""}`;
  return `${item.event} ${item.agent_id ?? ""} ${task} ${words(item.payload)}`.toLowerCase().includes(wanted);
}

function add(items) {
  state.rows = [...items.slice().reverse(), ...state.rows].slice(0, ROWS_MAX);
  const list = $("feed");
  for (const item of items) if (fits(item)) list.prepend(row(item));
  while (list.childElementCount > ROWS_MAX) list.lastElementChild.remove();
  $("feed-empty").hidden = state.rows.length > 0;
}

function redraw() {
  $("feed").replaceChildren(...state.rows.filter(fits).map(row));
}

function hear(item) {
  if (FACTS.test(item.event)) refreshSoon();
  follow(item);
  if (item.event === "snapshot" || item.payload?.kind === "chunk") return;   // what a model says is in the story
  if (state.paused) {
    state.waiting.push(item);
    if (state.waiting.length > ROWS_MAX) state.waiting.shift();
    $("resume").hidden = false;
    $("resume").textContent = `${state.waiting.length} new`;
    return;
  }
  add([item]);
}

function goOn() {
  state.paused = false;
  add(state.waiting.splice(0));
  $("resume").hidden = true;
  $("feed").scrollTop = 0;
}

function refreshSoon() {
  state.refresh ??= setTimeout(() => { state.refresh = null; refresh().catch(() => {}); }, REFRESH_MS);
}

function counter(name, value, kind = "") {
  return make("div", { class: kind }, [make("dt", { textContent: name }), make("dd", { textContent: String(value) })]);
}

async function refresh() {
  const [stats, fleet, tasks] = await Promise.all([get("/api/tasks/stats"), get("/api/agents"), get("/api/tasks?limit=100")]);
  learn(tasks.tasks);
  const count = (name) => stats.states?.[name] ?? 0;
  const here = fleet.agents.filter((agent) => agent.connected);
  const busy = here.filter((agent) => agent.running_tasks.length > 0).length;
  $("counters").replaceChildren(
    counter("agents online", here.length), counter("busy", busy), counter("queued", count("queued")),
    counter("running", count("assigned") + count("running")), counter("asking", count("input_required")),
    counter("recovering", count("recovering")), counter("completed", count("completed")),
    counter("failed or dead", count("failed") + count("dead_letter"), count("dead_letter") ? "bad" : ""),
  );
  $("fleet-empty").hidden = fleet.agents.length > 0;
  $("fleet").replaceChildren(...here.map(agentCard), ...fleet.agents.filter((agent) => !agent.connected).map(agentCard));
}

// The feed names tasks by their ids; people know them by what was asked.
function learn(tasks) {
  const unknown = tasks.filter((task) => !state.descriptions.has(task.task_id));
  for (const task of unknown) state.descriptions.set(task.task_id, task.description.slice(0, 200));
  for (const id of state.descriptions.keys()) {
    if (state.descriptions.size <= DESCRIPTIONS_MAX) break;
    state.descriptions.delete(id);
  }
  if (unknown.length && !state.paused) redraw();
}

function agentCard(agent) {
  const taken = Math.min(agent.running_tasks.length, 32);
  const slots = Math.min(agent.slots ?? 1, 32);
  const marks = Array.from({ length: Math.max(slots, taken) }, (_, n) => make("i", { class: n < taken ? "busy" : "" }));
  const about = [agent.state, ...(agent.capabilities ?? [])].join(" · ");
  return make("li", { class: agent.connected ? "" : "away" }, [
    make("p", { class: "name", textContent: agent.agent_id }),
    make("p", { class: "about", textContent: about }),
    make("div", { class: "slots", title: `${agent.running_tasks.length} of ${agent.slots ?? 1} slots in use` }, marks),
  ]);
}

async function start() {
  const who = await fetch("/api/session");
  if (!who.ok) { showLogin(); return; }
  $("login").hidden = true;
  $("live").hidden = false;
  $("logout").hidden = false;
  await refresh();
  choose();
  state.feed?.close();
  state.feed = openFeed("/api/feed", { hear, lamp, loggedOut: showLogin });
}

$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/api/session", {
    method: "POST",
    headers: { "content-type": "application/json", "x-hub-csrf": "1" },
    body: JSON.stringify({ token: $("token").value.trim() }),
  });
  $("token").value = "";
  if (answer.ok) { $("login-error").textContent = ""; await start(); return; }
  $("login-error").textContent = answer.status === 401
    ? "That token is not valid. Make a new one with: hub token create --role viewer"
    : `The hub answered ${answer.status}. Try again.`;
});

$("logout").addEventListener("click", async () => {
  await fetch("/api/session", { method: "DELETE", headers: { "x-hub-csrf": "1" } });
  showLogin();
});

$("feed").addEventListener("scroll", () => { state.paused = $("feed").scrollTop > 4; if (!state.paused && state.waiting.length) goOn(); });
addEventListener("hashchange", choose);
$("story-close").addEventListener("click", () => { state.isClosed = true; if (location.hash) location.hash = ""; else story.close(); });
$("resume").addEventListener("click", goOn);
$("filter").addEventListener("input", redraw);

start().catch(() => lamp("off", "the hub does not answer"));
