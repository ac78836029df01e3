// @ts-check
// Task.

import { h } from "../lib/render.js";

export default function View() {
  return h("div", { class: "empty" }, h("h1", null, "Task"), h("p", null, "In a terminal: ", h("code", null, 'hub tasks get ID')));
}
