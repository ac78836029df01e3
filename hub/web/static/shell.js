// @ts-check
// What is around every view: where one can go, the lamp, who one is, the theme, the keys. Owns which view is open.

import { logOut, may, session, whoAmI } from "./lib/api.js";
import { confirm, Dialogs } from "./lib/dialog.js";
import { icon } from "./lib/icons.js";
import { allKeys, onKey, search } from "./lib/keys.js";
import { h } from "./lib/render.js";
import { go, match, place } from "./lib/router.js";
import { computed, effect, onClose, signal } from "./lib/signal.js";
import { startStore, stopStore } from "./lib/store.js";
import { lamp, startStream, stopStream, tellTabs } from "./lib/stream.js";
import { Login } from "./parts/login.js";
import { theme, turnTheme } from "./theme.js";
import { VIEWS } from "./views.js";

const ASK_AGAIN_MS = 3_000;

/** A view may say its own title: title.value = "Summarise the news". Emptied when another one opens. */
export const title = signal("");

const isMenuOpen = signal(false);

/** The row of the table for where we are, and the members of its address. */
const here = computed(() => {
  for (const view of VIEWS) {
    const params = match(view.path, place.value.path);
    if (params) return { view, params };
  }
  return null;
});

/** @param {import("./views.js").View} view */
const isAllowed = (view) => view.role === "viewer" || (view.role === "dispatcher" ? may.act : may.rule);

// --- the view

/** @type {Map<string, any>} */
const loaded = new Map();

/** Fetches a view's module once, then shows it. @param {{ view: import("./views.js").View, params: Record<string, string> }} first */
function Opening({ view }) {
  const part = signal(loaded.get(view.name) ?? null);
  const fault = signal("");
  if (!part.peek()) {
    view.load().then((module) => { loaded.set(view.name, module.default); part.value = module.default; })
      .catch((error) => { fault.value = String(error); });
  }
  return (/** @type {{ view: any, params: Record<string, string> }} */ { params }) => {
    if (fault.value) {
      return h("div", { class: "empty", role: "alert" }, h("h2", null, "This view could not be fetched"),
        h("p", null, "The hub is out of reach, or it is another version now."),
        h("button", { type: "button", class: "button", onclick: () => location.reload() }, "Load the page again"));
    }
    if (!part.value) return h("p", { class: "empty", role: "status" }, "Loading…");
    return h(part.value, { key: view.name + JSON.stringify(params), params });
  };
}

function Nowhere() {
  return h("div", { class: "empty" }, h("h2", null, "There is no such page"), h("p", null, h("a", { href: "/" }, "Go to Live")));
}

function Main() {
  return () => {
    const found = here.value;
    if (!found) return h(Nowhere, { key: "nowhere" });
    if (!isAllowed(found.view)) {
      return h("div", { key: "forbidden", class: "empty" }, h("h2", null, `${found.view.title} is for a ${found.view.role}`),
        h("p", null, "You are logged in to look. Make a token that may do more: ", h("code", null, `hub token create --role ${found.view.role}`)));
    }
    return h(Opening, { key: found.view.name, view: found.view, params: found.params });
  };
}

// --- around it

function Lamp() {
  return h("p", { id: "lamp", class: "lamp", role: "status", "aria-live": "off", "data-state": lamp.value.state, title: "How live this page is: the age of the newest event when it was shown" },
    h("span", { class: "dot", "aria-hidden": "true" }), h("span", { id: "lamp-text" }, lamp.value.text));
}

function Nav() {
  return h("nav", { id: "nav", class: isMenuOpen.value ? "nav open" : "nav", "aria-label": "Views" },
    h("ul", null, VIEWS.filter((view) => view.inNav && isAllowed(view)).map((view) => {
      const isHere = here.value?.view === view || (view.path !== "/" && place.value.path.startsWith(`${view.path}/`));
      return h("li", { key: view.name }, h("a", { href: view.path, "aria-current": isHere ? "page" : null, onclick: () => { isMenuOpen.value = false; } }, icon(view.icon ?? "more"), h("span", null, view.title)));
    })));
}

const THEME_ICONS = { auto: "half", dark: "moon", light: "sun" };

function Head() {
  const who = session.value;
  return h("header", { class: "head" },
    h("button", { type: "button", class: "bare menu", "aria-label": "Menu", "aria-expanded": String(isMenuOpen.value), "aria-controls": "nav", onclick: () => { isMenuOpen.value = !isMenuOpen.peek(); } }, icon("menu")),
    h("a", { class: "brand", href: "/", "aria-label": "Crewhub" }, h("svg", { class: "brand-mark", viewBox: "0 0 64 64", width: 22, height: 22, "aria-hidden": "true" },
      h("circle", { cx: 32, cy: 32, r: 9 }), h("circle", { cx: 12, cy: 14, r: 6 }), h("circle", { cx: 52, cy: 14, r: 6 }), h("circle", { cx: 12, cy: 50, r: 6 }), h("circle", { cx: 52, cy: 50, r: 6 }),
      h("path", { d: "M17 19l9 8M47 19l-9 8M17 45l9-8M47 45l-9-8", stroke: "currentColor", "stroke-width": 4 })), h("span", null, "Crewhub")),
    h(Lamp, null),
    h("div", { class: "who" },
      h("span", { class: "who-name", title: `${who?.label || who?.token_id} · ${who?.role}` }, icon("person"), h("span", null, who?.label || who?.role || ""), h("span", { class: "badge" }, who?.role ?? "")),
      h("button", { type: "button", class: "bare", "aria-label": `Theme: ${theme.value}`, title: `Theme: ${theme.value}`, onclick: turnTheme }, icon(THEME_ICONS[theme.value])),
      h("button", { type: "button", class: "bare", "aria-label": "Keys", title: "Keys (?)", onclick: showKeys }, icon("question")),
      h("button", { type: "button", id: "logout", class: "bare", "aria-label": "Log out", title: "Log out", onclick: leave }, icon("out"))));
}

async function leave() {
  await logOut();
  tellTabs("out");
}

function showKeys() {
  const rows = allKeys().map((one) => h("div", { key: one.keys }, h("dt", null, one.keys.split(" ").map((key) => h("kbd", null, key))), h("dd", null, one.text)));
  confirm({ title: "Keys", body: h("dl", { class: "keys" }, rows), yes: "Close", no: "Back" });
}

function Frame() {
  startStream();
  startStore();
  onClose(() => { stopStore(); stopStream(); });
  onKey("/", "Search or filter", search);
  for (const view of VIEWS) if (view.key && isAllowed(view)) onKey(`g ${view.key}`, `Go to ${view.title}`, () => go(view.path));
  onKey("?", "Show the keys", showKeys);
  effect(() => { document.title = `${title.value || here.value?.view.title || "Nowhere"} · Crewhub`; });
  let last = place.peek().path;
  effect(() => {
    if (place.value.path === last) return;
    last = place.value.path;
    title.value = "";
    requestAnimationFrame(() => document.getElementById("main")?.focus({ preventScroll: true }));
  });
  return () => h("div", { class: "frame" },
    h("a", { class: "skip", href: "#main" }, "Skip to the content"),
    h(Head, null), h(Nav, null),
    h("main", { id: "main", class: "main", tabindex: -1 }, h(Main, null)),
    h(Dialogs, null));
}

function Unreachable() {
  const timer = setInterval(() => { whoAmI().catch(() => {}); }, ASK_AGAIN_MS);
  onClose(() => clearInterval(timer));
  return () => h("main", { class: "empty alone", role: "alert" }, h("h1", null, "The hub cannot be reached"),
    h("p", null, "Start it with ", h("code", null, "hub serve"), ". This page tries again by itself."));
}

/** Nobody is shown the login, somebody the views. */
export function Shell() {
  return () => {
    if (session.value === undefined) return h(Unreachable, { key: "away" });
    return session.value === null ? h(Login, { key: "login" }) : h(Frame, { key: session.value.token_id });
  };
}
