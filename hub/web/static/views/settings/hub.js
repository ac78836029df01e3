// @ts-check
// How the hub fares: does it take work and if not why, where that is kept, what waits, and which versions there are.

import { ask, get, question } from "../../lib/api.js";
import { bytes, count, everyTenSeconds, plural, words } from "../../lib/format.js";
import { h } from "../../lib/render.js";
import { effect, untracked } from "../../lib/signal.js";
import { fleet } from "../../lib/store.js";
import { Failed, Loading } from "../../parts/states.js";
import { figuresIn } from "./figures.js";

/** @typedef {import("../../types.d.ts").HealthView} Health */

/** Why a hub takes no work, and what to do. @type {Record<string, string>} */
const REASONS = {
  draining: "It is shutting down: what runs goes on, new work is refused. Start it again with: hub serve",
  storage_full: "The disk has too little room: new tasks are refused, results of the old ones still find room. Free some where the ledger lies, or forget what is old: hub prune",
};
const DURABILITY = /** @type {Record<string, string>} */ ({ local: "full: on this machine's disk before it is answered", relaxed: "relaxed: a power cut may cost the last moments" });
const VERSIONS_MAX = 12;

const page = /\/web\/([^/]+)\//.exec(import.meta.url)?.[1] ?? "–";

/** A hub that is not ready answers 503, and says why: that is an answer. @param {AbortSignal} stop @returns {Promise<Health>} */
async function askHealth(stop) {
  try { return await get("/health/ready", {}, stop); } catch (error) {
    const said = /** @type {any} */ (error);
    if (said.status === 503 && said.problem?.status === "not_ready") return said.problem;
    throw error;
  }
}

/** @param {AbortSignal} stop */
const askFigures = async (stop) => figuresIn(await (await ask("GET", "/metrics", undefined, { signal: stop, headers: { accept: "text/plain" } })).text());

/** @param {{ health: Health }} of */
function Verdict({ health }) {
  const isReady = health.status === "ready";
  const isOdd = isReady && health.redis === "down";
  const reason = isReady ? (isOdd ? "Redis is down: work is taken as ever, and what others ask for over Redis waits until it is back." : "It takes work.") : REASONS[health.error ?? ""] ?? words(health.error);
  return h("div", { id: "health", class: "set-verdict", "data-tone": isReady ? (isOdd ? "warn" : "good") : "bad", role: "status" },
    h("p", { class: "set-verdict-word" }, h("i", { "aria-hidden": "true" }), isReady ? (isOdd ? "Ready, without Redis" : "Ready") : `Not ready: ${words(health.error)}`), h("p", null, reason));
}

/** @param {{ rows: [string, any, ("good" | "warn" | "bad" | null)?][] }} of */
const Facts = ({ rows }) => h("dl", { class: "agent-facts" }, rows.map(([name, value, tone]) => [h("dt", { key: `${name} name` }, name), h("dd", { key: name, class: tone ? "set-tone" : null, "data-tone": tone ?? null }, value)]));

/** @param {import("./figures.js").Figures} figures @param {Health} health @returns {[string, any, ("good" | "warn" | "bad" | null)?][]} */
function rowsOf(figures, health) {
  const redis = health.redis ?? (figures.one("hub_redis_up") === 1 ? "up" : null);
  const alerts = figures.all("hub_alerts_total").filter(({ value }) => value > 0);
  const isFull = figures.one("hub_storage_full") === 1;
  const letters = figures.one("hub_inbox_letters") ?? 0;
  const pending = figures.one("hub_webhook_pending") ?? 0;
  /** @type {[string, any, ("good" | "warn" | "bad" | null)?][]} */
  const ledger = health.durability ? [["Ledger", DURABILITY[health.durability] ?? health.durability]] : [];
  return [
    ...ledger,
    ["Disk", [bytes(figures.one("hub_disk_free_bytes")), isFull ? " free: too little" : " free"], isFull ? "bad" : null],
    ["Redis", redis ?? "none is configured", redis === "down" ? "warn" : null],
    ["Agents", plural(fleet.value.filter((agent) => agent.connected && !agent.agent_id.startsWith("hub:")).length, "is connected", "are connected")],
    ["Inbox", letters ? plural(letters, "letter waits", "letters wait") : "empty"],
    ["Webhooks", pending ? `${plural(pending, "delivery", "deliveries")} under way` : "all told"],
    ["Watchers", plural(figures.one("hub_feed_subscribers") ?? 0, "reads the feed", "read the feed")],
    ["Alerts", alerts.length ? alerts.map(({ labels, value }) => `${words(labels.kind)}: ${count(value)}`).join(", ") : "none since its start", alerts.length ? "warn" : null],
  ];
}

/** How many agents run each version. @param {(agent: import("../../types.d.ts").AgentView) => string[]} of */
function versionsBy(of) {
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const agent of fleet.value) if (agent.connected) for (const name of of(agent)) found.set(name, (found.get(name) ?? 0) + 1);
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** @param {{ found: [string, number][], none: string }} of */
const Counted = ({ found, none }) => (found.length ? h("ul", { class: "agent-tags" }, found.slice(0, VERSIONS_MAX).map(([name, n]) => h("li", { key: name, class: "badge" }, name, n > 1 && ` × ${count(n)}`)), found.length > VERSIONS_MAX && h("li", { key: "more", class: "soft" }, `and ${found.length - VERSIONS_MAX} more`)) : h("span", { class: "soft" }, none));

/** @param {{ version: string }} of */
function Versions({ version }) {
  return h("section", { class: "panel", "aria-labelledby": "versions-title" }, h("div", { class: "bar" }, h("h2", { id: "versions-title" }, "Versions")),
    h(Facts, { rows: [
      ["Hub", version], ["This page", h("span", { class: "mono" }, page)],
      ["Sidecars", h(Counted, { found: versionsBy((agent) => (agent.sdk ? [agent.sdk] : [])), none: fleet.value.some((agent) => agent.connected) ? "none says what it runs" : "none is connected" })],
      ["Plugins", h(Counted, { found: versionsBy((agent) => agent.plugins.filter((name) => agent.plugin_versions[name]).map((name) => `${name} ${agent.plugin_versions[name]}`)), none: "no agent offers one" })],
    ] }), h("p", { class: "set-links" }, h("a", { href: "/docs", "data-outside": "" }, "The API"), h("a", { href: "/metrics", "data-outside": "" }, "All figures")));
}

export function Hub() {
  const health = question(askHealth);
  const figures = question(askFigures);
  let version = "–";
  effect(() => { void everyTenSeconds(); untracked(() => { health.reload(); figures.reload(); }); });
  return () => {
    const now = health.value.value;
    const fault = health.error.value;
    version = now?.version ?? figures.value.value?.all("hub_build_info")[0]?.labels.version ?? version;
    if (!now && !fault) return h(Loading, { key: "loading" });
    return h("div", { key: "hub", class: "set-parts" },
      h("section", { class: "panel", "aria-labelledby": "health-title" }, h("div", { class: "bar" }, h("h2", { id: "health-title" }, "Health")),
        fault && h(Failed, { key: "failed", error: fault, again: health.reload }),
        now && !fault && h(Verdict, { key: "verdict", health: now }),
        figures.error.value && !fault && h(Failed, { key: "no figures", error: figures.error.value, again: figures.reload }),
        now && figures.value.value && h(Facts, { key: "facts", rows: rowsOf(figures.value.value, now) })),
      h(Versions, { version }));
  };
}
