// @ts-check
// One agent: what it is, what it has in hand, why it idles, how it fared, and how its connections ended.

import { at, calmly, get, may, question } from "../lib/api.js";
import { everyTenSeconds, plural, words } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { h } from "../lib/render.js";
import { computed, effect, untracked } from "../lib/signal.js";
import { agentOf, fleet } from "../lib/store.js";
import { quoted } from "../parts/commands.js";
import { Age, Empty, Failed, Loading, State } from "../parts/states.js";
import { Connections, Held, Idle, Offers } from "./fleet/panels.js";
import { revokeTokens, STEERING, steerOne, WORDS } from "./fleet/steering.js";
import { isInner, machineOf, softwareOf, successOf, usedOf, whyOf } from "./fleet/words.js";

/** @typedef {import("../types.d.ts").AgentView} Agent */

const ENDINGS_EVERY = 3;          // ticks of ten seconds: it counts a day

/** @param {{ agent: Agent }} of */
function Actions({ agent }) {
  if (!may.rule || isInner(agent)) return null;
  const fitting = STEERING.filter((word) => WORDS[word].fits(agent));
  return h("div", { class: "row", role: "group", "aria-label": "Steer this agent" },
    fitting.map((word) => h("button", { key: word, type: "button", class: "button", onclick: () => steerOne(word, agent) }, icon(WORDS[word].icon, 16), WORDS[word].name)),
    h("button", { key: "revoke", type: "button", class: "button danger", onclick: () => revokeTokens(agent.agent_id) }, icon("trash", 16), "Revoke tokens"));
}

/** @param {{ agent: Agent }} of */
function About({ agent }) {
  const generation = agent.version === null ? "–" : `generation ${agent.version}`;
  /** @type {[string, any][]} */
  const facts = [
    ["Machine", machineOf(agent) || "–"],
    ["Software", softwareOf(agent) || "–"],
    ["Protocol", generation],
    ["Instance", h("span", { class: "mono" }, agent.instance_id ?? "–")],
    ["Connected", agent.connected ? h(Age, { at: agent.connected_at }) : "no"],
    ["Last frame", h(Age, { at: agent.last_seen })],
    ["Last dispatch", h(Age, { at: agent.last_dispatch })],
  ];
  if (agent.load !== null) facts.splice(3, 0, ["Load", agent.load.toFixed(2)]);
  if (agent.name && agent.name !== agent.agent_id) facts.unshift(["Name", agent.name]);
  return h("section", { class: "panel", "aria-labelledby": "about-title" }, h("div", { class: "bar" }, h("h2", { id: "about-title" }, "About")),
    h("dl", { class: "agent-facts" }, facts.map(([name, value]) => [h("dt", { key: `${name} name` }, name), h("dd", { key: name }, value)])));
}

/** @param {{ agent: Agent, tally: Record<string, number> | undefined }} of */
function Work({ agent, tally }) {
  const success = successOf(tally);
  const tasks = `/tasks?agent_id=${encodeURIComponent(agent.agent_id)}`;
  return h("section", { class: "panel", "aria-labelledby": "work-title" },
    h("div", { class: "bar" }, h("h2", { id: "work-title" }, "Work"), h("a", { href: tasks }, "All its tasks")),
    h("dl", { class: "agent-tiles" },
      h("div", { key: "slots" }, h("dt", null, "slots in use"), h("dd", null, `${usedOf(agent)}/${agent.slots}`)),
      Object.entries(agent.slot_kinds).map(([kind, all]) => h("div", { key: `kind ${kind}` }, h("dt", null, `${kind} slots`), h("dd", null, `${all - (agent.free_slot_kinds[kind] ?? 0)}/${all}`))),
      h("div", { key: "success" }, h("dt", null, "success, 24 h"), h("dd", { id: "agent-success" }, success.text, " ", h("small", null, success.detail)))),
    h(Held, { agent }));
}

/** @param {{ params: { id: string } }} of */
export default function AgentPage({ params }) {
  const id = params.id;
  const known = computed(() => { void fleet.value; return agentOf(id); });
  const agent = question((stop) => get(at("/api/agents/{agent_id}", id), {}, stop));
  const idle = question((stop) => get("/api/fleet/explain", { agent: id }, stop));
  const endings = question((stop) => get("/api/fleet/endings", {}, stop));
  const ask = calmly(async () => { await agent.reload(); if (agent.value.peek()) await idle.reload(); });
  effect(() => {
    void known.value;                      // the store has heard of it
    void everyTenSeconds();
    untracked(ask);
  });
  let ticks = 0;
  effect(() => { void everyTenSeconds(); if (ticks % ENDINGS_EVERY === 0) untracked(endings.reload); ticks += 1; });

  return () => {
    const now = agent.value.value;
    const back = h("a", { class: "agent-back", href: "/agents" }, icon("left", 14), "Fleet");
    const fault = agent.error.value;
    if (fault?.status === 404) {
      return h("div", { key: "nobody" }, back, h("h1", { class: "wrap" }, id), h(Empty, { title: "No agent of that name has ever connected.", text: "Start it, or look in the fleet for another one:", command: `sidecar connect --agent-id ${quoted(id)}` }));
    }
    if (!now) return fault ? h(Failed, { key: "failed", error: fault, again: agent.reload }) : h(Loading, { key: "loading" });
    const why = whyOf(now);
    return h("div", { key: "agent", id: "agent" }, back,
      h("div", { class: "page-head" }, h("h1", null, now.agent_id), h(State, { state: now.state }), h(Actions, { agent: now })),
      fault && h(Failed, { key: "failed", error: fault, again: agent.reload }),
      why && h("p", { key: "why", class: "panel agent-note", role: "note" }, `${words(now.state)}: ${why}`),
      h("div", { class: "agent-parts" },
        h("div", { class: "stack" }, h(Work, { agent: now, tally: endings.value.value?.agents[id] }),
          h(Idle, { agent: now, found: idle.value.value ?? null, error: idle.error.value, again: idle.reload }), h(Connections, { agent: now })),
        h("div", { class: "stack" }, h(About, { agent: now }), h(Offers, { agent: now }))),
      h("p", { class: "quiet", role: "status" }, `${words(now.state)}, ${plural(now.running_tasks.length, "task")} in hand`));
  };
}
