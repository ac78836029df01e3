// @ts-check
// Tokens: who may do what and until when. Making one, making its successor, revoking it; join codes are tokens, too.

import { at, get, post, question, remove, session } from "../../lib/api.js";
import { attempt, confirm } from "../../lib/dialog.js";
import { count, hubNow, plural } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { filter } from "../../lib/router.js";
import { effect, signal, untracked } from "../../lib/signal.js";
import { quoted } from "../../parts/commands.js";
import { Age, Empty, Failed, Loading } from "../../parts/states.js";
import { Once } from "./form.js";
import { NewToken } from "./newtoken.js";

/** @typedef {import("../../types.d.ts").TokenView} Token */
/** @typedef {import("../../types.d.ts").NewTokenView} Made */

const STEP = 100;                 // a fleet has a token an agent: the newest, and more on demand
const SOON_MS = 7 * 24 * 3_600_000;

/** What to do with a new one. @param {Made} token */
function nextFor(token) {
  const where = location.origin.replace(/^http/, "ws");
  const name = /[*?[]/.test(token.agent_id ?? "") ? "NAME" : quoted(token.agent_id ?? "");
  if (token.role === "join") return ["On the agent's machine, within the time it is good: ", h("code", null, `sidecar join ${location.origin} - --agent-id ${name}`), " and paste it."];
  if (token.role === "agent") return ["Keep it in a file that only its owner reads, then: ", h("code", null, `sidecar connect ${where}/ws --agent-id ${name} --token-file FILE`)];
  return ["Log in here with it, or on the command line: ", h("code", null, "HUB_TOKEN=… hub tasks list")];
}

/** @param {{ token: Token, again: () => void, show: (made: Made) => void }} of */
function Row({ token, again, show }) {
  const isMine = token.token_id === session.value?.token_id;
  const isSoon = token.role !== "join" && token.expires_at - hubNow() < SOON_MS;
  const name = token.label || token.agent_id || token.token_id;
  const only = [token.agent_patterns.length && `agents ${token.agent_patterns.join(", ")}`, token.plugin_patterns.length && `plugins ${token.plugin_patterns.join(", ")}`].filter(Boolean).join(" · ");

  async function replace() {
    const body = "A new token is made that may do the same for as long. This one stays valid until you revoke it.";
    if (!await confirm({ title: `Make a successor of ${name}?`, body, yes: "Make it" })) return;
    await attempt(async () => show(await post("/admin/tokens", { role: /** @type {any} */ (token.role), agent_id: token.agent_id, label: token.label || null, expires_in_ms: token.expires_at - token.created_at,
      agent_patterns: token.agent_patterns.length ? token.agent_patterns : null, plugin_patterns: token.plugin_patterns.length ? token.plugin_patterns : null })));
    again();
  }

  async function revoke() {
    const body = isMine ? "This is the token that you are logged in with: you will be logged out." : token.role === "agent" ? "The agent's connection closes now, and its tasks go to others." : "Whoever uses it is shut out now, pages included.";
    if (!await confirm({ title: `Revoke ${name}?`, body, yes: "Revoke", isDangerous: true })) return;
    await attempt(() => remove(at("/admin/tokens/{token_id}", token.token_id)), `${name} is revoked`);
    again();
  }

  return h("li", { class: "set-row", "data-token": token.token_id },
    h("div", { class: "set-row-main" },
      h("p", { class: "set-row-title" }, h("span", { class: "badge" }, token.role === "join" ? "join code" : token.role), h("span", { class: "wrap" }, name), isMine && h("span", { class: "set-mine" }, "yours")),
      h("p", { class: "set-row-about" }, token.label && token.agent_id && h("span", null, `agent ${token.agent_id}`), h("span", { class: "mono", title: token.token_id }, `${token.prefix}…`),
        h("span", null, token.last_used_at ? ["used ", h(Age, { at: token.last_used_at })] : "never used"),
        h("span", { class: isSoon ? "set-soon" : null }, ["expires ", h(Age, { at: token.expires_at })]), only && h("span", { class: "wrap" }, `only ${only}`))),
    h("div", { class: "row" },
      token.role !== "join" && h("button", { type: "button", class: "button small", "aria-label": `Make a successor of ${name}`, onclick: replace }, icon("retry", 14), "Rotate"),
      h("button", { type: "button", class: "button small", "aria-label": `Revoke ${name}`, onclick: revoke }, icon("trash", 14), "Revoke")));
}

/** @param {Token} token @param {string} text */
const fits = (token, text) => `${token.role === "join" ? "join code" : token.role} ${token.label} ${token.agent_id ?? ""} ${token.token_id} ${token.prefix} ${token.agent_patterns.join(" ")} ${token.plugin_patterns.join(" ")}`.toLowerCase().includes(text);

export function Tokens() {
  const text = filter("q");
  const form = filter("new", "", { push: true });
  const tokens = question((stop) => get("/admin/tokens", {}, stop));
  const made = signal(/** @type {Made | null} */ (null));
  const most = signal(STEP);
  effect(() => { untracked(tokens.reload); });
  /** @param {Made} token */
  function show(token) {
    form.value = "";
    made.value = token;
    tokens.reload();
  }
  return () => {
    const all = tokens.value.value?.tokens;
    const fault = tokens.error.value;
    const found = (all ?? []).filter((token) => fits(token, text.value.trim().toLowerCase())).sort((a, b) => b.created_at - a.created_at);
    return h("div", { class: "stack" },
      h("div", { class: "row" },
        h("button", { type: "button", class: "button primary", "aria-expanded": String(form.value === "token"), onclick: () => { form.value = form.peek() === "token" ? "" : "token"; } }, icon("plus", 16), "New token"),
        h("button", { type: "button", class: "button", "aria-expanded": String(form.value === "join"), onclick: () => { form.value = form.peek() === "join" ? "" : "join"; } }, icon("plus", 16), "New join code"),
        h("label", { class: "quiet", for: "token-filter" }, "Filter"),
        h("input", { id: "token-filter", class: "set-filter", type: "search", "data-search": "", placeholder: "label, agent, role", autocomplete: "off", value: text.value, oninput: (/** @type {any} */ event) => { text.value = event.target.value; } })),
      made.value && h(Once, { key: made.value.token_id, title: made.value.role === "join" ? "A join code" : `A token for ${made.value.agent_id ?? `a ${made.value.role}`}`, name: made.value.role === "join" ? "Join code" : "Token", secret: made.value.token, note: h("p", { class: "wrap" }, nextFor(made.value)), close: () => { made.value = null; } }),
      form.value && h(NewToken, { key: form.value, isJoin: form.value === "join", show, leave: () => { form.value = ""; } }),
      fault && h(Failed, { key: "failed", error: fault, again: tokens.reload }),
      !all && !fault && h(Loading, { key: "loading" }),
      all && !found.length && h(Empty, { key: "none", title: "No token fits the filter." }),
      found.length > 0 && h("ul", { key: "list", id: "tokens", class: "panel set-rows", "aria-label": `${plural(found.length, "token")}, the newest first` }, found.slice(0, most.value).map((token) => h(Row, { key: token.token_id, token, again: tokens.reload, show }))),
      found.length > most.value && h("button", { key: "more", type: "button", class: "button", onclick: () => { most.value = most.peek() + STEP; } }, `${count(found.length - most.value)} more`));
  };
}
