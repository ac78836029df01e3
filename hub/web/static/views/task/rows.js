// @ts-check
// A list of rows of one height, as long as it may be, of which only those in sight are drawn. It is one stop for Tab: the
// arrows walk it, and Enter acts. Owns scrolling, the row that is active, and staying at the end of what grows.

import { h } from "../../lib/render.js";
import { onClose, signal } from "../../lib/signal.js";

const SPARE_PX = 200;             // drawn above and below what is seen
const NEAR_PX = 24;               // so near to the end counts as at the end

/** @typedef {{ items: readonly any[], dropped?: number, change?: any, keyOf: (item: any) => string | number, rowPx: (wide: number) => number,
 *   row: (item: any, isActive: boolean) => any, about?: (item: any) => Record<string, any>, role: "tree" | "listbox", label: string, elementId: string,
 *   active: import("../../lib/signal.js").Signal<any>, act: (item: any) => void, onkey?: (key: string, item: any) => boolean,
 *   pinned?: import("../../lib/signal.js").Signal<boolean> }} RowsProps */

/** `items` oldest first; `dropped`: how many were taken away at its beginning so far; `pinned`: whether it stays at its end.
 *  @param {RowsProps} first */
export function Rows(first) {
  const view = signal({ top: 0, tall: 400, wide: 600 });
  let props = first;
  let box = /** @type {any} */ (null);
  let lastTop = 0;
  let dropped = first.dropped ?? 0;
  const resize = new ResizeObserver(() => measure());
  onClose(() => resize.disconnect());

  const rowPx = () => props.rowPx(view.peek().wide);
  const isPinned = () => props.pinned?.peek() === true;

  function measure() {
    if (!box) return;
    const now = view.peek();
    const next = { top: box.scrollTop, tall: box.clientHeight || now.tall, wide: box.clientWidth || now.wide };
    if (now.top !== next.top || now.tall !== next.tall || now.wide !== next.wide) view.value = next;
  }

  /** @param {any} node */
  function hold(node) {
    resize.disconnect();
    box = node;
    if (!node) return;
    resize.observe(node);
    queueMicrotask(settle);
  }

  /** After a drawing: at the end, if that is wanted; else what is read stays where it is. */
  function settle() {
    if (!box) return;
    const gone = (props.dropped ?? 0) - dropped;
    dropped = props.dropped ?? 0;
    if (isPinned()) box.scrollTop = box.scrollHeight;
    else if (gone > 0) box.scrollTop = Math.max(0, box.scrollTop - gone * rowPx());
    lastTop = box.scrollTop;
    measure();
  }

  function onscroll() {
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
    if (props.pinned) {
      if (isAtEnd) props.pinned.value = true;
      else if (box.scrollTop < lastTop - 1) props.pinned.value = false;
    }
    lastTop = box.scrollTop;
    measure();
  }

  const placeOf = () => props.items.findIndex((item) => props.keyOf(item) === props.active.peek());

  /** @param {number} n */
  function goTo(n) {
    const place = Math.max(0, Math.min(props.items.length - 1, n));
    const tall = rowPx();
    props.active.value = props.keyOf(props.items[place]);
    if (place * tall < box.scrollTop) box.scrollTop = place * tall;
    else if ((place + 1) * tall > box.scrollTop + box.clientHeight) box.scrollTop = (place + 1) * tall - box.clientHeight;
  }

  /** @param {KeyboardEvent} event */
  function onkeydown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !props.items.length) return;
    const now = placeOf();
    const from = now >= 0 ? now : Math.floor(box.scrollTop / rowPx()) - (event.key === "ArrowDown" ? 1 : 0);
    const page = Math.max(1, Math.floor(box.clientHeight / rowPx()) - 1);
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: from + 1, ArrowUp: from - 1, PageDown: from + page, PageUp: from - page, Home: 0, End: props.items.length - 1 };
    if (event.key in steps) goTo(steps[event.key]);
    else if (now >= 0 && (event.key === "Enter" || event.key === " ")) props.act(props.items[now]);
    else if (now < 0 || !props.onkey?.(event.key, props.items[now])) return;
    event.preventDefault();
  }

  /** @param {any} item */
  function choose(item) {
    props.active.value = props.keyOf(item);
    props.act(item);
  }

  /** @param {any} item @param {number} n @param {number} tall */
  function line(item, n, tall) {
    const key = props.keyOf(item);
    const isActive = props.active.value === key;
    return h("div", { key, id: `${props.elementId}-${key}`, role: props.role === "tree" ? "treeitem" : "option", class: isActive ? "rows-one active" : "rows-one", "aria-selected": String(isActive),
      "aria-setsize": props.items.length, "aria-posinset": n + 1, ...props.about?.(item), style: { top: `${n * tall}px`, height: `${tall}px` }, onclick: () => choose(item) }, props.row(item, isActive));
  }

  return (/** @type {RowsProps} */ now) => {
    props = now;
    const { top, tall, wide } = view.value;
    const one = now.rowPx(wide);
    const whole = now.items.length * one;
    const at = now.pinned?.value ? whole - tall : Math.min(top - Math.max(0, (now.dropped ?? 0) - dropped) * one, whole - tall);
    const from = Math.max(0, Math.floor((at - SPARE_PX) / one));
    const to = Math.min(now.items.length, Math.ceil((Math.max(0, at) + tall + SPARE_PX) / one));
    const drawn = now.items.slice(from, to);
    const isSeen = drawn.some((item) => now.keyOf(item) === now.active.value);
    queueMicrotask(settle);
    return h("div", { id: now.elementId, class: "rows", role: now.role, tabindex: 0, "aria-label": now.label, "aria-activedescendant": isSeen ? `${now.elementId}-${now.active.value}` : null, ref: hold, onscroll, onkeydown },
      h("div", { class: "rows-all", role: "presentation", style: { height: `${whole}px` } }, drawn.map((item, n) => line(item, from + n, one))));
  };
}
