// @ts-check
// Push: who shall do what, by when. A plugin's settings are a form; what the hub refuses is said beside the field that it is
// about; the same as a command is there to copy. What begins in the address: to, agent, capability, plugin, description, clone.

import { at, get, post, question, Refusal } from "../lib/api.js";
import { tell } from "../lib/dialog.js";
import { icon } from "../lib/icons.js";
import { h } from "../lib/render.js";
import { go, place, setFilters } from "../lib/router.js";
import { effect, onClose, signal, untracked } from "../lib/signal.js";
import { cut } from "../lib/text.js";
import { Commands } from "../parts/commands.js";
import { Settings, settingsFaults } from "../parts/settings.js";
import { Failed, TaskLink } from "../parts/states.js";
import { Area, Line, More, Pick, When } from "./push/fields.js";
import { commandsOf, PRIORITIES, pushModel, WHO } from "./push/model.js";
import { Plugin, Who } from "./push/who.js";

const KEY_BYTES = 16;
const TITLE_MAX = 120;

/** Names this push, so that the same asked twice makes one task. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(KEY_BYTES)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** What the address says. @param {URLSearchParams} query */
function fromAddress(query) {
  const inputs = query.get("inputs");
  const capabilities = query.getAll("capability");
  let values;
  try { values = inputs ? JSON.parse(inputs) : undefined; } catch { values = undefined; }
  return { task: { assign_to: query.get("agent"), needed_capabilities: capabilities, plugin: query.get("plugin"), description: query.get("description"), priority: query.get("priority"), depends_on: query.getAll("after"),
    labels: Object.fromEntries(query.getAll("label").map((one) => [one.split("=")[0], one.slice(one.indexOf("=") + 1)])) }, values, to: query.get("to") ?? (query.get("agent") ? "agent" : capabilities.length ? "able" : "") };
}

/** @param {{ model: ReturnType<typeof pushModel> }} of */
function Carried({ model }) {
  const names = Object.keys(model.carried.value);
  return names.length ? h("p", { class: "push-carried" }, `Kept from that task: ${names.join(", ")}. `, h("button", { type: "button", class: "button small", onclick: () => { model.carried.value = {}; } }, "Leave out")) : null;
}

/** @param {{ model: ReturnType<typeof pushModel> }} of */
const Terms = ({ model }) => h("div", { class: "push-grid" },
  h(When, { model, name: "run_at", label: "Not before" }),
  h(When, { model, name: "start_by", label: "Begin by, or not at all" }),
  h(Line, { model, name: "unique_key", label: "Unique key", note: "No two open tasks have the same." }),
  h(Line, { model, name: "slot", label: "Kind of slot", hint: "gpu", note: "It takes one of these and no other." }),
  h(Line, { model, name: "concurrency_key", label: "Limited by key", hint: "the-database" }),
  h(Line, { model, name: "limit", label: "At most so many at once", hint: "2", mode: "numeric" }),
  h(Area, { model, name: "labels", label: "Labels", hint: "project=north", note: "name=value, one a line." }),
  h(Area, { model, name: "depends_on", label: "After these tasks", hint: "task-…", note: "Ids, one a line; each must complete first." }));

export default function Push() {
  const model = pushModel();
  const plugins = question((stop) => get("/api/plugins", {}, stop));
  const form = signal(/** @type {any} */ (null));      // the plugin that is chosen, with its schema
  const formError = signal(/** @type {any} */ (null));
  const isFetching = signal(false);
  const isBusy = signal(false);
  const failed = signal(/** @type {any} */ (null));
  const from = new URLSearchParams(place.peek().query).get("clone") ?? "";
  const source = question((stop) => get(at("/api/tasks/{task_id}", from), {}, stop));
  let key = newKey();
  let values = /** @type {any} */ (undefined);      // to begin the settings with
  let asked = 0;

  const said = fromAddress(new URLSearchParams(place.peek().query));
  model.fill(said.task);
  model.set({ to: said.to || "agent" });
  model.touched.value = {};
  values = said.values;
  plugins.reload();
  if (from) source.reload();
  effect(() => {
    const task = source.value.value;
    if (!task) return;
    values = task.inputs ?? undefined;
    untracked(() => model.fill(task));
  });
  effect(() => { const name = model.said.value.plugin; untracked(() => choose(name)); });
  effect(() => {
    const { to, agent, plugin } = model.said.value;
    if (from) return;
    const timer = setTimeout(() => setFilters({ to: to === "agent" ? "" : to, agent: to === "agent" ? agent.trim() : "", plugin }), 0);
    return () => clearTimeout(timer);
  });
  onClose(() => { asked = -1; });

  /** Another plugin: fetch its schema. What it should begin with is used once. @param {string} name */
  async function choose(name) {
    if (name === (form.peek()?.name ?? "") && !values) return;
    const mine = asked += 1;
    const first = values;
    values = undefined;
    form.value = null;
    formError.value = null;
    model.fallback.value = "";
    if (!name) return;
    isFetching.value = true;
    try {
      const found = await get(at("/api/plugins/{name}", name));
      if (mine !== asked) return;
      form.value = found;
      model.fallback.value = cut(found.title || name, TITLE_MAX);
      model.settings.begin(found.settings_schema, first);
    } catch (error) {
      if (mine !== asked) return;
      if (error instanceof Refusal && error.status === 404) { form.value = { name, has_schema: false, agents: [], agent_count: 0 }; model.settings.begin(null, first); model.fallback.value = name; }
      else formError.value = error;
    }
    isFetching.value = false;
  }

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    failed.value = null;
    model.isShowingAll.value = true;
    model.settings.isShowingAll.value = true;
    const { body, isBad } = model.now.peek();
    if (isBad || isFetching.peek()) { showFirst(); return; }
    isBusy.value = true;
    try {
      const pushed = await post("/api/tasks", body, { "idempotency-key": key });
      key = newKey();
      tell("Pushed", "good");
      go(`/tasks/${encodeURIComponent(pushed.task_id)}`);
    } catch (error) {
      if (error instanceof Refusal && error.status > 0 && error.status < 500) key = newKey();
      model.refused.value = error instanceof Refusal ? error.faults : [];
      failed.value = error instanceof Refusal && error.faults.length ? null : error;
      showFirst();
    }
    isBusy.value = false;
  }

  return () => {
    const { body, isBad } = model.now.value;
    const faults = settingsFaults(model.refused.value, "inputs");
    const name = model.said.value.plugin;
    return h("div", { class: "push" },
      h("div", { class: "page-head" }, h("h1", null, "Push")),
      from && h("p", { key: "from", class: "soft push-from" }, "Once more, as ", h(TaskLink, { id: from, text: source.value.value?.description })),
      source.error.value && h(Failed, { key: "lost", error: source.error.value }),
      h("form", { class: "push-columns", novalidate: true, onsubmit: submit, oninput: () => { failed.value = null; } },
        h("div", { class: "stack" },
          h("section", { class: "panel stack", "aria-labelledby": "push-who" },
            h("h2", { id: "push-who" }, "Who"),
            h("div", { class: "row push-to", role: "radiogroup", "aria-label": "Who shall do it" }, Object.entries(WHO).map(([to, words]) => h("label", { key: to, class: "push-way" },
              h("input", { type: "radio", name: "to", value: to, checked: model.said.value.to === to, onchange: () => model.set({ to }) }), h("span", null, words)))),
            h(Who, { model })),
          h("section", { class: "panel stack", "aria-labelledby": "push-what" },
            h("h2", { id: "push-what" }, "What"),
            h(Plugin, { model, plugins: plugins.value.value?.plugins ?? [], error: plugins.error.value, form: form.value }),
            h(Area, { model, name: "description", label: "Description", rows: 4, hint: model.fallback.value || "Summarise the news of the week", isOptional: Boolean(model.fallback.value) })),
          name && h("section", { key: "settings", class: "panel stack", "aria-labelledby": "push-settings" },
            h("h2", { id: "push-settings" }, "Settings"),
            formError.value ? h(Failed, { key: "error", error: formError.value, again: () => choose(name) })
              : form.value ? h(Settings, { key: form.value.name, model: model.settings, prefix: "setting", faults }) : h("p", { key: "wait", class: "soft", role: "status" }, "Asking for its settings…")),
          h("section", { class: "panel stack", "aria-labelledby": "push-how" },
            h("h2", { id: "push-how" }, "How"),
            h("div", { class: "push-grid" },
              h(Pick, { model, name: "priority", label: "Priority", values: PRIORITIES }),
              h(Line, { model, name: "attempts", label: "Attempts", mode: "numeric" }),
              h(Line, { model, name: "timeout", label: "Time limit", hint: "10m", note: "For one attempt." })),
            h(More, { model, names: ["run_at", "start_by", "slot", "unique_key", "concurrency_key", "limit", "labels", "depends_on"], label: "When, in what order, beside what" }, h(Terms, { model })),
            h(Carried, { model }))),
        h("div", { class: "push-aside stack" },
          h("div", { class: "panel stack push-go" },
            model.stray.value.length > 0 && h("div", { key: "stray", role: "alert" }, model.stray.value.map((one) => h("p", { key: one, class: "error" }, one))),
            failed.value && h("p", { key: "failed", class: "error", role: "alert" }, failed.value.advice ?? String(failed.value)),
            h("button", { type: "submit", class: "button primary", disabled: isBusy.value }, icon("push"), isBusy.value ? "Pushing…" : "Push")),
          h(Commands, { key: "commands", ...commandsOf(body), isPart: isBad }))));
  };
}

/** The first field that is wrong, once it is drawn as such. */
function showFirst() {
  requestAnimationFrame(() => requestAnimationFrame(() => {
    const first = document.querySelector('.push [aria-invalid="true"]');
    if (first instanceof HTMLElement) first.focus();
  }));
}
