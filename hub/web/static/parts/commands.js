// @ts-check
// The same from a terminal: words quoted for a POSIX shell, so that what strangers wrote is one word and no command, and a
// terminal is shown no control character. No token is ever in it. Owns the quoting, and the panel that shows and copies.

import { copy } from "../lib/dialog.js";
import { icon } from "../lib/icons.js";
import { h } from "../lib/render.js";
import { signal } from "../lib/signal.js";

const PLAIN = /^[A-Za-z0-9_/:.,@%+=-]+$/;
const ODD = /[^\n\x20-\x7e\u00a1-\u061b\u061d-\u200a\u2010-\u2027\u2030-\u205e\u2070-\ud7ff\ue000-\ufefe\uff00-\uffef\u{10000}-\u{10ffff}]/u;
const ODD_IN_JSON = /[\x7f-\xa0\u061c\u200b-\u200f\u2028-\u202f\u205f-\u206f\ud800-\udfff\ufeff\ufff0-\uffff]/g;
const LOCAL = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** One word for sh, bash and zsh. Signs that turn a line around or steer a terminal are written as octal numbers. @param {string} text */
export function quoted(text) {
  if (PLAIN.test(text) && !text.startsWith("=")) return text;
  if (!ODD.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  return `"$(printf ${printed(text)})"`;
}

/** @param {string} text */
function printed(text) {
  let said = "";
  for (const sign of text) {
    if (sign === "%") said += "%%";
    else if (sign === "\\") said += "\\\\";
    else if (sign === "'") said += "\\047";
    else if (sign === "\n") said += "\\n";
    else if (!ODD.test(sign)) said += sign;
    else for (const byte of new TextEncoder().encode(sign)) said += `\\${byte.toString(8).padStart(3, "0")}`;
  }
  return `'${said}'`;
}

/** JSON whose strange signs are written as numbers. @param {any} value @param {number} [indent] */
export const plainJson = (value, indent) => JSON.stringify(value, null, indent).replace(ODD_IN_JSON, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** @param {string} method @param {string} path @param {any} body */
export const curlOf = (method, path, body) =>
  `curl -fsS -X ${method} ${quoted(location.origin + path)} \\\n  -H "Authorization: Bearer $HUB_TOKEN" \\\n  -H 'Content-Type: application/json' \\\n  --data ${quoted(plainJson(body, 2))}`;

/** Commands on the hub's own machine find it by themselves. @returns {string[]} */
export const whereIsIt = () => (LOCAL.has(location.hostname) ? [] : ["--hub", location.origin]);

/** A command of several lines, an option a line. `words` come last; text that a command would take for something else comes
 *  from standard input. @param {string[]} command @param {string[][]} options @param {string[]} words */
export function commandOf(command, options, words) {
  const last = words.at(-1) ?? "";
  const isOdd = last === "-" || last.startsWith("@");
  const tail = isOdd ? [...words.slice(0, -1), "-"] : words;
  const lines = options.map((option) => option.map(quoted).join(" "));
  const all = [command.map(quoted).join(" "), ...lines, ...(tail.length ? [[...(tail.some((word) => word.length > 1 && word.startsWith("-")) ? ["--"] : []), ...tail.map(quoted)].join(" ")] : [])];
  return `${isOdd ? `printf '%s' ${quoted(last)} | ` : ""}${all.join(" \\\n  ")}`;
}

/** `isPart`: the form that it is made of is not complete yet. @param {{ cli: string, curl: string, isPart?: boolean }} _first */
export function Commands(_first) {
  const isCurl = signal(false);
  return (/** @type {{ cli: string, curl: string, isPart?: boolean }} */ { cli, curl, isPart }) => {
    const text = isCurl.value ? curl : cli;
    return h("section", { class: "panel commands", "aria-labelledby": "commands-title" },
      h("div", { class: "bar" }, h("h2", { id: "commands-title" }, "The same from a terminal"),
        h("button", { type: "button", class: "button small", "aria-label": `Copy as ${isCurl.value ? "curl" : "command"}`, onclick: () => copy(text) }, icon("copy", 15), "Copy")),
      h("div", { class: "row commands-kinds", role: "group", "aria-label": "Written for" },
        h("button", { type: "button", class: "button small", "aria-pressed": String(!isCurl.value), onclick: () => { isCurl.value = false; } }, "hub"),
        h("button", { type: "button", class: "button small", "aria-pressed": String(isCurl.value), onclick: () => { isCurl.value = true; } }, "curl")),
      h("pre", { class: "commands-text", tabindex: 0, "aria-label": isCurl.value ? "As curl" : "As a command" }, text),
      isPart && h("p", { key: "part", class: "field-note" }, "Something is still missing in the form."),
      isCurl.value && h("p", { key: "token", class: "field-note" }, "It takes the token from ", h("code", null, "HUB_TOKEN"), "."));
  };
}
