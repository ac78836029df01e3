// @ts-check
// The hub's figures, out of the text in which Prometheus reads them.

/** @typedef {{ labels: Record<string, string>, value: number }} Figure */
/** @typedef {{ one: (name: string) => number | null, all: (name: string) => Figure[] }} Figures */

const LINE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** @param {string} text @returns {Figures} */
export function figuresIn(text) {
  /** @type {Map<string, Figure[]>} */
  const found = new Map();
  for (const line of text.split("\n")) {
    const said = LINE.exec(line);
    if (!said) continue;
    const figure = { labels: Object.fromEntries([...(said[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value])), value: Number(said[3]) };
    found.set(said[1], [...found.get(said[1]) ?? [], figure]);
  }
  return { one: (name) => found.get(name)?.[0]?.value ?? null, all: (name) => found.get(name) ?? [] };
}
