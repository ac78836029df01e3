// @ts-check
// Dark, light, or as the machine says. Kept in a cookie that holds this word and nothing else.

import { effect, signal } from "./lib/signal.js";

const YEAR_S = 365 * 24 * 3600;
export const WORDS = /** @type {const} */ (["auto", "dark", "light"]);
/** @typedef {typeof WORDS[number]} Theme */

const kept = /(?:^|; )hub-theme=(dark|light)/.exec(document.cookie)?.[1];
/** @type {import("./lib/signal.js").Signal<Theme>} */
export const theme = signal(/** @type {Theme} */ (kept ?? "auto"));

/** The next of the three. */
export const turnTheme = () => setTheme(WORDS[(WORDS.indexOf(theme.peek()) + 1) % WORDS.length]);

/** @param {Theme} word */
export function setTheme(word) {
  theme.value = word;
  const age = theme.peek() === "auto" ? 0 : YEAR_S;
  document.cookie = `hub-theme=${theme.peek()}; path=/; max-age=${age}; samesite=strict`;
}

effect(() => {
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});
