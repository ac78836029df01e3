// @ts-check
// Dead letters: what was tried as often as it might be, by kind of failure; run again one or all, or purged.

/** @import { DeadGroupView, FilterBody } from "../types.d.ts" */
import { may } from "../lib/api.js";
import { attempt } from "../lib/dialog.js";
import { count, plural, words } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { h } from "../lib/render.js";
import { filter } from "../lib/router.js";
import { counters } from "../lib/store.js";
import { many } from "../parts/bulk.js";
import { Age, Empty, Failed, Loading, TaskLink } from "../parts/states.js";
import { deadKinds } from "./dead/kinds.js";
import { Letters } from "./dead/letters.js";

/** Whose fault it was, for people. @type {Record<string, string>} */
const FAULTS = { work: "the work itself", infrastructure: "the infrastructure", policy: "a rule", person: "a person", time: "time" };

/** How it ended, for people; what is not here says it itself. @type {Record<string, string>} */
const HOWS = { attempts: "attempts used up", strikes: "struck too often", deadline: "could not start in time", input_timeout: "nobody answered" };

/** @typedef {{ kind: DeadGroupView, isOpen: boolean, turn: (fingerprint: string) => void, act: (action: "retry" | "purge", filter: FilterBody, what: string) => void, changes: { value: number } }} KindProps */

/** @param {KindProps} of */
function Kind({ kind, isOpen, turn, act, changes }) {
  const { fingerprint } = kind;
  const filter = /** @type {FilterBody} */ ({ state: "dead_letter", fingerprint });
  const left = kind.count - kind.retried;
  const error = kind.error || words(kind.how) || "no error was given";
  return h("section", { class: "panel kind", "data-kind": fingerprint, "data-gone": kind.count ? null : "" },
    h("h2", { class: "kind-head" }, h("button", { type: "button", class: "kind-turn", "aria-expanded": String(isOpen), "aria-controls": `letters-${fingerprint}`, onclick: () => turn(fingerprint) },
      icon(isOpen ? "down" : "right"), h("span", { class: "kind-count number" }, count(kind.count)), h("span", { class: "quiet" }, kind.count === 1 ? " task: " : " tasks: "), h("span", { class: isOpen ? "kind-error whole" : "kind-error" }, error))),
    h("dl", { class: "kind-facts" },
      h("div", null, h("dt", null, "ended as"), h("dd", null, HOWS[kind.how] ?? (words(kind.how) || "unknown"))),
      kind.whose_fault && h("div", null, h("dt", null, "fault of"), h("dd", null, FAULTS[kind.whose_fault] ?? words(kind.whose_fault))),
      kind.plugin && h("div", null, h("dt", null, "plugin"), h("dd", null, kind.plugin)),
      kind.count !== 1 && h("div", null, h("dt", null, "first"), h("dd", null, h(Age, { at: kind.first_seen_at }))),
      h("div", null, h("dt", null, kind.count === 1 ? "seen" : "last"), h("dd", null, h(Age, { at: kind.last_seen_at }))),
      kind.retried > 0 && h("div", null, h("dt", null, "run again"), h("dd", null, `${count(kind.retried)} of ${count(kind.count)}`)),
      h("div", { class: "kind-example" }, h("dt", null, "newest"), h("dd", { class: "cut" }, h(TaskLink, { id: kind.example })))),
    may.act && kind.count > 0 && h("div", { class: "row kind-acts" },
      h("button", { type: "button", class: "button", disabled: left <= 0, title: left <= 0 ? "All of them were run again already" : null, onclick: () => act("retry", filter, `All dead letters of this kind: ${error}`) }, icon("retry"), left === 1 ? "Run it again…" : `Run all ${count(left)} again…`),
      may.rule && h("button", { type: "button", class: "button", onclick: () => act("purge", filter, `All dead letters of this kind: ${error}`) }, icon("trash"), "Purge…")),
    isOpen && h("div", { id: `letters-${fingerprint}` }, h(Letters, { fingerprint, changes })));
}

/** What failed and was not to be tried again is no dead letter: where that is. */
function Failures() {
  const failed = counters.value.failed ?? 0;
  return failed ? h("p", { class: "soft" }, h("a", { href: "/tasks?state=failed" }, plural(failed, "task")), " failed without more tries, and ", failed === 1 ? "is" : "are", " not among these.") : null;
}

export default function Dead() {
  const open = filter("open", "", { push: true });
  const dead = deadKinds();

  /** @param {string} fingerprint */
  const turn = (fingerprint) => { open.value = open.peek() === fingerprint ? "" : fingerprint; };
  /** @param {"retry" | "purge"} action @param {FilterBody} filter @param {string} what */
  const act = async (action, filter, what) => {
    if (await many(action, filter, { what })) await (action === "purge" ? dead.reload() : dead.follow());
  };

  return () => {
    const kinds = dead.kinds.value;
    const all = kinds.reduce((sum, kind) => sum + kind.count, 0);
    const fresh = dead.newCount();
    return h("div", { id: "dead", class: "dead" },
      h("div", { class: "page-head" }, h("h1", null, "Dead letters"),
        fresh > 0 && h("button", { key: "fresh", type: "button", class: "button primary small fresh", onclick: dead.showNew }, plural(fresh, "new kind")),
        all > 0 && h("span", { key: "sum", class: "soft number" }, `${plural(all, "task")} of ${plural(kinds.length, "kind")}${dead.next.value ? ", and more" : ""}`),
        all > 0 && may.act && h("button", { key: "retry", type: "button", class: "button", onclick: () => act("retry", { state: "dead_letter" }, "All dead letters, of every kind.") }, icon("retry"), "Run all again…"),
        all > 0 && may.rule && h("button", { key: "purge", type: "button", class: "button", onclick: () => act("purge", { state: "dead_letter" }, "All dead letters, of every kind.") }, icon("trash"), "Purge all…")),
      dead.error.value && h(Failed, { key: "failed", error: dead.error.value, again: dead.reload }),
      !dead.isLoaded.value && !dead.error.value && h(Loading, { key: "loading" }),
      dead.isLoaded.value && !kinds.length && h(Empty, { key: "empty", title: "No dead letters.", text: "A task comes here when it was tried as often as it may be. The same list in a terminal:", command: "hub dead list --group" }),
      kinds.map((kind) => h(Kind, { key: kind.fingerprint, kind, isOpen: open.value === kind.fingerprint, turn, act, changes: dead.changes })),
      dead.next.value && h("button", { key: "more", type: "button", class: "button", onclick: () => attempt(dead.more) }, "Older kinds"),
      h(Failures, { key: "failures" }));
  };
}
