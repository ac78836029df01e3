// @ts-check
// Where the page begins: who are we, and then the shell.

import { whoAmI } from "./lib/api.js";
import { mount } from "./lib/render.js";
import { Shell } from "./shell.js";

const root = /** @type {Element} */ (document.getElementById("page"));
whoAmI().catch(() => {}).finally(() => mount(root, Shell));
