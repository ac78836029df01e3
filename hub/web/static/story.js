// The story of one task: crew > task > agent > tool or model call, as it goes. It reads the kept log, then follows the feed.

import { $, harmless, make } from "/web/dom.js";

const LINES_MAX = 1_500;       // steps on the page; a longer run loses its oldest here, and `hub tasks log` has what is kept
const SPOKEN_MAX = 4_000;      // characters of one model call that are shown while it speaks
const TEXT_MAX = 2_000;
const PAGE_LINES = 500;
const REFRESH_MS = 300;
const ENDED = new Set(["completed", "failed", "cancelled", "dead_letter"]);

export function openStory({ get }) {
  let shown = null;            // the task on the page: its id, how far it was read, its steps and calls by their ids

  function show(taskId) {
    if (shown?.taskId === taskId) return;
    clear();
    shown = { taskId, place: 0, last: new Map(), steps: new Map(), calls: new Map(), generation: null, timers: new Set(), waiting: null };
    $("story").hidden = false;
    $("story-title").textContent = harmless(taskId);
    Promise.all([catchUp(shown), refresh(shown)]).catch(() => {});
  }

  function close() {
    clear();
    $("story").hidden = true;
  }

  function clear() {
    for (const timer of shown?.timers ?? []) clearTimeout(timer);
    shown = null;
    for (const id of ["story-steps", "story-result", "story-question"]) $(id).replaceChildren();
    $("story-question").hidden = true;
    for (const id of ["story-about", "story-tokens", "story-message"]) $(id).textContent = "";
    $("story-progress").removeAttribute("value");
  }

  function hear(item) {
    if (!shown) return;
    const mine = shown;
    if (item.event === "gap" || item.event === "reset") {
      remark("some lines were left out here");
      soon(mine);
    }
    if (item.event === "snapshot" || item.event === "reset") { soon(mine); return; }
    if (item.task_id !== mine.taskId) return;
    const payload = item.payload ?? {};
    if (item.event === "task_log") hearLine(mine, payload);
    else if (item.event === "task_usage") tokens(payload);
    else if (item.event === "task_progress") progress(payload);
    else soon(mine);
  }

  // What was said before this page listened, or was left out, may be in the kept log; lines wait for it in their order.
  function hearLine(mine, line) {
    if (mine.waiting) mine.waiting.push(line);
    else if (line.n > (mine.last.get(line.generation) ?? 0) + 1) catchUp(mine, [line]).catch(() => {});
    else tell(mine, line);
  }

  async function catchUp(mine, waiting = []) {
    if (mine.waiting) return;
    mine.waiting = waiting;
    try {
      for (;;) {
        const page = await get(`/api/tasks/${encodeURIComponent(mine.taskId)}/log?after=${mine.place}&limit=${PAGE_LINES}`);
        if (shown !== mine) return;
        for (const line of page.lines) tell(mine, line);
        if (page.next !== null) mine.place = page.next;
        if (page.count < PAGE_LINES) return;
      }
    } finally {
      mine.waiting = null;
      if (shown === mine) for (const line of waiting) tell(mine, line);
    }
  }

  function later(mine, act, ms) {
    const timer = setTimeout(() => { mine.timers.delete(timer); if (shown === mine) Promise.resolve(act()).catch(() => {}); }, ms);
    mine.timers.add(timer);
  }

  function soon(mine) {
    if (mine.isRefreshing) return;
    mine.isRefreshing = true;
    later(mine, () => { mine.isRefreshing = false; return Promise.all([refresh(mine), catchUp(mine)]); }, REFRESH_MS);
  }

  // --- lines

  function tell(mine, line) {
    const last = mine.last.get(line.generation) ?? 0;
    if (typeof line.n !== "number" || line.n <= last) return;       // told already
    if (line.generation !== mine.generation) beginRun(mine, line.generation);
    const missing = line.n - last - 1;
    if (missing > 0) remark(missing === 1 ? "one line is missing here" : `${missing} lines are missing here`);
    mine.last.set(line.generation, line.n);
    const about = line.data && typeof line.data === "object" ? line.data : {};
    const box = $("story-steps");
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;   // whoever has scrolled up reads there in peace
    if (line.kind === "chunk") speak(mine, line, about);
    else if (line.kind !== "usage") step(mine, line, about);
    if (isAtEnd) box.scrollTop = box.scrollHeight;
  }

  function beginRun(mine, generation) {
    if (mine.generation !== null) remark("another attempt");
    Object.assign(mine, { generation, steps: new Map(), calls: new Map() });
  }

  function step(mine, line, about) {
    const known = about.id === undefined ? undefined : mine.steps.get(about.id);
    const text = String(line.text ?? "").slice(0, TEXT_MAX);
    if (known) { finish(known, line, about, text); return; }
    const words = make("span", { class: "words", textContent: text });
    const item = make("li", { "data-kind": String(line.kind ?? "log"), "data-state": String(about.state ?? ""), "data-level": String(line.level ?? "") }, [words]);
    put(mine, about.parent, item);
    if (about.id !== undefined) mine.steps.set(about.id, { item, words, list: null });
  }

  function finish(known, line, about, text) {
    known.item.dataset.state = String(about.state ?? "");
    if (about.state === "failed" || line.kind === "model") known.words.textContent = harmless(text);
    const time = typeof about.ms === "number" ? ` in ${(about.ms / 1000).toFixed(1)} s` : "";
    const mark = about.state === "failed" ? `failed${time}` : about.state === "ended" ? `done${time}` : "";
    if (!known.mark) known.words.after(known.mark = make("span", { class: "mark" }));
    known.mark.textContent = mark;
  }

  function speak(mine, line, about) {
    const call = `${about.thought ? "thought" : "said"} ${about.call ?? ""}`;
    let said = mine.calls.get(call);
    if (!said) {
      said = { text: "", item: make("li", { "data-kind": about.thought ? "thought" : "chunk" }), words: make("span", { class: "words" }) };
      said.item.append(said.words);
      mine.calls.set(call, said);
      put(mine, about.parent, said.item);
    }
    said.text = (said.text + String(line.text ?? "")).slice(-SPOKEN_MAX);
    said.words.textContent = harmless(said.text);
  }

  // Under its parent; where that is not known, at the end of the whole.
  function put(mine, parent, item) {
    const above = mine.steps.get(parent);
    if (above && !above.list) above.item.append(above.list = make("ul"));
    (above?.list ?? $("story-steps")).append(item);
    trim();
  }

  function remark(text) {
    $("story-steps").append(make("li", { class: "said", textContent: `— ${text} —` }));
    trim();
  }

  function trim() {
    const lines = $("story-steps").getElementsByTagName("li");
    while (lines.length > LINES_MAX) (lines[0].querySelector("li") ?? lines[0]).remove();
  }

  // --- the task around them

  function tokens(usage) {
    if (typeof usage?.tokens_out !== "number") return;
    $("story-tokens").textContent = `${usage.tokens_in ?? 0} tokens in, ${usage.tokens_out} out`;
  }

  function progress(payload) {
    if (typeof payload.progress === "number") $("story-progress").value = Math.max(0, Math.min(100, payload.progress));
    if (typeof payload.message === "string") $("story-message").textContent = harmless(payload.message.slice(0, 300));
  }

  async function refresh(mine) {
    const task = await get(`/api/tasks/${encodeURIComponent(mine.taskId)}`);
    if (shown !== mine) return;
    $("story-title").textContent = harmless(task.description.slice(0, 200) || task.task_id);
    const again = task.attempt > 0 && !ENDED.has(task.state) ? `attempt ${task.attempt + 1} of ${task.attempts_max}` : "";
    const about = [task.state, task.agent_id, task.plugin, again];
    $("story-about").textContent = harmless(about.filter(Boolean).join(" · "));
    $("story-about").dataset.state = task.state;
    tokens(task.usage);
    progress(task);
    question(task);
    mine.isOver = ENDED.has(task.state);
    if (!mine.isOver) return;
    $("story-progress").value = task.state === "completed" ? 100 : task.progress ?? 0;
    result(task);
  }

  function question(task) {
    const asked = task.question && !task.question.answered && !ENDED.has(task.state) ? task.question : null;
    $("story-question").hidden = !asked;
    $("story-question").replaceChildren(...(asked ? [
      make("p", { textContent: `It asks: ${asked.prompt}` }),
      make("p", {}, ["Answer with ", make("code", { textContent: `hub tasks answer ${task.task_id} "…"` })]),
    ] : []));
  }

  function result(task) {
    const found = task.result;
    const parts = [];
    if (task.error) parts.push(make("p", { class: "error", textContent: task.error }));
    if (typeof found?.summary === "string" && Array.isArray(found.sections)) {
      parts.push(make("p", { class: "summary", textContent: found.summary }));
      for (const one of found.sections)
        parts.push(make("h3", { textContent: String(one?.title ?? "") }), make("p", { textContent: String(one?.content ?? "") }));
    } else if (found !== null && found !== undefined) {
      const text = typeof found === "string" ? found : typeof found?.output === "string" ? found.output : JSON.stringify(found, null, 2);
      parts.push(make("pre", { textContent: text }));
    }
    $("story-result").replaceChildren(...parts);
  }

  return { show, close, hear, get taskId() { return shown?.taskId ?? null; }, get isOver() { return shown?.isOver ?? false; } };
}
