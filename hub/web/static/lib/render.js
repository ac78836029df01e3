// @ts-check
// The renderer: h() describes, mount() shows, and only what changed is touched. Text becomes text nodes and nothing else.
// A component is a function of its properties. If it gives back a function, that one draws, and what was said
// before it is its set-up (signals, effects, onClose), done once. A component draws again when a signal that it
// read has changed, or when it gets other properties.

import { closeOwner, forgetReader, makeReader, scope, tracked } from "./signal.js";
import { harmless } from "./text.js";

/** @typedef {{ tag: any, props: Record<string, any>, key: any, kids: VNode[], node: any, part: any, text: string | null }} VNode */

const SVG = "http:" + "//www.w3.org/2000/svg";
const AS_PROPERTY = new Set(["value", "checked", "indeterminate", "selected", "disabled", "open", "readOnly", "hidden", "multiple"]);
const SAID_BY_STRANGERS = new Set(["title", "aria-label", "placeholder", "alt", "label", "aria-description", "aria-valuetext"]);
const NEVER = /^(?:inner|outer)html$|^srcdoc$|^style$|^formaction$|^xlink/i;
const SAFE_ADDRESS = /^(?:\/(?![/\\])|#|\?|https?:\/\/)/i;

/** Describe an element or a component. Children may be nodes, text, numbers, lists, and null or false for nothing.
 *  @param {any} tag @param {Record<string, any> | null} [props] @param {...any} children @returns {VNode} */
export function h(tag, props, ...children) {
  const own = props ?? {};
  const isPart = typeof tag === "function";
  return { tag, props: isPart && children.length ? { ...own, children } : own, key: own.key, kids: isPart ? [] : flat(children, []), node: null, part: null, text: null };
}

/** @param {any} child @returns {VNode} */
const textNode = (child) => ({ tag: null, props: {}, key: undefined, kids: [], node: null, part: null, text: harmless(child) });

/** @param {any[]} children @param {VNode[]} into */
function flat(children, into) {
  for (const child of children) {
    if (child === null || child === undefined || child === false || child === true || child === "") continue;
    if (Array.isArray(child)) flat(child, into);
    else into.push(typeof child === "object" ? (child.node ? copyOf(child) : child) : textNode(child));
  }
  return into;
}

/** A description that is on the page already is described anew. @param {VNode} vnode @returns {VNode} */
const copyOf = (vnode) => ({ ...vnode, node: null, part: null, kids: vnode.kids.map(copyOf) });

// --- when to draw: once a frame, and not while nobody can see it

/** @type {Set<any>} */
const dirty = new Set();
let isAsked = false;

/** @param {any} part */
function drawSoon(part) {
  dirty.add(part);
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => { isAsked = false; drawNow(); });
}

/** Draw what waits, now. */
export function drawNow() {
  const now = [...dirty].sort((a, b) => a.depth - b.depth);     // parents first: they may take children away
  dirty.clear();
  for (const part of now) if (!part.isOver && part.isDirty) draw(part);
}

// --- components

/** @param {VNode} vnode @param {any} above */
function openPart(vnode, above) {
  const part = { tag: vnode.tag, props: vnode.props, drawn: /** @type {any} */ (null), paint: /** @type {any} */ (null), isOver: false, isDirty: false,
    depth: (above?.depth ?? 0) + 1, own: { closers: [] }, reader: /** @type {any} */ (null), isSvg: false };
  part.reader = makeReader(() => { part.isDirty = true; drawSoon(part); });
  vnode.part = part;
  return part;
}

/** @param {any} part @returns {VNode} */
function describe(part) {
  part.isDirty = false;
  const found = tracked(part.reader, () => {
    if (part.paint) return part.paint(part.props);
    const first = scope(() => part.tag(part.props), part.own).result;
    part.paint = typeof first === "function" ? first : part.tag;
    return typeof first === "function" ? first(part.props) : first;
  });
  if (found === null || found === undefined || found === false) return textNode("");
  if (Array.isArray(found)) throw new Error("a component draws one element");
  return typeof found === "object" ? (found.node ? copyOf(found) : found) : textNode(found);
}

/** @param {any} part */
function draw(part) {
  const before = part.drawn;
  const next = describe(part);
  part.drawn = next;
  const node = patch(before, next, part, part.isSvg);
  if (node !== before.node) before.node.replaceWith(node);
  for (let up = part.vnode; up; up = up.above?.vnode) { up.node = node; if (up.above?.drawn !== up) break; }
}

/** @param {Record<string, any>} a @param {Record<string, any>} b */
function isSame(a, b) {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.is(a[name], b[name]));
}

// --- elements

/** @param {VNode} vnode @param {any} above @param {boolean} isSvg @returns {any} */
function create(vnode, above, isSvg) {
  if (vnode.tag === null) return vnode.node = document.createTextNode(vnode.text ?? "");
  if (typeof vnode.tag === "function") {
    const part = openPart(vnode, above);
    Object.assign(part, { isSvg, vnode });
    /** @type {any} */ (vnode).above = above;
    part.drawn = describe(part);
    return vnode.node = create(part.drawn, part, isSvg);
  }
  const inSvg = isSvg || vnode.tag === "svg";
  const node = vnode.node = inSvg ? document.createElementNS(SVG, vnode.tag) : document.createElement(vnode.tag);
  for (const kid of vnode.kids) node.append(create(kid, above, inSvg && vnode.tag !== "foreignObject"));
  for (const name in vnode.props) set(node, name, vnode.props[name], undefined);
  if (typeof vnode.props.ref === "function") vnode.props.ref(node);
  return node;
}

/** @param {VNode} vnode */
function destroy(vnode) {
  if (vnode.part) {
    vnode.part.isOver = true;
    forgetReader(vnode.part.reader);
    closeOwner(vnode.part.own);
    destroy(vnode.part.drawn);
    return;
  }
  for (const kid of vnode.kids) destroy(kid);
  if (typeof vnode.props.ref === "function") vnode.props.ref(null);
}

/** @param {VNode} before @param {VNode} next @param {any} above @param {boolean} isSvg @returns {any} the node that shows it */
function patch(before, next, above, isSvg) {
  if (before === next) return before.node;
  if (before.tag !== next.tag || before.key !== next.key) {
    const node = create(next, above, isSvg);
    destroy(before);
    return node;
  }
  if (next.tag === null) {
    if (before.text !== next.text) before.node.data = next.text;
    return next.node = before.node;
  }
  if (before.part) return patchPart(before, next, above);
  const node = next.node = before.node;
  const inSvg = isSvg || next.tag === "svg";
  patchKids(node, before.kids, next.kids, above, inSvg && next.tag !== "foreignObject");
  for (const name in before.props) if (!(name in next.props)) set(node, name, undefined, before.props[name]);
  for (const name in next.props) set(node, name, next.props[name], before.props[name]);
  return node;
}

/** @param {VNode} before @param {VNode} next @param {any} above */
function patchPart(before, next, above) {
  const part = next.part = before.part;
  part.vnode = next;
  /** @type {any} */ (next).above = above;
  next.node = part.drawn.node;
  const isOther = !isSame(part.props, next.props);
  part.props = next.props;
  if (isOther || part.isDirty) {
    const old = part.drawn;
    part.drawn = describe(part);
    next.node = patch(old, part.drawn, part, part.isSvg);
    if (next.node !== old.node) old.node.replaceWith(next.node);
  }
  return next.node;
}

/** @param {any} parent @param {VNode[]} before @param {VNode[]} next @param {any} above @param {boolean} isSvg */
function patchKids(parent, before, next, above, isSvg) {
  const byKey = new Map();
  /** @type {VNode[]} */
  const loose = [];
  for (const kid of before) if (kid.key !== undefined && !byKey.has(kid.key)) byKey.set(kid.key, kid); else loose.push(kid);
  let place = 0;
  const nodes = next.map((kid) => {
    let old = kid.key !== undefined ? byKey.get(kid.key) : loose[place++];
    if (kid.key !== undefined) byKey.delete(kid.key);
    if (!old) return create(kid, above, isSvg);
    const was = old.node;
    const node = patch(old, kid, above, isSvg);
    if (node !== was && was.parentNode === parent) parent.replaceChild(node, was);
    return node;
  });
  for (const kid of [...byKey.values(), ...loose.slice(place)]) { destroy(kid); kid.node.remove(); }
  /** @type {any} */
  let behind = null;
  for (let n = nodes.length - 1; n >= 0; n -= 1) {
    if (nodes[n].parentNode !== parent || nodes[n].nextSibling !== behind) parent.insertBefore(nodes[n], behind);
    behind = nodes[n];
  }
}

// --- properties

/** One for each element that listens: a redraw changes what is called, not what is registered. */
class Ears {
  /** @type {Record<string, any>} */
  acts = {};
  /** @param {Event} event */
  handleEvent(event) { this.acts[event.type]?.(event); }
}

/** @param {any} node @param {string} name @param {any} value @param {any} before */
function set(node, name, value, before) {
  if (name === "key" || name === "ref") return;
  if (AS_PROPERTY.has(name)) { setProperty(node, name, value, before); return; }
  if (Object.is(value, before)) return;
  if (name.startsWith("on")) { listen(node, name.slice(2).toLowerCase(), value); return; }
  if (name === "style" && (typeof value !== "string")) { setStyle(node, value ?? {}, before ?? {}); return; }
  if (NEVER.test(name)) throw new Error(`${name} is never set`);
  if (value === undefined || value === null || value === false) { node.removeAttribute(name === "class" ? "class" : name); return; }
  if ((name === "href" || name === "src" || name === "action") && !SAFE_ADDRESS.test(value)) { node.removeAttribute(name); return; }
  node.setAttribute(name, SAID_BY_STRANGERS.has(name) ? harmless(value) : value === true ? "" : String(value));
}

/** What a person may have changed meanwhile is compared with the page itself. @param {any} node @param {string} name @param {any} value @param {any} before */
function setProperty(node, name, value, before) {
  if (name === "value" && node.localName === "progress") {
    if (value === undefined || value === null) node.removeAttribute("value"); else node.value = value;
  } else if (name === "value" || name === "checked" ? node[name] !== (value ?? "") : value !== before) node[name] = value ?? (name === "value" ? "" : false);
}

/** @param {any} node @param {string} type @param {any} act */
function listen(node, type, act) {
  node.ears ??= new Ears();
  if (act && !(type in node.ears.acts)) node.addEventListener(type, node.ears, type === "wheel" || type === "touchmove" ? { passive: true } : undefined);
  node.ears.acts[type] = typeof act === "function" ? act : undefined;
}

/** Through the object model, which the policy allows; an attribute it would not. @param {any} node @param {Record<string, any>} value @param {Record<string, any>} before */
function setStyle(node, value, before) {
  for (const name in before) if (!(name in value)) node.style.removeProperty(name);
  for (const name in value) if (value[name] !== before[name]) node.style.setProperty(name, String(value[name]));
}

/** Show a component in an element, until the end that is given back is called. @param {Element} root @param {any} tag @param {Record<string, any>} [props] @returns {() => void} */
export function mount(root, tag, props = {}) {
  const vnode = h(tag, props);
  root.replaceChildren(create(vnode, null, false));
  return () => { destroy(vnode); root.replaceChildren(); };
}
