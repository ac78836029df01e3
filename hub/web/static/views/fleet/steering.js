// @ts-check
// Steering agents, one or many: what each word does, whom it means, the count first, the account after.

import { at, post, Refusal, remove } from "../../lib/api.js";
import { attempt, confirm, tell } from "../../lib/dialog.js";
import { plural } from "../../lib/format.js";
import { h } from "../../lib/render.js";
import { reloadFleet } from "../../lib/store.js";
import { isInner } from "./words.js";

/** @typedef {import("../../types.d.ts").AgentView} Agent */
/** @typedef {"pause" | "resume" | "drain" | "disconnect"} Word */

const AT_ONCE = 6;                // requests under way when many are steered: browsers open no more connections
const NAMED_MAX = 8;

/** @type {Record<Word, { name: string, done: string, icon: string, says: string, isDangerous: boolean, fits: (agent: Agent) => boolean }>} */
export const WORDS = {
  pause: { name: "Pause", done: "paused", icon: "pause", says: "They get no new work, also after a restart, until somebody resumes them. What they have goes on.", isDangerous: false, fits: (agent) => agent.connected && agent.state !== "paused" },
  resume: { name: "Resume", done: "resumed", icon: "play", says: "They get work again.", isDangerous: false, fits: (agent) => agent.state === "paused" || agent.state === "draining" },
  drain: { name: "Drain", done: "draining", icon: "drain", says: "They finish what they have and are sent away. They work again when they come back as a new process.", isDangerous: true, fits: (agent) => agent.connected && agent.state !== "draining" },
  disconnect: { name: "Disconnect", done: "disconnected", icon: "close", says: "Their connections close now. They may come back at once, and bring their work along.", isDangerous: true, fits: (agent) => agent.connected },
};

export const STEERING = /** @type {Word[]} */ (Object.keys(WORDS));

/** Whom a word means among these. @param {Word} word @param {readonly Agent[]} agents */
export const meant = (word, agents) => agents.filter((agent) => !isInner(agent) && WORDS[word].fits(agent));

/** @param {Word} word @param {string} id */
const send = (word, id) => post(at(/** @type {const} */ (`/api/agents/{agent_id}/${word}`), id));

/** One agent. What only takes new work away is done at once, the rest after a question. @param {Word} word @param {Agent} agent */
export async function steerOne(word, agent) {
  const { name, done, says, isDangerous } = WORDS[word];
  const held = agent.running_tasks.length;
  const body = h("div", { class: "stack" }, h("p", null, says), held > 0 && h("p", null, `It has ${plural(held, "task")} in hand.`));
  if (isDangerous && !await confirm({ title: `${name} ${agent.agent_id}?`, body, yes: name, isDangerous })) return;
  await attempt(() => send(word, agent.agent_id), `${agent.agent_id}: ${done}`);
  reloadFleet();
}

/** Many: counted and named first, then one after the other; one that has gone meanwhile holds up no other.
 *  @param {Word} word @param {readonly Agent[]} agents */
export async function steerMany(word, agents) {
  const { name, done, says, isDangerous } = WORDS[word];
  const waiting = meant(word, agents).map((agent) => agent.agent_id);
  const all = waiting.length;
  const named = waiting.slice(0, NAMED_MAX);
  const body = h("div", { class: "stack" }, h("p", null, says),
    h("ul", { class: "row" }, named.map((id) => h("li", { key: id, class: "badge agent-badge" }, id)), all > named.length && h("li", { key: "more", class: "soft" }, `and ${all - named.length} more`)));
  if (!all || !await confirm({ title: `${name} ${plural(all, "agent")}?`, body, yes: `${name} ${all}`, isDangerous })) return;
  /** @type {string[]} */
  const refused = [];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      try { await send(word, id); } catch (error) { refused.push(`${id}: ${error instanceof Refusal ? error.advice : error}`); }
    }
  }));
  if (refused.length) tell(`${plural(all - refused.length, "agent")} ${done}, ${refused.length} refused. ${refused[0]}`, "bad");
  else tell(`${plural(all, "agent")} ${done}`, "good");
  reloadFleet();
}

/** All tokens of an agent: whoever has one is shut out at once. @param {string} id */
export async function revokeTokens(id) {
  const body = "All of its tokens stop working and its connection closes now. Its tasks go to others. To let it in again, make a new token or a join code.";
  if (!await confirm({ title: `Revoke the tokens of ${id}?`, body, yes: "Revoke", isDangerous: true })) return;
  await attempt(() => remove(at("/admin/tokens/{token_id}", id)), `The tokens of ${id} are revoked`);
  reloadFleet();
}
