// @ts-check
// Values that know who reads them: signal, computed, effect, batch. Owns the graph; never touches the page.

/** @typedef {{ run: () => void, sources: Set<Set<Reader>>, level: number }} Reader */
/** @typedef {{ closers: (() => void)[] }} Owner */
/** @template T @typedef {{ value: T, peek: () => T }} Signal */
/** @template T @typedef {{ readonly value: T, peek: () => T }} Computed */

const ROUNDS_MAX = 100;      // effects that set what they read would go round for ever

/** @type {Reader | null} */
let reading = null;
/** @type {Owner | null} */
let owner = null;
let depth = 0;
/** @type {Set<Reader>} */
let waiting = new Set();

/** @param {Set<Reader>} readers */
function note(readers) {
  if (reading) { readers.add(reading); reading.sources.add(readers); }
}

/** @param {Set<Reader>} readers */
function wake(readers) {
  for (const reader of readers) waiting.add(reader);
  if (depth === 0) flush();
}

function flush() {
  depth += 1;
  try {
    for (let round = 0; waiting.size; round += 1) {
      if (round > ROUNDS_MAX) { waiting.clear(); throw new Error("an effect changes what it reads, without an end"); }
      const now = [...waiting].sort((a, b) => a.level - b.level);   // computed values first, then who shows them
      waiting = new Set();
      for (const reader of now) reader.run();
    }
  } finally { depth -= 1; }
}

/** @param {Reader} reader */
function forget(reader) {
  for (const readers of reader.sources) readers.delete(reader);
  reader.sources.clear();
  waiting.delete(reader);
}

/** A value that can be set. Same value (Object.is): nobody is woken. @template T @param {T} first @returns {Signal<T>} */
export function signal(first) {
  let held = first;
  /** @type {Set<Reader>} */
  const readers = new Set();
  return {
    get value() { note(readers); return held; },
    set value(next) { if (Object.is(held, next)) return; held = next; wake(readers); },
    peek: () => held,
  };
}

/** A value made of others, worked out anew when they change. @template T @param {() => T} make @returns {Computed<T>} */
export function computed(make) {
  const held = /** @type {Signal<T>} */ (signal(/** @type {any} */ (undefined)));
  watch(() => { held.value = make(); }, 0);
  return { get value() { return held.value; }, peek: held.peek };
}

/** Run now, and again whenever what it read changes; what it returns is called before the next run and at the end.
 *  @param {() => (void | (() => void))} act @returns {() => void} the end of it */
export function effect(act) { return watch(act, 1); }

/** @param {() => any} act @param {number} level */
function watch(act, level) {
  /** @type {any} */
  let cleanup = null;
  let isOver = false;
  /** @type {Reader} */
  const reader = { sources: new Set(), level, run() {
    if (isOver) return;
    if (typeof cleanup === "function") untracked(cleanup);
    cleanup = tracked(reader, act);
  } };
  function end() {
    if (isOver) return;
    isOver = true;
    forget(reader);
    if (typeof cleanup === "function") untracked(cleanup);
  }
  owner?.closers.push(end);
  reader.run();
  return end;
}

/** Run `act` and remember in `reader` what it read. @template T @param {Reader} reader @param {() => T} act @returns {T} */
export function tracked(reader, act) {
  forget(reader);
  const before = reading;
  reading = reader;
  depth += 1;
  try { return act(); } finally {
    reading = before;
    depth -= 1;
    if (depth === 0 && waiting.size) flush();
  }
}

/** A reader of its own, for the renderer: `run` is called when something it read has changed. @param {() => void} run @returns {Reader} */
export const makeReader = (run) => ({ sources: new Set(), level: 2, run });
export { forget as forgetReader };

/** Read without being woken by it. @template T @param {() => T} act @returns {T} */
export function untracked(act) {
  const before = reading;
  reading = null;
  try { return act(); } finally { reading = before; }
}

/** Many changes, one waking. @template T @param {() => T} act @returns {T} */
export function batch(act) {
  depth += 1;
  try { return act(); } finally { depth -= 1; if (depth === 0 && waiting.size) flush(); }
}

/** Effects made inside end together. @template T @param {(owner: Owner) => T} act @param {Owner} [own] @returns {{ result: T, close: () => void }} */
export function scope(act, own = { closers: [] }) {
  const before = owner;
  owner = own;
  try { return { result: act(own), close: () => closeOwner(own) }; } finally { owner = before; }
}

/** @param {Owner} own */
export function closeOwner(own) {
  for (const close of own.closers.splice(0).reverse()) close();
}

/** Call this when the component or scope that is being set up goes away. @param {() => void} act */
export function onClose(act) { owner?.closers.push(act); }
