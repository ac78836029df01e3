// @ts-check
// The table of views: address, title, key, who may see it, and the module that is fetched when it is first opened.
// A row's module has `export default`: a component that gets {params} of its address.

/** @typedef {{ path: string, title: string, name: string, key?: string, icon?: string, inNav?: boolean, role: "viewer" | "dispatcher" | "admin", load: () => Promise<{ default: any }> }} View */

/** In the order of the navigation. The hub serves the page at exactly these addresses (`pages.py`).
 *  @type {readonly View[]} */
export const VIEWS = [
  { path: "/", title: "Live", name: "live", key: "l", icon: "live", inNav: true, role: "viewer", load: () => import("./views/live.js") },
  { path: "/agents", title: "Fleet", name: "fleet", key: "f", icon: "fleet", inNav: true, role: "viewer", load: () => import("./views/fleet.js") },
  { path: "/agents/:id", title: "Agent", name: "agent", role: "viewer", load: () => import("./views/agent.js") },
  { path: "/tasks", title: "Tasks", name: "tasks", key: "t", icon: "tasks", inNav: true, role: "viewer", load: () => import("./views/tasks.js") },
  { path: "/tasks/:id", title: "Task", name: "task", role: "viewer", load: () => import("./views/task.js") },
  { path: "/dead", title: "Dead letters", name: "dead", key: "d", icon: "dead", inNav: true, role: "viewer", load: () => import("./views/dead.js") },
  { path: "/push", title: "Push", name: "push", key: "p", icon: "push", inNav: true, role: "dispatcher", load: () => import("./views/push.js") },
  { path: "/briefings", title: "Briefings", name: "briefings", key: "b", icon: "briefings", inNav: true, role: "viewer", load: () => import("./views/briefings.js") },
  { path: "/briefings/:id", title: "Briefing", name: "briefing", role: "viewer", load: () => import("./views/briefing.js") },
  { path: "/settings", title: "Settings", name: "settings", key: "s", icon: "settings", inNav: true, role: "viewer", load: () => import("./views/settings.js") },
];
