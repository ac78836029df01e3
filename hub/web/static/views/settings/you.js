// @ts-check
// Oneself: who one is here, what one may, how the page looks, and out.

import { logOut, may, session } from "../../lib/api.js";
import { h } from "../../lib/render.js";
import { tellTabs } from "../../lib/stream.js";
import { setTheme, theme, WORDS } from "../../theme.js";

const SAYS = { auto: "As this machine", dark: "Dark", light: "Light" };

async function leave() {
  await logOut();
  tellTabs("out");
}

export function You() {
  return () => {
    const who = session.value;
    const rights = may.rule ? "look, act, and rule over agents, tokens and webhooks" : may.act ? "look, and push, cancel and answer tasks" : "look";
    return h("div", { class: "set-parts" },
      h("section", { class: "panel", "aria-labelledby": "you-title" }, h("div", { class: "bar" }, h("h2", { id: "you-title" }, "Logged in")),
        h("dl", { class: "agent-facts" },
          h("dt", null, "Name"), h("dd", null, who?.label || "–"),
          h("dt", null, "Role"), h("dd", null, h("span", { class: "badge" }, who?.role ?? "")),
          h("dt", null, "May"), h("dd", null, rights),
          h("dt", null, "Token"), h("dd", { class: "mono" }, who?.token_id ?? "")),
        h("p", { class: "field-note set-space" }, "The token itself is in no cookie and in no storage of this browser. Unused, this login ends after 30 minutes, else after 12 hours."),
        h("p", { class: "set-space" }, h("button", { type: "button", class: "button", onclick: leave }, "Log out in all tabs"))),
      h("section", { class: "panel", "aria-labelledby": "theme-title" }, h("div", { class: "bar" }, h("h2", { id: "theme-title" }, "Theme")),
        h("fieldset", { class: "set-choice" }, h("legend", { class: "quiet" }, "Theme"),
          WORDS.map((word) => h("label", { key: word }, h("input", { type: "radio", name: "theme", value: word, checked: theme.value === word, onchange: () => setTheme(word) }), SAYS[word]))),
        h("p", { class: "field-note set-space" }, "Kept in this browser. ", h("kbd", null, "?"), " lists the keys.")));
  };
}
