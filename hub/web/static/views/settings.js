// @ts-check
// Settings: how the hub fares, who may do what, who is told of what, and oneself. `?part=` says which.

import { may } from "../lib/api.js";
import { h } from "../lib/render.js";
import { filter } from "../lib/router.js";
import { Empty } from "../parts/states.js";
import { Hub } from "./settings/hub.js";
import { Tokens } from "./settings/tokens.js";
import { Webhooks } from "./settings/webhooks.js";
import { You } from "./settings/you.js";

/** @type {readonly { name: string, title: string, isForAdmins: boolean, part: any }[]} */
const PARTS = [
  { name: "", title: "This hub", isForAdmins: false, part: Hub },
  { name: "tokens", title: "Tokens", isForAdmins: true, part: Tokens },
  { name: "webhooks", title: "Webhooks", isForAdmins: true, part: Webhooks },
  { name: "you", title: "You", isForAdmins: false, part: You },
];

export default function Settings() {
  const part = filter("part", "", { push: true });
  return () => {
    const open = PARTS.find((one) => one.name === part.value);
    const isHidden = !open || (open.isForAdmins && !may.rule);
    return h("div", { id: "settings" },
      h("div", { class: "page-head" }, h("h1", null, "Settings")),
      h("nav", { class: "set-nav", "aria-label": "Settings" }, PARTS.filter((one) => may.rule || !one.isForAdmins).map((one) => h("a", { key: one.name, href: one.name ? `/settings?part=${one.name}` : "/settings", "aria-current": one === open ? "page" : null }, one.title))),
      isHidden ? h(Empty, { key: "none", title: open ? `${open.title} are for an admin.` : "There are no such settings.", text: open ? "Log in with a token that may:" : "", command: open ? "hub token create --role admin" : "" })
        : h(open.part, { key: open.name }));
  };
}
