// @ts-check
// Asking the hub: the session's cookie, the header that another site cannot send, and errors that say what to do.

/** @import { Body, Path, Query, Reply, SessionView } from "../types.d.ts" */
import { signal } from "./signal.js";
import { learnTime } from "./skew.js";

const PATIENCE_MS = 30_000;      // a hub that has not answered by then is out of reach for this question

/** Who the cookie says we are; null: nobody; undefined: not asked yet.
 *  @type {import("./signal.js").Signal<SessionView | null | undefined>} */
export const session = signal(/** @type {any} */ (undefined));

/** What the role may do: a viewer looks, a dispatcher acts, an admin rules. */
export const may = {
  get act() { return session.value?.role === "dispatcher" || session.value?.role === "admin"; },
  get rule() { return session.value?.role === "admin"; },
};

/** A refusal of the hub, or no answer at all (status 0). `title` and `detail` are for people, `error` is the code. */
export class Refusal extends Error {
  /** @param {number} status @param {Record<string, any>} problem */
  constructor(status, problem) {
    super(problem.detail || problem.title || `the hub answered ${status}`);
    this.status = status;
    this.problem = problem;
    this.code = String(problem.error ?? "");
    this.title = String(problem.title ?? "The hub refused");
    this.retryAfterS = Number(problem.retry_after ?? 0) || 0;
  }
  /** One a field, of a 422. @returns {{ field: string, error: string, detail: string }[]} */
  get faults() { return Array.isArray(this.problem.errors) ? this.problem.errors : []; }
  /** What to do next, in one sentence. */
  get advice() {
    if (this.status === 0) return "The hub cannot be reached. Is `hub serve` running? This page tries again by itself.";
    if (this.status === 403) return `${this.message} Log in with a token that may: hub token create --role dispatcher`;
    if (this.status === 429 || this.status === 503) return `${this.message} Try again ${this.retryAfterS ? `in ${this.retryAfterS} s` : "in a moment"}.`;
    return this.message;
  }
}

/** @param {string} method @param {string} path @param {any} [body] @param {{ signal?: AbortSignal, headers?: Record<string, string> }} [more] @returns {Promise<Response>} */
export async function ask(method, path, body, more = {}) {
  const askedAt = Date.now();
  const limit = AbortSignal.timeout(PATIENCE_MS);
  /** @type {Response} */
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: { accept: "application/json", ...(method === "GET" ? {} : { "content-type": "application/json", "x-hub-csrf": "1" }), ...more.headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: more.signal ? AbortSignal.any([more.signal, limit]) : limit,
      credentials: "same-origin",
    });
  } catch (error) {
    if (more.signal?.aborted) throw error;
    throw new Refusal(0, { error: "unreachable", title: "No answer" });
  }
  learnTime(askedAt, Date.now(), answer.headers.get("date"));
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401 && session.peek() !== null) session.value = null;      // the shell shows the login
  const wait = Number(answer.headers.get("retry-after"));
  throw new Refusal(answer.status, wait > 0 ? { retry_after: wait, ...problem } : problem);
}

/** Paths, queries, bodies and replies are checked against the API: see types.d.ts.
 *  @template {Path<"GET">} P @param {P} path @param {Query<"GET", P>} [query] @param {AbortSignal} [stop] @returns {Promise<Reply<"GET", P>>} */
export async function get(path, query, stop) {
  return (await ask("GET", withQuery(path, query), undefined, { signal: stop })).json();
}

/** @template {Path<"POST">} P @param {P} path @param {Body<"POST", P>} [body] @param {Record<string, string>} [headers] @returns {Promise<Reply<"POST", P>>} */
export async function post(path, body, headers = {}) {
  return (await ask("POST", path, body ?? {}, { headers })).json();
}

/** @template {Path<"PATCH">} P @param {P} path @param {Body<"PATCH", P>} body @returns {Promise<Reply<"PATCH", P>>} */
export async function patch(path, body) { return (await ask("PATCH", path, body)).json(); }

/** @template {Path<"DELETE">} P @param {P} path @returns {Promise<Reply<"DELETE", P>>} */
export async function remove(path) { return (await ask("DELETE", path)).json(); }

/** A path as the API writes it, its names replaced by harmless values: at("/api/tasks/{task_id}/log", id).
 *  @template {Path<string>} P @param {P} path @param {...string} values @returns {P} */
export const at = (path, ...values) => /** @type {P} */ (path.replace(/\{\w+\}/g, () => encodeURIComponent(values.shift() ?? "")));

/** Empty members are left out; a list repeats its name. @param {string} path @param {Record<string, any>} [query] */
export function withQuery(path, query) {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined && one !== null && one !== "") said.append(name, String(one));
  }
  const text = said.toString();
  return text ? `${path}?${text}` : path;
}

/** Who am I; sets `session`. */
export async function whoAmI() {
  try { session.value = await get("/api/session"); } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 401) throw error;
    session.value = null;
  }
}

/** @param {string} token */
export async function logIn(token) { session.value = await post("/api/session", { token: token.trim() }); }

export async function logOut() {
  await remove("/api/session").catch(() => {});
  session.value = null;
}

/** Not while it is under way: then once more afterwards. What is asked again and again must not end what it asked before.
 *  @param {() => Promise<any>} act @returns {() => void} */
export function calmly(act) {
  let isBusy = false;
  let again = false;
  async function run() {
    if (isBusy) { again = true; return; }
    isBusy = true;
    try { await act(); } finally { isBusy = false; }
    if (again) { again = false; run(); }
  }
  return () => { run(); };
}

/** A question that is asked anew when what it reads changes; the newest answer wins.
 *  @template T @param {(stop: AbortSignal) => Promise<T>} load
 *  @returns {{ value: import("./signal.js").Signal<T | undefined>, error: import("./signal.js").Signal<Refusal | null>, isLoading: import("./signal.js").Signal<boolean>, reload: () => Promise<void> }} */
export function question(load) {
  const value = signal(/** @type {T | undefined} */ (undefined));
  const error = signal(/** @type {Refusal | null} */ (null));
  const isLoading = signal(false);
  let round = new AbortController();
  async function reload() {
    round.abort();
    const mine = round = new AbortController();
    isLoading.value = true;
    try {
      const found = await load(mine.signal);
      if (mine !== round) return;
      value.value = found;
      error.value = null;
    } catch (fault) {
      if (mine !== round || mine.signal.aborted) return;
      error.value = fault instanceof Refusal ? fault : new Refusal(-1, { title: "The page failed", detail: String(fault) });
    }
    if (mine === round) isLoading.value = false;
  }
  return { value, error, isLoading, reload };
}
