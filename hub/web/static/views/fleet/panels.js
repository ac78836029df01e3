// @ts-check
// The panels of an agent's page: what it has in hand, why it idles, what it offers, how its connections ended.

import { duration, hubNow, percent, plural } from "../../lib/format.js";
import { h } from "../../lib/render.js";
import { taskOf, tasksChanged } from "../../lib/store.js";
import { quoted } from "../../parts/commands.js";
import { Age, Failed, Loading, State, TaskLink } from "../../parts/states.js";
import { idleWords } from "./words.js";

/** @typedef {import("../../types.d.ts").AgentView} Agent */

const LINES_MAX = 20;             // of waiting tasks, the ones that go first

/** Its tasks with their progress. @param {{ agent: Agent }} of */
export function Held({ agent }) {
  void tasksChanged.value;
  if (!agent.running_tasks.length) return h("p", { class: "soft" }, "Nothing in hand.");
  return h("ul", { class: "agent-held", id: "agent-held" }, agent.running_tasks.map((id) => {
    const task = taskOf(id);
    const progress = task?.progress ?? null;
    return h("li", { key: id }, h("div", { class: "row" }, h(TaskLink, { id }), task?.state && h(State, { state: task.state }), progress !== null && h("span", { class: "soft number" }, percent(progress))),
      h("progress", { max: 100, value: progress, "aria-label": "Progress" }), task?.message && h("p", { class: "soft" }, task.message));
  }));
}

/** @param {{ agent: Agent, found: import("../../types.d.ts").FleetExplanation | null, error: any, again: () => void }} of */
export function Idle({ agent, found, error, again }) {
  const mine = found?.agents.find((one) => one.agent_id === agent.agent_id);
  const free = mine ? Object.entries(mine.free).map(([kind, n]) => `${n} ${kind || "ordinary"}`).join(", ") : "";
  const lines = (mine?.lines ?? []).slice(0, LINES_MAX);
  const waiting = found?.waiting.in_line ?? 0;
  return h("section", { class: "panel", id: "agent-idle", "aria-labelledby": "idle-title" },
    h("div", { class: "bar" }, h("h2", { id: "idle-title" }, "Why idle")),
    error && h(Failed, { key: "failed", error, again }),
    !found && !error && h(Loading, { key: "loading" }),
    found && !agent.connected && h("p", { key: "away" }, "It is not connected. ", h("code", null, `sidecar connect --agent-id ${quoted(agent.agent_id)}`)),
    found && agent.connected && !mine && h("p", { key: "busy" }, "It is not idle: all of its slots are in use."),
    found && mine && h("p", { key: "why" }, `Free: ${free}. `, h("strong", null, `${sentence(idleWords(mine.reason))}.`)),
    lines.length > 0 && h("div", { key: "lines", class: "agent-lines-box", tabindex: 0, role: "group", "aria-label": "Waiting tasks and why they do not go to it" }, h("ul", { class: "agent-lines" }, lines.map((line) => h("li", { key: line.task_id },
      h(TaskLink, { id: line.task_id }),
      h("span", { class: "soft small" }, [line.waiting > 1 ? `and ${plural(line.waiting - 1, "more like it", "more like it")}` : "", line.slot && `slot ${line.slot}`, idleWords(line.rule).replace(/^what waits /, "")].filter(Boolean).join(" · ")))))),
    found && waiting > 0 && h("p", { key: "all", class: "soft agent-waiting" }, h("a", { href: "/tasks?state=queued" }, plural(waiting, "task")), " in line in the whole hub"));
}

/** @param {string} text */
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** @param {{ name: string, values: string[], none: string }} of */
const Tags = ({ name, values, none }) => h("div", null, h("h3", null, name),
  values.length ? h("ul", { class: "agent-tags" }, values.map((one) => h("li", { key: one, class: "badge" }, one))) : h("p", { class: "soft" }, none));

/** Plugins with their versions, capabilities, labels. @param {{ agent: Agent }} of */
export const Offers = ({ agent }) => h("section", { class: "panel", "aria-labelledby": "offers-title" },
  h("div", { class: "bar" }, h("h2", { id: "offers-title" }, "Offers")),
  h(Tags, { key: "plugins", name: "Plugins", values: agent.plugins.map((name) => (agent.plugin_versions[name] ? `${name} ${agent.plugin_versions[name]}` : name)), none: "None: it runs commands alone." }),
  h(Tags, { key: "capabilities", name: "Capabilities", values: agent.capabilities.filter((one) => !agent.plugins.includes(one)), none: "None besides its plugins." }),
  h(Tags, { key: "labels", name: "Labels", values: Object.entries(agent.labels).map(([name, value]) => `${name}=${value}`), none: "None." }));

/** The last dials and closes, newest first. @param {{ agent: Agent }} of */
export function Connections({ agent }) {
  const visits = [...(agent.connections ?? [])].reverse();
  return h("section", { class: "panel", "aria-labelledby": "visits-title" },
    h("div", { class: "bar" }, h("h2", { id: "visits-title" }, "Connections"), h("span", { class: "soft" }, visits.length ? plural(visits.length, "dial") : "")),
    !visits.length && h("p", { class: "soft" }, "None since the hub was started."),
    visits.length > 0 && h("div", { class: "agent-table", tabindex: 0, role: "group", "aria-labelledby": "visits-title" }, h("table", { id: "agent-visits" },
      h("thead", null, h("tr", null, ["Dialled", "Lasted", "Ended by", "Code", "Why"].map((name) => h("th", { key: name, scope: "col" }, name)))),
      h("tbody", null, visits.map((visit, n) => h("tr", { key: `${visit.at} ${visits.length - n}` },
        h("td", null, h(Age, { at: visit.at })),
        h("td", null, duration(visit.duration_ms ?? hubNow() - visit.at)),
        h("td", null, visit.code === null ? h(State, { state: "online" }) : visit.side === "hub" ? "hub" : visit.side ?? "–"),
        h("td", { class: "mono" }, visit.code ?? ""),
        h("td", { class: "reason" }, visit.reason ?? "")))))));
}
