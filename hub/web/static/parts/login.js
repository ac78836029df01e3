// @ts-check
// Logging in: a pasted token becomes a cookie that no script can read. The token is kept nowhere.

import { logIn, Refusal } from "../lib/api.js";
import { h } from "../lib/render.js";
import { signal } from "../lib/signal.js";
import { tellTabs } from "../lib/stream.js";

export function Login() {
  const fault = signal("");
  const isBusy = signal(false);
  let field = /** @type {HTMLInputElement | null} */ (null);
  document.title = "Log in · Crewhub";

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    if (!field || isBusy.peek()) return;
    const token = field.value;
    field.value = "";
    isBusy.value = true;
    try {
      await logIn(token);
      tellTabs("in");
    } catch (error) {
      const isWrong = error instanceof Refusal && error.status === 401;
      fault.value = isWrong ? "That token is not valid. Make a new one with: hub token create --role viewer" : error instanceof Refusal ? error.advice : String(error);
      field?.focus();
    }
    isBusy.value = false;
  }

  /** @param {any} node */
  function hold(node) {
    field = node;
    if (node) requestAnimationFrame(() => node.focus());
  }

  return () => h("main", { id: "login", class: "login" },
    h("form", { id: "login-form", class: "panel", onsubmit: submit },
      h("h1", null, "Log in to Crewhub"),
      h("p", null, "Paste a token. The first ", h("code", null, "hub serve"), " printed one for the admin; ", h("code", null, "hub token create --role viewer"), " makes one for looking only."),
      h("label", { for: "token" }, "Token"),
      h("input", { id: "token", name: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true, ref: hold, "aria-describedby": "login-error" }),
      h("p", { id: "login-error", class: "error", role: "alert" }, fault.value),
      h("button", { type: "submit", class: "button primary", disabled: isBusy.value }, "Log in")));
}
