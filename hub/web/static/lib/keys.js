// @ts-check
// The keyboard: `/` searches, `g` and a letter goes somewhere, `?` lists what there is. Never takes a key from a field.

import { onClose } from "./signal.js";

const WAIT_MS = 1_500;            // for the second key of two

/** @type {Map<string, { keys: string, text: string, act: () => void }>} */
const known = new Map();
let first = "";
let timer = /** @type {any} */ (0);

/** Keys of a view end with it. @param {string} keys "/" or "g t" @param {string} text for the list @param {() => void} act */
export function onKey(keys, text, act) {
  const mine = { keys, text, act };
  known.set(keys, mine);
  const end = () => { if (known.get(keys) === mine) known.delete(keys); };
  onClose(end);
  return end;
}

/** What can be pressed now, for the list. */
export const allKeys = () => [...known.values()];

/** The field that `/` goes to: the first on the page that asks for it. */
export function search() {
  const field = document.querySelector("[data-search]");
  if (field instanceof HTMLElement) field.focus();
}

/** @param {EventTarget | null} target */
const isField = (target) => target instanceof HTMLElement && (target.isContentEditable || /^(?:input|textarea|select)$/i.test(target.tagName));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape" && isField(event.target)) { /** @type {HTMLElement} */ (event.target).blur(); return; }
  if (isField(event.target) || document.querySelector("dialog[open]")) return;
  const keys = first ? `${first} ${event.key}` : event.key;
  clearTimeout(timer);
  first = "";
  const found = known.get(keys);
  if (found) { event.preventDefault(); found.act(); return; }
  if ([...known.keys()].some((one) => one.startsWith(`${keys} `))) {
    first = keys;
    timer = setTimeout(() => { first = ""; }, WAIT_MS);
  }
});
