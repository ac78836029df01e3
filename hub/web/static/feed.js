// One feed of the hub: opens it, resumes it, and says truly whether it is live.

const NAMES = ["snapshot", "reset", "gap", "task_queued", "task_assigned", "task_accepted", "task_rejected", "task_progress",
  "task_log", "task_usage", "task_complete", "task_failed", "task_stopped", "task_done", "task_requeued", "task_recovering",
  "task_resumed", "task_cancelled", "task_cancel", "task_input", "input_required", "input_ack", "stale", "message",
  "agent_joined", "agent_left", "agent_paused", "agent_unpaused", "agent_draining", "draining", "agent_restarting",
  "wake_result", "state_report", "resource_report", "alert"];
const SILENCE_MS = 40_000;    // the hub sends a comment every 15 s; without any sign for this long the lamp says so

export function openFeed(url, { hear, lamp, loggedOut }) {
  let source = null;
  let heardAt = Date.now();
  let closed = false;

  const watch = setInterval(() => {
    const silence = Date.now() - heardAt;
    if (source?.readyState === EventSource.OPEN && silence > SILENCE_MS) lamp("late", `quiet for ${Math.round(silence / 1000)} s`);
  }, 5_000);

  function take(message) {
    heardAt = Date.now();
    let item;
    try { item = JSON.parse(message.data); } catch { return; }
    item.event ??= message.type;
    if (item.timestamp) lamp("live", `live · ${Math.max(0, Date.now() - item.timestamp)} ms`);
    hear(item);
  }

  function open() {
    source = new EventSource(url);
    source.onopen = () => { heardAt = Date.now(); lamp("live", "live"); };
    source.onerror = async () => {
      lamp("off", "reconnecting…");
      if (source.readyState !== EventSource.CLOSED || closed) return;   // the browser redials by itself, with Last-Event-ID
      const who = await fetch("/api/session").catch(() => null);
      if (closed) return;
      if (who && who.status === 401) { loggedOut(); return; }
      setTimeout(() => { if (!closed) open(); }, 2_000);
    };
    for (const name of NAMES) source.addEventListener(name, take);
    source.onmessage = take;
  }

  open();
  return { close() { closed = true; clearInterval(watch); source.close(); } };
}
