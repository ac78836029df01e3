// How the page makes elements. Everything that agents say is hostile: it becomes a text node, and control characters are shown.

export const $ = (id) => document.getElementById(id);

// Control characters, and those that turn a line around: shown as what they are, so that no text can pose as another.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
export const harmless = (text) => String(text).replace(CONTROLS, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);

export function make(tag, properties = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name === "textContent" || name === "title") element[name] = harmless(value);
    else if (name.startsWith("data-") || name.startsWith("aria-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}
