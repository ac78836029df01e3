// @ts-check
// A button with a short list of things to do. Escape, a choice, and going away close it; the focus goes back to the button.

import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { onClose, signal } from "../../lib/signal.js";

/** @param {{ label: string, iconName: string, id: string, items: { text: string, act: () => void }[] }} first */
export function Menu({ id }) {
  const isOpen = signal(false);
  let box = /** @type {any} */ (null);
  const leave = (/** @type {Event} */ event) => { if (isOpen.peek() && box && !box.contains(event.target)) isOpen.value = false; };
  document.addEventListener("pointerdown", leave);
  onClose(() => document.removeEventListener("pointerdown", leave));

  /** @param {boolean} toButton */
  function close(toButton) {
    isOpen.value = false;
    if (toButton) document.getElementById(id)?.focus();
  }

  /** @param {KeyboardEvent} event */
  function onkeydown(event) {
    if (event.key === "Escape" && isOpen.peek()) { event.stopPropagation(); close(true); return; }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    if (!isOpen.peek()) { isOpen.value = true; requestAnimationFrame(() => box?.querySelector(".menu-list button")?.focus()); return; }
    const all = [...box.querySelectorAll(".menu-list button")];
    const now = all.indexOf(document.activeElement);
    all[(now + (event.key === "ArrowDown" ? 1 : all.length - 1) + (now < 0 && event.key === "ArrowUp" ? 1 : 0)) % all.length]?.focus();
  }

  return (/** @type {{ label: string, iconName: string, id: string, items: { text: string, act: () => void }[] }} */ { label, iconName, items }) =>
    h("div", { class: "menu-box", ref: (/** @type {any} */ node) => { box = node; }, onkeydown, onfocusout: (/** @type {FocusEvent} */ event) => { if (event.relatedTarget && !box?.contains(event.relatedTarget)) isOpen.value = false; } },
      h("button", { type: "button", id, class: "button", "aria-expanded": String(isOpen.value), "aria-controls": isOpen.value ? `${id}-list` : null, onclick: () => { isOpen.value = !isOpen.peek(); } }, icon(iconName, 16), h("span", null, label), icon("down", 12)),
      isOpen.value && h("ul", { id: `${id}-list`, class: "menu-list" }, items.map((one) => h("li", { key: one.text }, h("button", { type: "button", onclick: () => { close(true); one.act(); } }, one.text)))));
}
