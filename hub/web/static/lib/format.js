// @ts-check
// How numbers and times are written, and the one clock of the page. Owns the ticks that ages follow.

import { signal } from "./signal.js";
import { skewMs } from "./skew.js";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** The hub's time now, as well as this browser can know it: its own clock may be wrong. */
export const hubNow = () => Date.now() - skewMs();

const second = signal(hubNow());
const minute = signal(hubNow());
let at = 0;
setInterval(() => {
  if (document.hidden) return;
  second.value = hubNow();
  at += 1;
  if (at % 10 === 0) minute.value = second.peek();
}, SECOND);
document.addEventListener("visibilitychange", () => { if (!document.hidden) { second.value = hubNow(); minute.value = second.peek(); } });

/** The hub's time; whoever reads it is drawn again each second. */
export const everySecond = () => second.value;
/** The hub's time; whoever reads it is drawn again every ten seconds. */
export const everyTenSeconds = () => minute.value;

/** 850 ms · 4.2 s · 3 min 20 s · 2 h 5 min · 3 d 4 h @param {number | null | undefined} ms */
export function duration(ms) {
  if (typeof ms !== "number" || !Number.isFinite(ms)) return "–";
  const span = Math.max(0, ms);
  if (span < SECOND) return `${Math.round(span)} ms`;
  if (span < 10 * SECOND) return `${(Math.floor(span / 100) / 10).toFixed(1)} s`;
  if (span < MINUTE) return `${Math.floor(span / SECOND)} s`;
  if (span < HOUR) return two(span, MINUTE, "min", SECOND, "s");
  if (span < DAY) return two(span, HOUR, "h", MINUTE, "min");
  return two(span, DAY, "d", HOUR, "h");
}

/** @param {number} span @param {number} big @param {string} bigName @param {number} small @param {string} smallName */
function two(span, big, bigName, small, smallName) {
  const rest = Math.floor((span % big) / small);
  return `${Math.floor(span / big)} ${bigName}${rest ? ` ${rest} ${smallName}` : ""}`;
}

/** "just now", "12 s ago", "in 5 min": one unit. @param {number | null | undefined} wallMs @param {number} [now] */
export function age(wallMs, now = everyTenSeconds()) {
  if (typeof wallMs !== "number" || wallMs <= 0) return "never";
  const span = now - wallMs;
  const size = Math.abs(span);
  if (size < 5 * SECOND) return "just now";
  const [unit, name] = size < MINUTE ? [SECOND, "s"] : size < HOUR ? [MINUTE, "min"] : size < DAY ? [HOUR, "h"] : [DAY, "d"];
  const words = `${Math.floor(size / /** @type {number} */ (unit))} ${name}`;
  return span > 0 ? `${words} ago` : `in ${words}`;
}

const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DATE = new Intl.DateTimeFormat([], { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** 14:03:09, of a moment. @param {number} wallMs */
export const clock = (wallMs) => CLOCK.format(wallMs);
/** The whole date and time, for titles. @param {number | null | undefined} wallMs */
export const moment = (wallMs) => (typeof wallMs === "number" && wallMs > 0 ? DATE.format(wallMs) : "never");
/** For `datetime`. @param {number} wallMs */
export const iso = (wallMs) => { const date = new Date(wallMs); return Number.isNaN(date.getTime()) ? "" : date.toISOString(); };

const WHOLE = new Intl.NumberFormat("en");
/** 12,345 @param {number | null | undefined} n */
export const count = (n) => (typeof n === "number" && Number.isFinite(n) ? WHOLE.format(n) : "–");
/** "1 task", "3 tasks" @param {number} n @param {string} one @param {string} [many] */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** 812 · 4.2k · 1.3M @param {number | null | undefined} n */
export function tokens(n) {
  if (typeof n !== "number" || !Number.isFinite(n)) return "–";
  if (n < 1_000) return String(Math.round(n));
  return n < 1_000_000 ? `${trim(n / 1_000)}k` : `${trim(n / 1_000_000)}M`;
}

/** 812 B · 4.2 KiB · 1.3 MiB @param {number | null | undefined} n */
export function bytes(n) {
  if (typeof n !== "number" || !Number.isFinite(n)) return "–";
  if (n < 1_024) return `${Math.round(n)} B`;
  if (n < 1_048_576) return `${trim(n / 1_024)} KiB`;
  return n < 1_073_741_824 ? `${trim(n / 1_048_576)} MiB` : `${trim(n / 1_073_741_824)} GiB`;
}

/** @param {number} n */
const trim = (n) => (n >= 100 ? String(Math.floor(n)) : (Math.floor(n * 10) / 10).toString());

/** 45 % @param {number | null | undefined} n */
export const percent = (n) => (typeof n === "number" ? `${Math.round(Math.max(0, Math.min(100, n)))} %` : "–");

/** The words for people: `dead_letter` is "dead letter". @param {string | null | undefined} word */
export const words = (word) => String(word ?? "").replaceAll("_", " ");

/** How a state or an event feels: good, warn, bad, busy, plain. @param {string | null | undefined} state */
export function tone(state) {
  switch (state) {
    case "completed": case "online": case "satisfied": return "good";
    case "running": case "assigned": case "processing": return "busy";
    case "failed": case "dead_letter": case "quarantined": return "bad";
    case "recovering": case "input_required": case "cancelling": case "paused": case "draining": case "resting": return "warn";
    default: return "plain";
  }
}
