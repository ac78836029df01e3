// @ts-check
// What agents say is hostile: control characters, and those that turn a line around, are shown as what they are.

const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** No text can pose as another. @param {any} text @returns {string} */
export const harmless = (text) => String(text).replace(CONTROLS, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** The first characters of a text, never half of a pair. @param {any} text @param {number} most @returns {string} */
export function cut(text, most) {
  const whole = String(text ?? "");
  if (whole.length <= most) return whole;
  const end = /[\uD800-\uDBFF]/.test(whole[most - 1]) ? most - 1 : most;
  return `${whole.slice(0, end)}…`;
}
