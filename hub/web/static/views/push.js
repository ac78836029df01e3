// @ts-check
// Push.

import { h } from "../lib/render.js";

export default function View() {
  return h("div", { class: "empty" }, h("h1", null, "Push"), h("p", null, "In a terminal: ", h("code", null, 'hub push AGENT "say hello"')));
}
