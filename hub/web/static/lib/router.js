// @ts-check
// Where we are: the path and the query string as signals. Links need no listener of their own; Back works.

import { computed, signal } from "./signal.js";

/** @param {Location | URL} place */
const read = (place) => ({ path: place.pathname, query: place.search, hash: place.hash });

/** @type {import("./signal.js").Signal<{ path: string, query: string, hash: string }>} */
export const place = signal(read(location));
const query = computed(() => new URLSearchParams(place.value.query));
const scrolls = new Map();      // how far the page was scrolled, by its place in the history
const SCROLLS_MAX = 100;
let step = Number(history.state?.step ?? 0);

/** Go to an address of the page: "/tasks?state=failed". @param {string} address @param {{ replace?: boolean }} [how] */
export function go(address, { replace = false } = {}) {
  const url = new URL(address, location.origin);
  if (url.origin !== location.origin) return;
  const text = url.pathname + url.search + url.hash;
  if (text === location.pathname + location.search + location.hash) return;
  if (!replace) {
    scrolls.set(step, scrollY);
    if (scrolls.size > SCROLLS_MAX) scrolls.delete(scrolls.keys().next().value);
    step += 1;
  }
  history[replace ? "replaceState" : "pushState"]({ step }, "", text);
  const isOtherPage = url.pathname !== place.peek().path;
  place.value = read(location);
  if (isOtherPage && !replace) scrollTo(0, 0);
}

/** A member of the query string, as a signal. Typing replaces the address, choosing (`push`) makes a step for Back.
 *  @param {string} name @param {string} [initial] @param {{ push?: boolean }} [how] @returns {{ value: string, peek: () => string }} */
export function filter(name, initial = "", { push = false } = {}) {
  return {
    get value() { return query.value.get(name) ?? initial; },
    peek: () => query.peek().get(name) ?? initial,
    set value(next) { setFilters({ [name]: next === initial ? "" : next }, { push }); },
  };
}

/** Several members at once; empty ones leave the address. @param {Record<string, string>} changes @param {{ push?: boolean }} [how] */
export function setFilters(changes, { push = false } = {}) {
  const next = new URLSearchParams(place.peek().query);
  for (const [name, value] of Object.entries(changes)) if (value) next.set(name, value); else next.delete(name);
  const text = next.toString();
  go(place.peek().path + (text ? `?${text}` : "") + place.peek().hash, { replace: !push });
}

/** The members of a path: match("/tasks/:id", "/tasks/t1") is {id: "t1"}; null when it is another.
 *  @param {string} pattern @param {string} path @returns {Record<string, string> | null} */
export function match(pattern, path) {
  const wanted = pattern.split("/");
  const said = path.replace(/(.)\/$/, "$1").split("/");
  if (wanted.length !== said.length) return null;
  /** @type {Record<string, string>} */
  const found = {};
  for (let n = 0; n < wanted.length; n += 1) {
    if (wanted[n].startsWith(":")) {
      try { found[wanted[n].slice(1)] = decodeURIComponent(said[n]); } catch { return null; }
      if (!said[n]) return null;
    } else if (wanted[n] !== said[n]) return null;
  }
  return found;
}

addEventListener("popstate", (event) => {
  scrolls.set(step, scrollY);
  step = Number(event.state?.step ?? 0);
  place.value = read(location);
  const top = scrolls.get(step);
  if (top !== undefined) requestAnimationFrame(() => requestAnimationFrame(() => scrollTo(0, top)));
});

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const address = link?.getAttribute("href");
  if (!link || !address || link.hasAttribute("download") || link.target === "_blank" || link.hasAttribute("data-outside")) return;
  if (!/^[/?](?!\/)/.test(address) || address.startsWith("/api/")) return;
  event.preventDefault();
  go(address.startsWith("?") ? place.peek().path + address : address);
});
