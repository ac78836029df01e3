// @ts-check
// One agent in the list of the fleet.

import { may } from "../../lib/api.js";
import { percent, plural } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { taskOf, tasksChanged } from "../../lib/store.js";
import { Age, AgentLink, State, TaskLink } from "../../parts/states.js";
import { steerOne, WORDS } from "./steering.js";
import { idleWords, isInner, kindsOf, machineOf, softwareOf, successOf, usedOf, whyOf } from "./words.js";

/** @typedef {import("../../types.d.ts").AgentView} Agent */

/** What it has in hand: the first task and how many more. @param {{ agent: Agent, idle: string | undefined }} of */
function Work({ agent, idle }) {
  void tasksChanged.value;
  const [first, ...others] = agent.running_tasks;
  if (!first) {
    const why = idle && agent.state === "online" ? idleWords(idle) : agent.connected ? "nothing in hand" : "";
    return h("div", { class: "agent-work soft" }, h("p", { class: "cut", title: why }, why));
  }
  const progress = taskOf(first)?.progress ?? null;
  return h("div", { class: "agent-work" },
    h("p", { class: "agent-task" }, h(TaskLink, { id: first }), others.length > 0 && h("span", { class: "soft", title: plural(others.length, "more task") }, `+${others.length}`)),
    h("p", { class: "agent-progress soft" }, h("progress", { max: 100, value: progress, "aria-label": "Progress" }), h("span", { class: "number" }, progress === null ? "" : percent(progress))));
}

/** @param {{ agent: Agent }} of */
function Quick({ agent }) {
  const word = WORDS.resume.fits(agent) ? "resume" : "pause";
  if (isInner(agent) || !WORDS[word].fits(agent)) return h("span", null);
  const label = `${WORDS[word].name} ${agent.agent_id}`;
  return h("button", { type: "button", class: "bare", "aria-label": label, title: label, onclick: () => steerOne(word, agent) }, icon(WORDS[word].icon));
}

/** @param {{ agent: Agent, idle: string | undefined, tally: Record<string, number> | undefined }} of */
export function Row({ agent, idle, tally }) {
  const why = whyOf(agent);
  const machine = [machineOf(agent), softwareOf(agent)].filter(Boolean).join(" · ");
  const kinds = kindsOf(agent);
  const success = successOf(tally);
  return h("div", { class: agent.connected ? "agent-row" : "agent-row away", "data-agent": agent.agent_id },
    h("div", { class: "agent-who" }, h("p", { class: "cut" }, h(AgentLink, { id: agent.agent_id })), h("p", { class: "soft cut", title: machine }, machine)),
    h("div", { class: "agent-state" }, h(State, { state: agent.state }), why && h("p", { class: "soft cut", title: why }, why)),
    h("div", { class: "agent-slots number", title: "Slots in use" }, h("p", null, `${usedOf(agent)}/${agent.slots}`), kinds && h("p", { class: "soft cut", title: kinds }, kinds)),
    h(Work, { agent, idle }),
    h("div", { class: "agent-seen soft" }, h("p", null, "frame ", h(Age, { at: agent.last_seen })), h("p", null, agent.last_dispatch ? ["task ", h(Age, { at: agent.last_dispatch })] : "no task yet")),
    h("div", { class: "agent-success number", "data-tone": success.share !== null && success.share < 50 ? "bad" : null, title: `${success.detail} in 24 hours` }, h("p", null, success.text), h("p", { class: "soft cut" }, success.detail)),
    may.rule && h(Quick, { agent }));
}
