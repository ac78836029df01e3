// @ts-check
// A list of any length that draws only what is seen. Owns the scrolling; rows have known heights.

import { h } from "./render.js";
import { onClose, signal } from "./signal.js";

const SPARE_PX = 240;             // drawn above and below, so that scrolling shows no holes
const NEAR_PX = 24;               // so near to its end counts as at its end

/** `height` is a number, or what a row takes at a width. `pin: "end"` stays at the end while nobody scrolls up (a log),
 *  `"start"` tells `onaway(true)` when somebody has left the start (a feed). Rows must keep to their heights.
 *  @param {{ items: readonly any[], height: number | ((item: any, width: number) => number), row: (item: any, n: number) => any, id?: (item: any, n: number) => any,
 *    label: string, name?: string, elementId?: string, pin?: "start" | "end", onaway?: (isAway: boolean) => void, change?: any, role?: string }} first */
export function VirtualList(first) {
  const view = signal({ top: 0, tall: 600, wide: 800 });
  let box = /** @type {any} */ (null);
  let props = first;
  let isPinned = first.pin === "end";
  let isAway = false;
  let pinnedAt = 0;
  /** @type {{ items: any, count: number, wide: number, change: any, tops: Float64Array }} */
  let laid = { items: null, count: -1, wide: -1, change: undefined, tops: new Float64Array(1) };
  const resize = new ResizeObserver(() => measure());
  onClose(() => resize.disconnect());

  function measure() {
    if (!box) return;
    const now = view.peek();
    if (now.top !== box.scrollTop || now.tall !== box.clientHeight || now.wide !== box.clientWidth) view.value = { top: box.scrollTop, tall: box.clientHeight || now.tall, wide: box.clientWidth || now.wide };
  }

  /** Go to the end, unless somebody has scrolled up since it was there last. */
  function pin() {
    if (!box || !isPinned || box.scrollTop < pinnedAt - NEAR_PX) return;
    box.scrollTop = box.scrollHeight;
    pinnedAt = box.scrollTop;
  }

  /** @param {any} node */
  function hold(node) {
    if (!node) { resize.disconnect(); box = null; return; }
    box = node;
    resize.observe(node);
    requestAnimationFrame(() => { pin(); measure(); });
  }

  function onscroll() {
    measure();
    if (props.pin === "end") isPinned = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
    if (isPinned) pinnedAt = box.scrollTop;
    const away = props.pin === "end" ? !isPinned : box.scrollTop > NEAR_PX;
    if (away !== isAway) { isAway = away; props.onaway?.(away); }
  }

  /** @param {number} wide */
  function lay(wide) {
    const { items, height, change } = props;
    if (laid.items === items && laid.count === items.length && laid.wide === wide && laid.change === change) return laid.tops;
    const tops = new Float64Array(items.length + 1);
    for (let n = 0; n < items.length; n += 1) tops[n + 1] = tops[n] + (typeof height === "number" ? height : height(items[n], wide));
    laid = { items, count: items.length, wide, change, tops };
    return tops;
  }


  return (/** @type {typeof first} */ now) => {
    props = now;
    const { top, tall, wide } = view.value;
    const tops = lay(wide);
    const whole = tops[tops.length - 1];
    const from = placeAt(tops, Math.max(0, Math.min(top, whole - tall) - SPARE_PX));
    const to = Math.min(now.items.length, placeAt(tops, top + tall + SPARE_PX) + 1);
    const rows = [];
    for (let n = from; n < to; n += 1) rows.push(h("li", { key: now.id ? now.id(now.items[n], n) : n, class: "virtual-row", style: { height: `${tops[n + 1] - tops[n]}px` }, "aria-setsize": now.items.length, "aria-posinset": n + 1 }, now.row(now.items[n], n)));
    if (isPinned && box) requestAnimationFrame(pin);
    return h("div", { class: `virtual ${now.name ?? ""}`, tabindex: 0, role: "group", "aria-label": now.label, ref: hold, onscroll },
      h("ul", { id: now.elementId, class: "virtual-rows", style: { "padding-top": `${tops[from]}px`, "padding-bottom": `${whole - tops[to]}px` } }, rows));
  };
}

/** The row at a height. @param {Float64Array} tops @param {number} px */
function placeAt(tops, px) {
  let low = 0;
  let high = Math.max(0, tops.length - 2);
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (tops[middle] <= px) low = middle; else high = middle - 1;
  }
  return low;
}
