// @ts-check
// The same for many tasks: counted by the hub first, then asked, then done to exactly so many. Owns the words of it.

/** @import { BulkView, FilterBody } from "../types.d.ts" */
import { post, Refusal } from "../lib/api.js";
import { confirm, tell } from "../lib/dialog.js";
import { count, plural, words } from "../lib/format.js";
import { h } from "../lib/render.js";
import { cut } from "../lib/text.js";

/** @typedef {"cancel" | "retry" | "purge"} Action */

const SAMPLE_SHOWN = 5;           // of those that are meant: enough to see that they are the right ones
const NAME_MAX = 90;

/** @type {Record<Action, { ask: string, yes: string, note: string, none: string, done: string }>} */
const WORDS = {
  cancel: { ask: "Cancel", yes: "Cancel", note: "Those that run are told to stop, and are cancelled when they have.",
    none: "None of these can be cancelled: they are over, or being cancelled.", done: "cancelled, or being stopped" },
  retry: { ask: "Run again", yes: "Run again", note: "Each as a new task. Those that were run again already are left out.",
    none: "None of these is to be run again: they are open, completed, or were run again already.", done: "queued again" },
  purge: { ask: "Purge", yes: "Purge", note: "They are deleted, with their history, log and result. Nothing brings them back.",
    none: "None of these can be purged: they are open, or an open task waits for them.", done: "purged" },
};

/** Some of those that are meant, by name. @param {{ action: Action, counted: BulkView, what: string, name: (id: string) => string }} of */
function Meant({ action, counted, what, name }) {
  const shown = counted.sample.slice(0, SAMPLE_SHOWN);
  const rest = counted.count - shown.length;
  return h("div", { class: "stack" },
    what && h("p", null, what),
    shown.length > 0 && h("ul", { class: "meant" }, shown.map((id) => h("li", { key: id, class: "cut", title: id }, cut(name(id), NAME_MAX))),
      rest > 0 && h("li", { key: "rest", class: "soft" }, `and ${plural(rest, "more", "more")}`)),
    h("p", { class: "soft" }, WORDS[action].note),
    counted.more && h("p", { class: "soft" }, "There are more: this is as many as go at once. Say it again for the rest."));
}

/** @param {Action} action @param {BulkView} done */
function sayDone(action, done) {
  const refused = Object.entries(done.refusals).map(([why, n]) => `${words(why)}: ${count(n)}`).join(", ");
  tell(`${plural(done.done, "task")} ${WORDS[action].done}.${refused ? ` Refused: ${refused}.` : ""}${done.more ? " There are more." : ""}`,
    done.refused ? "bad" : "good");
}

/** Count, ask, do. True when something was done. `name` says what a task is called, `what` what all of them are.
 *  @param {Action} action @param {FilterBody} filter @param {{ what?: string, name?: (id: string) => string }} [how] @returns {Promise<boolean>} */
export async function many(action, filter, { what = "", name = (id) => id } = {}) {
  try {
    for (;;) {
      const counted = await post("/api/tasks/bulk", { action, filter, dry_run: true });
      if (!counted.count) { tell(WORDS[action].none); return false; }
      const tasks = plural(counted.count, "task");
      const isMeant = await confirm({ title: `${WORDS[action].ask} ${tasks}?`, yes: `${WORDS[action].yes} ${tasks}`, isDangerous: action !== "retry",
        body: h(Meant, { action, counted, what, name }) });
      if (!isMeant) return false;
      const done = await post("/api/tasks/bulk", { action, filter, dry_run: false, expect: counted.count }).catch(unlessOther);
      if (done) { sayDone(action, done); return true; }
    }
  } catch (error) {
    tell(error instanceof Refusal ? error.advice : String(error), "bad");
    return false;
  }
}

/** Another number than was agreed to: nothing was done, and a person is asked again. @param {unknown} error @returns {null} */
function unlessOther(error) {
  if (!(error instanceof Refusal) || error.code !== "count_differs") throw error;
  tell("Meanwhile it is another number: nothing was done yet.", "bad");
  return null;
}
