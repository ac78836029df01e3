// @ts-check
// Our own icons: strokes on a grid of 20. Decoration only: the words beside them say what they mean.

import { h } from "./render.js";

/** @type {Record<string, string>} */
const PATHS = {
  live: "M2 10h3l2.5-6 4 12L14 10h4",
  fleet: "M3 4h14v5H3zM3 11h14v5H3zM6 6.5h.01M6 13.5h.01",
  tasks: "M3 5l1.5 1.5L7 4M3 11l1.5 1.5L7 10M10 5.5h7M10 11.5h7M10 16h5",
  menu: "M3 5.5h14M3 10h14M3 14.5h14",
  dead: "M10 3 2.5 16.5h15zM10 8v4M10 14.2v.1",
  push: "M10 16V4M5 9l5-5 5 5",
  briefings: "M4 3h9l3 3v11H4zM7 9h6M7 12h6M7 6h3",
  settings: "M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4",
  search: "M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM13 13l4 4",
  close: "M5 5l10 10M15 5L5 15",
  check: "M4 10.5l4 4 8-9",
  retry: "M4 10a6 6 0 1 1 2 4.5M4 15v-4h4",
  stop: "M6 6h8v8H6z",
  pause: "M7 5v10M13 5v10",
  play: "M6 4l10 6-10 6z",
  drain: "M10 3v9M6 9l4 4 4-4M4 16.5h12",
  copy: "M7 7h9v9H7zM4 13V4h9",
  download: "M10 3v9M6 9l4 4 4-4M4 16.5h12",
  question: "M7.5 7.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M10 14.4v.1M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15z",
  sun: "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6L16 16M4 16l1.4-1.4M14.6 5.4L16 4",
  moon: "M16 12.5A7 7 0 0 1 7.5 4a6.5 6.5 0 1 0 8.5 8.5z",
  half: "M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15zM10 2.5v15M13 4v12",
  out: "M12 4h4v12h-4M8 7l-3 3 3 3M5 10h8",
  right: "M8 5l5 5-5 5",
  down: "M5 8l5 5 5-5",
  left: "M12 5l-5 5 5 5",
  more: "M4.5 10h.01M10 10h.01M15.5 10h.01",
  person: "M10 3.5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM4 17c.4-3.4 2.8-5 6-5s5.600 1.600 6 5",
  external: "M11 4h5v5M16 4l-7 7M14 11v5H4V6h5",
  clock: "M10 2.500a7.500 7.500 0 1 0 0 15 7.500 7.500 0 0 0 0-15zM10 6v4l3 2",
  plus: "M10 4v12M4 10h12",
  trash: "M4 6h12M8 6V4h4v2M6 6l.7 10.500h6.600L14 6",
  filter: "M3 4h14l-5.500 6.500V16l-3-1.500v-4z",
};

/** @param {string} name one of the keys of PATHS @param {number} [size] */
export const icon = (name, size = 18) =>
  h("svg", { class: "icon", viewBox: "0 0 20 20", width: size, height: size, "aria-hidden": "true", focusable: "false" },
    h("path", { d: PATHS[name] ?? PATHS.more, fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-linecap": "round", "stroke-linejoin": "round" }));

export const ICONS = Object.keys(PATHS);
