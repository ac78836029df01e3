// @ts-check
// Asking before it is done, and saying what was done: dialogs, and short notes that a screen reader hears.

import { Refusal } from "./api.js";
import { icon } from "./icons.js";
import { h } from "./render.js";
import { signal } from "./signal.js";

/** @typedef {{ title: string, body?: any, yes?: string, no?: string, isDangerous?: boolean, answer: (said: boolean) => void }} Asked */
/** @typedef {{ id: number, text: string, kind: "good" | "bad" | "plain", link?: { address: string, text: string } }} Note */

const NOTE_MS = 6_000;
const BAD_NOTE_MS = 15_000;       // what went wrong is read more slowly
const NOTES_MAX = 4;

const asked = signal(/** @type {Asked | null} */ (null));
const notes = signal(/** @type {Note[]} */ ([]));
let counted = 0;

/** Ask a person. `body` is text or a node; false when the dialog was left. @param {Omit<Asked, "answer">} what @returns {Promise<boolean>} */
export function confirm(what) {
  asked.peek()?.answer(false);
  const before = document.activeElement;
  return new Promise((go) => {
    asked.value = { ...what, answer(said) {
      asked.value = null;
      if (before instanceof HTMLElement) requestAnimationFrame(() => before.focus());
      go(said);
    } };
  });
}

/** A short note at the edge of the page. @param {string} text @param {"good" | "bad" | "plain"} [kind] @param {Note["link"]} [link] */
export function tell(text, kind = "plain", link = undefined) {
  const note = { id: counted += 1, text, kind, link };
  notes.value = [...notes.peek(), note].slice(-NOTES_MAX);
  setTimeout(() => drop(note.id), kind === "bad" ? BAD_NOTE_MS : NOTE_MS);
}

/** @param {number} id */
function drop(id) { notes.value = notes.peek().filter((note) => note.id !== id); }

/** Do something that may be refused; say how it went. True when it was done.
 *  @param {() => Promise<any>} act @param {string | ((answer: any) => string)} [done] @returns {Promise<boolean>} */
export async function attempt(act, done) {
  try {
    const answer = await act();
    const text = typeof done === "function" ? done(answer) : done;
    if (text) tell(text, "good");
    return true;
  } catch (error) {
    tell(error instanceof Refusal ? error.advice : String(error), "bad");
    return false;
  }
}

/** @param {string} text @param {string} [what] */
export const copy = (text, what = "Copied") => attempt(async () => {
  if (!navigator.clipboard) throw new Error("This browser copies over https or on the hub's own machine only: select it and copy by hand.");
  await navigator.clipboard.writeText(text);
}, what);

/** Shown once, by the shell. */
export function Dialogs() {
  return () => {
    const now = asked.value;
    return h("div", { class: "dialogs" },
      now && h("dialog", { key: "ask", class: "dialog", "aria-labelledby": "dialog-title", ref: openDialog,
        oncancel: (/** @type {Event} */ event) => { event.preventDefault(); now.answer(false); },
        onclick: (/** @type {MouseEvent} */ event) => { if (event.target === event.currentTarget) now.answer(false); } },
        h("form", { class: "dialog-form", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); now.answer(true); } },
          h("h2", { id: "dialog-title" }, now.title),
          h("div", { class: "dialog-text" }, now.body),
          h("div", { class: "row end" },
            h("button", { type: "button", class: "button", onclick: () => now.answer(false) }, now.no ?? "Back"),
            h("button", { type: "submit", class: now.isDangerous ? "button danger" : "button primary" }, now.yes ?? "Yes")))),
      h("div", { key: "notes", class: "notes", role: "status", "aria-live": "polite" },
        notes.value.map((note) => h("div", { key: note.id, class: "note", "data-tone": note.kind },
          h("span", { class: "note-text" }, note.text),
          note.link && h("a", { href: note.link.address }, note.link.text),
          h("button", { type: "button", class: "bare", "aria-label": "Dismiss", onclick: () => drop(note.id) }, icon("close", 14))))));
  };
}

/** @param {any} node */
function openDialog(node) { if (node) queueMicrotask(() => { if (node.isConnected && !node.open) node.showModal(); }); }
