// @ts-check
// The kinds of failure, kept in the order in which they were read: counts follow the stream, new kinds only say so.

/** @import { DeadGroupView } from "../../types.d.ts" */
import { get, question } from "../../lib/api.js";
import { batch, onClose, signal } from "../../lib/signal.js";
import { listen } from "../../lib/stream.js";

const KINDS = 50;
const KINDS_MAX = 500;            // on the page; older ones are in lists and exports
const FOLLOW_MS = 1_000;
const FOLLOW_PAUSE_MS = 3_000;

/** What may change how many there are: the end of one, or a new task that runs one again. @param {import("../../lib/stream.js").Line} line */
const isOurs = (line) => line.payload?.state === "dead_letter" || line.event === "task_queued" || line.event === "reset" || line.event === "gap" || line.event === "snapshot";

/** Called in a view's set-up. */
export function deadKinds() {
  const kinds = signal(/** @type {DeadGroupView[]} */ ([]));
  const next = signal(/** @type {string | null} */ (null));
  const fresh = signal(/** @type {{ groups: DeadGroupView[], next: string | null } | null} */ (null));
  const isLoaded = signal(false);
  /** Grows when the tasks of a kind may be others. */
  const changes = signal(0);
  const asking = question(async (stop) => show(await first(stop)));
  const looking = new AbortController();
  let timer = /** @type {any} */ (null);
  let at = 0;

  /** As many as are shown, the newest first. @param {AbortSignal} stop */
  async function first(stop) {
    return get("/api/tasks/dead-letter/groups", { limit: Math.min(KINDS_MAX, Math.max(KINDS, kinds.peek().length)) }, stop);
  }

  /** @param {{ groups: DeadGroupView[], next: string | null }} page */
  function show(page) {
    batch(() => { kinds.value = page.groups; next.value = page.next; fresh.value = null; isLoaded.value = true; changes.value += 1; });
  }

  async function more() {
    const page = await get("/api/tasks/dead-letter/groups", { limit: KINDS, cursor: next.peek() ?? "" }, looking.signal);
    const shown = new Set(kinds.peek().map((kind) => kind.fingerprint));
    batch(() => {
      kinds.value = [...kinds.peek(), ...page.groups.filter((kind) => !shown.has(kind.fingerprint))];
      next.value = kinds.peek().length < KINDS_MAX ? page.next : null;
    });
  }

  async function follow() {
    timer = null;
    at = Date.now();
    const page = await first(looking.signal).catch(() => null);
    if (!page) return;
    const found = new Map(page.groups.map((kind) => [kind.fingerprint, kind]));
    const shown = new Set(kinds.peek().map((kind) => kind.fingerprint));
    const isNews = page.groups.some((kind) => !shown.has(kind.fingerprint));
    if (!shown.size) { show(page); return; }
    batch(() => {
      // What is shown and was not found is gone, unless there are more than were asked for.
      kinds.value = kinds.peek().map((kind) => found.get(kind.fingerprint) ?? (page.next ? kind : { ...kind, count: 0 }));
      fresh.value = isNews ? page : null;
      changes.value += 1;
    });
  }

  /** Soon, and not more often than the pause. */
  function followSoon() {
    timer ??= setTimeout(follow, Math.max(FOLLOW_MS, at + FOLLOW_PAUSE_MS - Date.now()));
  }

  const deaf = listen((lines) => { if (lines.some(isOurs)) followSoon(); });
  onClose(() => { deaf(); clearTimeout(timer); looking.abort(); });
  asking.reload();

  return { kinds, next, isLoaded, changes, error: asking.error, reload: asking.reload, more, follow,
    newCount: () => { const shown = new Set(kinds.value.map((kind) => kind.fingerprint)); return fresh.value?.groups.filter((kind) => !shown.has(kind.fingerprint)).length ?? 0; },
    showNew: () => { const page = fresh.peek(); if (page) show(page); } };
}
