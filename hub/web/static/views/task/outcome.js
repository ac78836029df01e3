// @ts-check
// How a task ended, or why it does not run: its result (text, briefing, JSON), its error, the proof that it stopped, and
// what keeps it from each agent. Owns only how that is shown.

import { at, get, question } from "../../lib/api.js";
import { copy } from "../../lib/dialog.js";
import { count, duration, everySecond, hubNow, plural, tokens, words } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { effect, onClose, signal } from "../../lib/signal.js";
import { cut } from "../../lib/text.js";
import { Json } from "../../parts/json.js";
import { AgentLink, Failed, Loading, TaskLink } from "../../parts/states.js";

const ASK_EVERY_MS = 5_000;       // why it waits: what changes meanwhile has no event of this task
const AGENTS_NAMED = 8;
const TEXT_STEP = 20_000;         // characters of a text; the rest on demand
const SECTIONS_MAX = 200;

// --- the result

/** A text of any length, its beginning first. @param {{ text: string, label: string }} first */
export function Long({ text: first, label }) {
  const most = signal(TEXT_STEP);
  return (/** @type {{ text: string, label: string }} */ { text } = { text: first, label }) => h("div", { class: "stack" },
    h("pre", { class: "task-whole tall", tabindex: 0, role: "region", "aria-label": label }, cut(text, most.value)),
    text.length > most.value && h("button", { type: "button", class: "button small", onclick: () => { most.value = most.peek() * 10; } }, `Show ${count(text.length - most.value)} more characters`));
}

/** @param {any} found */
const isBriefing = (found) => typeof found?.summary === "string" && Array.isArray(found.sections);
/** The words of a result that is mainly words. @param {any} found @returns {string | null} */
const textOf = (found) => (typeof found === "string" ? found : typeof found?.output === "string" ? found.output : null);

/** @param {{ value: any }} of */
const Briefing = ({ value }) => h("article", { class: "briefing" },
  h("p", { class: "briefing-summary" }, cut(value.summary, TEXT_STEP)),
  value.sections.slice(0, SECTIONS_MAX).map((/** @type {any} */ one, /** @type {number} */ n) => h("section", { key: n }, h("h3", null, cut(String(one?.title ?? ""), 500)), h("p", null, cut(typeof one?.content === "string" ? one.content : JSON.stringify(one?.content ?? ""), TEXT_STEP)))));

/** @param {{ task: any }} _first */
export function Result(_first) {
  const isRaw = signal(false);
  return (/** @type {{ task: any }} */ { task }) => {
    const found = task.result;
    const text = textOf(found);
    const hasTwo = isBriefing(found) || (text !== null && typeof found !== "string");
    const whole = typeof found === "string" ? found : JSON.stringify(found, null, 2);
    return h("section", { id: "result", class: "panel task-result", "aria-labelledby": "result-title" },
      h("div", { class: "bar" }, h("h2", { id: "result-title" }, "Result"),
        hasTwo && h("button", { type: "button", class: "button small", "aria-pressed": String(isRaw.value), onclick: () => { isRaw.value = !isRaw.peek(); } }, isRaw.value ? "As text" : "As JSON"),
        h("button", { type: "button", class: "button small", onclick: () => copy(text !== null && !isRaw.value ? text : whole) }, icon("copy", 14), "Copy")),
      isBriefing(found) && !isRaw.value ? h(Briefing, { key: "briefing", value: found })
        : text !== null && !(isRaw.value && hasTwo) ? h(Long, { key: "text", text, label: "The result" })
          : h("div", { key: "json", class: "task-json" }, h(Json, { value: found, label: "The result" })));
  };
}

// --- the end

/** @type {Record<string, string>} */
const STOPPED = { cooperative: "It stopped by itself when it was asked.", terminated: "It was told to terminate, and did.", killed: "It did not listen and was killed.",
  unproven: "There is no proof that it stopped: its agent could not be asked, or knows no proofs.", never_started: "It had not begun." };
/** @type {Record<string, string>} */
const HOW = { failed: "The work failed.", timeout: "It took longer than its time.", no_progress: "It gave no sign of progress.", attempts: "All of its attempts failed.", strikes: "Its runs were lost too often, which was not its own fault.",
  undeliverable: "Nobody would accept it.", input_timeout: "Nobody answered in time.", start_by: "It was not begun in time.", dependency: "A task that it depends on did not complete." };

/** The proof, as people read it. @param {{ ending: any }} of */
function Proof({ ending }) {
  const { proof } = ending;
  return h("div", { id: "proof", class: "task-proof" },
    h("p", null, STOPPED[ending.stopped] ?? (ending.stopped ? words(ending.stopped) : "It had not begun.")),
    proof && h("dl", { class: "task-facts wide" },
      h("div", null, h("dt", null, "Signals sent"), h("dd", null, Array.isArray(proof.signals) && proof.signals.length ? proof.signals.map((/** @type {any} */ one) => cut(String(one), 20)).join(" → ") : "none")),
      h("div", null, h("dt", null, "Processes ended"), h("dd", { class: "number" }, count(proof.reaped ?? 0))),
      h("div", null, h("dt", null, "Still alive"), h("dd", { class: "number", "data-tone": proof.survivors ? "bad" : "good" }, proof.survivors ? count(proof.survivors) : "none"))));
}

/** What a task that is cancelled, failed or dead came to; nothing for the others. @param {{ task: any, cancel: any }} of */
export function Ending({ task, cancel }) {
  const said = cancel ? [cancel.reason, cancel.by && `by ${cancel.by}`].filter(Boolean).map((/** @type {any} */ one) => cut(String(one), 500)).join(" · ") : "";
  if (task.state === "cancelling") {
    return h("section", { id: "ending", class: "panel task-ending", "data-tone": "warn", role: "status" }, h("h2", null, "Cancelling…"),
      h("p", null, task.agent_id ? h("span", null, h(AgentLink, { id: task.agent_id }), " was told to stop. ") : null, "The hub waits for the proof that nothing of the run is left."), said && h("p", { class: "soft" }, said));
  }
  if (task.state === "cancelled") return h("section", { id: "ending", class: "panel task-ending", "data-tone": "plain" }, h("h2", null, "Cancelled"), said && h("p", { class: "soft" }, said), task.ending && h(Proof, { ending: task.ending }));
  if (task.state !== "failed" && task.state !== "dead_letter") return null;
  const { how, whose_fault: fault, tokens_wasted: wasted } = task.ending ?? {};
  return h("section", { id: "ending", class: "panel task-ending", "data-tone": "bad" }, h("h2", null, task.state === "failed" ? "Failed" : "Given up: a dead letter"),
    how && h("p", null, HOW[how] ?? words(how)),
    task.error && h(Long, { text: task.error, label: "The error" }),
    h("p", { class: "soft small" }, [fault && `to blame: ${words(fault)}`, wasted > 0 && `${tokens(wasted)} tokens spent for nothing`].filter(Boolean).join(" · ")));
}

// --- why it does not run

/** @type {Record<string, string>} */
const RULES = { another_agent_is_meant: "it is meant for another agent", inner_agent: "works only on what is sent to it by name", hub_is_draining: "the hub gives out no work now", not_connected: "not connected", paused: "paused", draining: "finishes and leaves",
  resting: "resting, as its owner wishes", quarantined: "in quarantine after failures", missing_capability: "lacks a capability that is needed", missing_label: "lacks a label that is needed", unknown_plugin: "does not have the plugin",
  no_slot_of_kind: "has no slot of that kind", declined_recently: "has declined it a moment ago", no_free_slot: "has no free slot", later: "would fit, later", waits_for_dependency: "would fit, once the others are done",
  key_at_limit: "would fit, once another task of its key is over", key_at_rate: "would fit, once its key may begin again" };
/** What the state itself says. @type {Record<string, string>} */
const STATES = { recovering: "Its agent is out of reach. It goes on where it is if the agent comes back in time, and back into the queue if not.", assigned: "It was given to an agent that has not begun yet." };

/** @param {{ rule: string, ids: string[] }} of */
const Excluded = ({ rule, ids }) => h("li", null, h("span", { class: "why-rule" }, `${RULES[rule] ?? words(rule)}:`), " ",
  ids.slice(0, AGENTS_NAMED).map((id, n) => h("span", { key: id, class: "why-agent" }, n > 0 && ", ", h(AgentLink, { id }))), ids.length > AGENTS_NAMED && ` and ${count(ids.length - AGENTS_NAMED)} more`);

/** Asks again by itself while it is shown. @param {{ task: any }} first */
export function Why({ task: first }) {
  const seen = signal(first.updated_at);
  const until = signal(/** @type {number | null} */ (null));
  const why = question((stop) => get(at("/api/tasks/{task_id}/explain", first.task_id), {}, stop));
  effect(() => { void seen.value; why.reload(); });
  effect(() => { const wait = why.value.value?.wait_ms; until.value = typeof wait === "number" ? hubNow() + wait : null; });
  const timer = setInterval(() => { if (!document.hidden) why.reload(); }, ASK_EVERY_MS);
  onClose(() => clearInterval(timer));
  return (/** @type {{ task: any }} */ { task }) => {
    seen.value = task.updated_at;
    const found = why.value.value;
    if (!found) return why.error.value ? h(Failed, { error: why.error.value, again: why.reload }) : h(Loading, { what: "Why is it not running?" });
    /** @type {Map<string, string[]>} */
    const rules = new Map();
    for (const one of found.agents) rules.set(one.rule, [...rules.get(one.rule) ?? [], one.agent_id]);
    return h("section", { id: "why", class: "panel task-why", "aria-labelledby": "why-title" },
      h("h2", { id: "why-title" }, icon("clock", 16), "Why it is not running"),
      h("p", null, STATES[task.state] ?? `${found.reason.charAt(0).toUpperCase()}${found.reason.slice(1)}.`, until.value !== null && until.value > hubNow() && h("span", { class: "number" }, ` For another ${duration(until.value - everySecond())}.`)),
      task.waits_for.length > 0 && h("p", null, "It waits for ", task.waits_for.slice(0, AGENTS_NAMED).map((/** @type {string} */ id, /** @type {number} */ n) => h("span", { key: id }, n > 0 && ", ", h(TaskLink, { id }))), task.waits_for.length > AGENTS_NAMED && ` and ${count(task.waits_for.length - AGENTS_NAMED)} more`),
      rules.size > 0 && h("ul", { class: "why-agents" }, [...rules].map(([rule, ids]) => h(Excluded, { key: rule, rule, ids }))),
      !found.agents.length && /ever connected/.test(found.reason) && h("p", { class: "soft" }, "Start one: ", h("code", null, `sidecar connect --agent-id ${task.assign_to ?? "alice"}`)),
      why.error.value && h("p", { class: "error small" }, why.error.value.advice), h("p", { class: "quiet", role: "status" }, plural(found.agents.length, "agent excluded", "agents excluded")));
  };
}
