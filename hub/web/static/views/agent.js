// @ts-check
// Agent.

import { h } from "../lib/render.js";

export default function View() {
  return h("div", { class: "empty" }, h("h1", null, "Agent"), h("p", null, "In a terminal: ", h("code", null, 'hub agents get NAME')));
}
