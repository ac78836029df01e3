// @ts-check
// What each agent did over the last minutes, as bars in time. Owns the bars and their bounds.

import { signal } from "./signal.js";

/** @typedef {{ task_id: string, from: number, to: number | null, state: string, track: number }} Bar */

export const WINDOW_MS = 10 * 60_000;
const SHORTER_MS = [60_000, 120_000, 300_000];      // a fleet that has just begun to work is shown larger
const BARS_MAX = 120;             // a lane; more in ten minutes are narrower than a pixel
const LANES_MAX = 2_000;
const TRACKS_MAX = 6;             // of one lane; thinner bars could not be told apart

/** Grows whenever a bar has changed. */
export const lanesChanged = signal(0);
/** @type {Map<string, Bar[]>} */
const lanes = new Map();

/** Its bars, oldest first. @param {string} agentId @returns {readonly Bar[]} */
export const barsOf = (agentId) => lanes.get(agentId) ?? [];

/** The open bar of a task on this lane, or a new one. @param {string} agentId @param {string} taskId @param {number} from @param {string} state @returns {Bar} */
export function addBar(agentId, taskId, from, state) {
  let lane = lanes.get(agentId);
  if (!lane) {
    if (lanes.size >= LANES_MAX) lanes.delete(/** @type {string} */ (lanes.keys().next().value));
    lanes.set(agentId, lane = []);
  }
  for (let n = lane.length - 1; n >= 0; n -= 1) if (lane[n].task_id === taskId && lane[n].to === null) return lane[n];
  const bar = { task_id: taskId, from, to: null, state, track: freeTrack(lane, from) };
  lane.push(bar);
  while (lane.length > BARS_MAX || isPast(lane[0], from)) lane.shift();
  return bar;
}

/** Has it left the lane? An hour of such bars is most of what a page would keep. @param {Bar} bar @param {number} now */
const isPast = (bar, now) => bar.to !== null && bar.to < now - WINDOW_MS;

/** Tasks that go at the same time lie below each other. @param {Bar[]} lane @param {number} from */
function freeTrack(lane, from) {
  const taken = new Set(lane.filter((bar) => bar.to === null || bar.to > from).map((bar) => bar.track));
  for (let n = 0; n < TRACKS_MAX; n += 1) if (!taken.has(n)) return n;
  return lane.length % TRACKS_MAX;
}

/** How many lie below each other. @param {readonly Bar[]} lane */
export const tracksOf = (lane) => lane.reduce((most, bar) => Math.max(most, bar.track + 1), 1);

/** @param {Bar} bar @param {string} state */
export function markBar(bar, state) { bar.state = state; }

/** @param {Bar} bar @param {number} to @param {string} state */
export function endBar(bar, to, state) { bar.to = to; bar.state = state; }

/** How much time the lanes are to show: as little as holds all that was done lately. @param {number} now */
export function spanOf(now) {
  let reach = 0;
  for (const lane of lanes.values()) {
    for (const bar of lane) if (bar.to === null || bar.to > now - WINDOW_MS) { reach = Math.max(reach, now - bar.from); break; }
    if (reach > SHORTER_MS[SHORTER_MS.length - 1]) return WINDOW_MS;
  }
  return SHORTER_MS.find((span) => reach <= span) ?? WINDOW_MS;
}

export function clearLanes() { lanes.clear(); }
