// @ts-check
// Briefing.

import { h } from "../lib/render.js";

export default function View() {
  return h("div", { class: "empty" }, h("h1", null, "Briefing"), h("p", null, "In a terminal: ", h("code", null, 'hub runs get ID')));
}
