// @ts-check
// Runs and briefings: what plugins have brought home for users, every run, what runs by the clock; and starting one.
// The address says which list (`show`), what is filtered, and whether something new is being made (`new`).

import { may } from "../lib/api.js";
import { icon } from "../lib/icons.js";
import { h } from "../lib/render.js";
import { filter, setFilters } from "../lib/router.js";
import { Briefings, Runs, Schedules } from "./briefings/lists.js";
import { Start } from "./briefings/start.js";

/** @type {Record<string, { title: string, View: any }>} */
const LISTS = { "": { title: "Briefings", View: Briefings }, runs: { title: "Runs", View: Runs }, schedules: { title: "Schedules", View: Schedules } };

export default function View() {
  const show = filter("show");
  const fresh = filter("new", "", { push: true });
  const leave = () => setFilters({ new: "", plugin: "" }, { push: true });
  return () => {
    const list = LISTS[show.value] ?? LISTS[""];
    const kind = may.act && ["run", "schedule"].includes(fresh.value) ? fresh.value : "";
    return h("div", { class: "runs" },
      h("div", { class: "page-head" }, h("h1", null, "Runs and briefings"),
        may.act && h("div", { class: "row" },
          h("a", { class: "button", href: "?new=schedule&show=schedules" }, icon("clock"), "Schedule"),
          h("a", { class: "button primary", href: show.value ? `?new=run&show=${encodeURIComponent(show.value)}` : "?new=run" }, icon("play"), "Start a run"))),
      kind ? h(Start, { key: `new ${kind}`, kind, leave }) : h("div", { key: "lists", class: "stack" },
        h("nav", { class: "runs-tabs", "aria-label": "Lists" }, Object.entries(LISTS).map(([name, { title }]) => h("a", { key: name, href: name ? `/briefings?show=${name}` : "/briefings", "aria-current": list.title === title ? "page" : null }, title))),
        h(list.View, { key: list.title })));
  };
}
