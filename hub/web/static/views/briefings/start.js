// @ts-check
// Starting a run of a plugin for a user, now or by the clock. The plugin's schema makes the form of its settings.

import { at, get, post, question, Refusal } from "../../lib/api.js";
import { tell } from "../../lib/dialog.js";
import { icon } from "../../lib/icons.js";
import { h } from "../../lib/render.js";
import { filter, go, setFilters } from "../../lib/router.js";
import { effect, onClose, signal, untracked } from "../../lib/signal.js";
import { cut } from "../../lib/text.js";
import { Commands, commandOf, curlOf, plainJson, whereIsIt } from "../../parts/commands.js";
import { Settings, settingsFaults, settingsModel } from "../../parts/settings.js";
import { Failed } from "../../parts/states.js";

const NAME_MAX = 80;
const ZONES = typeof Intl.supportedValuesOf === "function" ? Intl.supportedValuesOf("timeZone") : [];
const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const CRONS = [["0 7 * * 1-5", "weekdays at 7"], ["@daily", "every day"], ["@hourly", "every hour"], ["0 9 * * 1", "Mondays at 9"]];
const MISSED = { skip: "skip them", once: "run once for all of them" };

/** @typedef {{ plugin: string, user_id: string, cron: string, zone: string, missed: string }} Said */

/** @param {{ name: string, label: string, note?: any, fault: string, children?: any[] }} of */
const Field = ({ name, label, note, fault, children }) => h("div", { class: "field" }, h("label", { for: `run-${name}` }, label), children,
  h("div", { id: `run-${name}-about` }, note && h("p", { class: "field-note" }, note), fault && h("p", { class: "field-error" }, fault)));

/** The same from a terminal. @param {Said} said @param {any} body @param {boolean} isSchedule */
function commandsOf(said, body, isSchedule) {
  const path = `/api/plugins/${encodeURIComponent(said.plugin || "PLUGIN")}/${isSchedule ? "schedules" : "runs"}`;
  const options = [["--user", String(body.user_id ?? 0)], ["--inputs", plainJson(body.settings)], ...(isSchedule ? [["--cron", said.cron], ["--tz", said.zone], ["--missed", said.missed]] : [])];
  return { cli: commandOf(["hub", "runs", ...(isSchedule ? ["schedule", "make"] : ["start"]), said.plugin || "PLUGIN", ...whereIsIt()], options, []), curl: curlOf("POST", path, body) };
}

/** @param {{ kind: string, leave: () => void }} first `run` or `schedule` */
export function Start({ kind, leave }) {
  const isSchedule = kind === "schedule";
  const chosen = filter("plugin");
  const said = signal(/** @type {Said} */ ({ plugin: chosen.peek(), user_id: "1", cron: "0 7 * * 1-5", zone: HERE, missed: "skip" }));
  const settings = settingsModel();
  const plugins = question((stop) => get("/api/plugins", {}, stop));
  const form = signal(/** @type {any} */ (null));
  const formError = signal(/** @type {any} */ (null));
  const refused = signal(/** @type {{ field: string, detail: string }[]} */ ([]));
  const failed = signal(/** @type {any} */ (null));
  const isBusy = signal(false);
  const isShowingAll = signal(false);
  let asked = 0;

  plugins.reload();
  effect(() => { const name = said.value.plugin; untracked(() => choose(name)); });
  effect(() => { const all = plugins.value.value?.plugins; if (all?.length && !said.peek().plugin) set({ plugin: (all.find((one) => one.has_schema && one.agent_count) ?? all[0]).name }); });
  onClose(() => { asked = -1; });

  /** @param {Partial<Said>} changes */
  function set(changes) {
    said.value = { ...said.peek(), ...changes };
    refused.value = refused.peek().filter(({ field }) => !(field in changes));
    failed.value = null;
  }

  /** @param {string} name */
  async function choose(name) {
    if (!name || name === form.peek()?.name) return;
    const mine = asked += 1;
    form.value = formError.value = null;
    try {
      const found = await get(at("/api/plugins/{name}", name));
      if (mine !== asked) return;
      form.value = found;
      settings.begin(found.settings_schema);
    } catch (error) { if (mine === asked) formError.value = error; }
  }

  function read() {
    const { user_id, cron, zone, missed } = said.value;
    const found = settings.read();
    const user = Number(user_id);
    const faults = /** @type {Record<string, string>} */ ({});
    if (!user_id.trim() || !Number.isSafeInteger(user) || user < 0) faults.user_id = "A whole number from 0 is needed.";
    if (isSchedule && !cron.trim()) faults.cron = "Say when: five fields, or @daily.";
    const body = { user_id: faults.user_id ? 0 : user, settings: found.value, ...(isSchedule ? { cron: cron.trim(), zone: zone.trim() || "UTC", missed: /** @type {"skip" | "once"} */ (missed) } : {}) };
    return { body, faults, isBad: Object.keys(faults).length > 0 || Object.keys(found.faults).length > 0 || !form.value };
  }

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    failed.value = null;
    isShowingAll.value = settings.isShowingAll.value = true;
    const { body, isBad } = untracked(read);
    if (isBad) { showFirst(); return; }
    isBusy.value = true;
    try {
      if (isSchedule) {
        const made = await post(at("/api/plugins/{name}/schedules", said.peek().plugin), /** @type {any} */ (body));
        tell(`Scheduled: ${made.schedule_id}`, "good");
        setFilters({ new: "", plugin: "", show: "schedules" }, { push: true });
      } else {
        const started = await post(at("/api/plugins/{name}/runs", said.peek().plugin), body);
        tell("Started", "good");
        go(`/briefings/${encodeURIComponent(started.plugin_run_id)}`);
      }
    } catch (error) {
      refused.value = error instanceof Refusal ? error.faults : [];
      failed.value = error instanceof Refusal && error.faults.length ? null : error;
      showFirst();
    }
    isBusy.value = false;
  }

  return () => {
    const { body, faults, isBad } = read();
    const now = said.value;
    const fault = (/** @type {string} */ name) => refused.value.filter(({ field }) => field === name).map(({ detail }) => detail).join(" ") || (isShowingAll.value ? faults[name] ?? "" : "");
    const own = (/** @type {keyof Said} */ name) => ({ id: `run-${name}`, value: now[name], "aria-invalid": fault(name) ? "true" : null, "aria-describedby": `run-${name}-about`, oninput: (/** @type {any} */ event) => set({ [name]: event.target.value }) });
    const known = plugins.value.value?.plugins ?? [];
    const stray = refused.value.filter(({ field }) => !(field in now) && !field.startsWith("settings"));
    return h("form", { class: "push-columns runs-form", novalidate: true, onsubmit: submit, "aria-label": isSchedule ? "A new schedule" : "A new run" },
      h("section", { class: "panel stack", "aria-labelledby": "run-what" },
        h("div", { class: "bar" }, h("h2", { id: "run-what" }, isSchedule ? "A new schedule" : "A new run"), h("button", { type: "button", class: "bare", "aria-label": "Close", title: "Close", onclick: leave }, icon("close"))),
        plugins.error.value && h(Failed, { key: "lost", error: plugins.error.value, again: plugins.reload }),
        plugins.value.value && !known.length && h("p", { key: "none", class: "push-warn" }, "No connected agent offers a plugin. ", h("code", null, "sidecar connect --agent-id me --plugins shipped")),
        h("div", { class: "push-grid" },
          h(Field, { name: "plugin", label: "Plugin", fault: "" },
            h("select", { ...own("plugin"), oninput: undefined, onchange: (/** @type {any} */ event) => set({ plugin: event.target.value }) },
              !known.some((one) => one.name === now.plugin) && h("option", { key: " ", value: now.plugin }, now.plugin ? cut(now.plugin, NAME_MAX) : "Choose…"),
              known.map((one) => h("option", { key: one.name, value: one.name }, cut(one.title || one.name, NAME_MAX) + (one.agent_count ? "" : " – nobody offers it now"))))),
          h(Field, { name: "user_id", label: "For user", fault: fault("user_id"), note: "A number of your own. One user has one run of the same settings at a time." },
            h("input", { ...own("user_id"), type: "text", inputmode: "numeric", autocomplete: "off" }))),
        form.value?.description && h("p", { key: "about", class: "soft wrap" }, cut(form.value.description, 1_000)),
        isSchedule && h("div", { key: "when", class: "stack" },
          h(Field, { name: "cron", label: "When", fault: fault("cron"), note: h("span", { class: "row" }, CRONS.map(([cron, words]) => h("button", { key: cron, type: "button", class: "button small", onclick: () => set({ cron }) }, words))) },
            h("input", { ...own("cron"), type: "text", class: "mono", autocomplete: "off", spellcheck: "false" })),
          h("div", { class: "push-grid" },
            h(Field, { name: "zone", label: "By the clock of", fault: fault("zone") },
              h("input", { ...own("zone"), type: "text", autocomplete: "off", spellcheck: "false", list: "run-zones" }), h("datalist", { id: "run-zones" }, ZONES.map((zone) => h("option", { key: zone, value: zone })))),
            h(Field, { name: "missed", label: "Times that the hub was away", fault: fault("missed") },
              h("select", { ...own("missed"), oninput: undefined, onchange: (/** @type {any} */ event) => set({ missed: event.target.value }) }, Object.entries(MISSED).map(([value, words]) => h("option", { key: value, value }, words)))))),
        h("div", { key: "settings", class: "stack runs-settings" }, h("h2", null, "Settings"),
          formError.value ? h(Failed, { key: "error", error: formError.value, again: () => choose(now.plugin) })
            : form.value ? h(Settings, { key: form.value.name, model: settings, prefix: "setting", faults: settingsFaults(refused.value, "settings") }) : h("p", { key: "wait", class: "soft" }, now.plugin ? "Asking for its settings…" : "Choose a plugin first."))),
      h("div", { class: "push-aside stack" },
        h("div", { class: "panel stack push-go" },
          stray.map(({ field, detail }) => h("p", { key: field, class: "error", role: "alert" }, `${field}: ${detail}`)),
          failed.value && h("p", { key: "failed", class: "error", role: "alert" }, failed.value.advice ?? String(failed.value)),
          h("button", { type: "submit", class: "button primary", disabled: isBusy.value }, icon(isSchedule ? "clock" : "play"), isSchedule ? "Schedule" : "Start")),
        h(Commands, { key: "commands", ...commandsOf(now, body, isSchedule), isPart: isBad })));
  };
}

function showFirst() {
  requestAnimationFrame(() => requestAnimationFrame(() => {
    const first = document.querySelector('.runs-form [aria-invalid="true"]');
    if (first instanceof HTMLElement) first.focus();
  }));
}
