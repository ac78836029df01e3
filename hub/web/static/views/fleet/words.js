// @ts-check
// Agents in words: why one is as it is, why it idles, how it fared, and which ones a filter means.

import { clock, count, duration, hubNow, percent, words } from "../../lib/format.js";

/** @typedef {import("../../types.d.ts").AgentView} Agent */
/** @typedef {Record<string, number>} Tally */

export const STATES = ["online", "paused", "draining", "resting", "quarantined", "offline"];
const INNER = "hub:";

/** Why an agent with a free hand has nothing to do: the scheduler's words in ours. @type {Record<string, string>} */
const RULES = {
  no_task_waits: "no task waits",
  next: "it gets the next task",
  another_agent_is_meant: "what waits is for other agents",
  inner_agent: "it works for the hub itself",
  hub_is_draining: "the hub is shutting down",
  not_connected: "it is not connected",
  paused: "it is paused",
  draining: "it is draining",
  resting: "it rests",
  quarantined: "it is in quarantine",
  missing_capability: "what waits needs a capability that it lacks",
  missing_label: "what waits needs a label that it lacks",
  unknown_plugin: "what waits needs a plugin that it lacks",
  no_slot_of_kind: "what waits needs a slot of another kind",
  declined_recently: "it has declined what waits",
  no_free_slot: "no slot of the kind is free",
  later: "what waits is due later",
  waits_for_dependency: "what waits waits for other tasks",
  key_at_limit: "enough tasks of that key run",
  key_at_rate: "enough tasks of that key have begun",
};

/** @param {string | null} rule */
export const idleWords = (rule) => RULES[rule ?? "next"] ?? words(rule);

/** @param {Agent} agent */
export const isInner = (agent) => agent.agent_id.startsWith(INNER);

/** Beside a state that somebody may wonder about. @param {Agent} agent */
export function whyOf(agent) {
  if (agent.state === "resting") return agent.resting ? restOf(agent.resting.reason, agent.resting.until) : "";
  if (agent.state === "quarantined") return [agent.quarantine_reason, `${duration(agent.quarantine_left_ms)} left`].filter(Boolean).join(", ");
  if (agent.state === "paused") return "by a person at the hub";
  if (agent.state === "draining") return "it finishes what it has";
  return "";
}

/** @param {string} reason @param {number | null | undefined} until */
const restOf = (reason, until) => (until ? `${reason} until ${new Date(until).toDateString() === new Date(hubNow()).toDateString() ? clock(until).slice(0, 5) : new Date(until).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" })}` : reason);

/** "build-7 · linux" @param {Agent} agent */
export const machineOf = (agent) => [agent.labels.host, agent.labels.os].filter(Boolean).join(" · ");

/** @param {Agent} agent */
export const softwareOf = (agent) => agent.sdk ?? agent.client_type ?? "";

/** "gpu 0/1" for each kind besides the ordinary one. @param {Agent} agent */
export const kindsOf = (agent) => Object.entries(agent.slot_kinds).map(([kind, all]) => `${kind} ${all - (agent.free_slot_kinds[kind] ?? 0)}/${all}`).join(", ");

/** Of the ordinary slots, how many are in use. @param {Agent} agent */
export const usedOf = (agent) => Math.max(0, agent.slots - agent.free_slots);

/** @param {Tally | undefined} tally */
export function successOf(tally) {
  const good = tally?.completed ?? 0;
  const all = good + (tally?.failed ?? 0) + (tally?.dead_letter ?? 0);
  return { share: all ? (good / all) * 100 : null, text: all ? percent((good / all) * 100) : "–", detail: all ? `${count(good)} of ${count(all)}` : "none", all };
}

/** Everything of an agent that a filter may name, in small letters. @param {Agent} agent */
function soughtIn(agent) {
  const labels = Object.entries(agent.labels).map(([name, value]) => `${name}=${value}`);
  const plugins = agent.plugins.map((name) => `${name}@${agent.plugin_versions[name] ?? ""}`);
  return [agent.agent_id, agent.name, agent.sdk ?? "", agent.client_type ?? "", ...labels, ...plugins, ...agent.capabilities].join(" ").toLowerCase();
}

/** All words of the text must be found. @param {readonly Agent[]} agents @param {string} text */
export function sought(agents, text) {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  return wanted.length ? agents.filter((agent) => { const own = soughtIn(agent); return wanted.every((word) => own.includes(word)); }) : agents;
}
