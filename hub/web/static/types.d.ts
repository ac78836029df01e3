// Made from the hub's own types by ./dev fmt; a change here is lost. What the API takes and gives.

/** Any JSON value: what agents and people wrote. It is hostile, and of a shape that nobody has checked. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export interface AgentList {
  agents: AgentView[];
  count: number;
  next?: string | null;
}

export interface AgentView {
  agent_id: string;
  name: string;
  status: string;
  state: string;
  connected: boolean;
  instance_id: string | null;
  version: number | null;
  slots: number;
  free_slots: number;
  slot_kinds: { [name: string]: number };
  free_slot_kinds: { [name: string]: number };
  resting: Resting | null;
  quarantine_reason: string | null;
  quarantine_left_ms: number;
  capabilities: string[];
  labels: { [name: string]: string };
  plugins: string[];
  plugin_versions: { [name: string]: string };
  client_type: string | null;
  sdk: string | null;
  running_tasks: string[];
  load: number | null;
  connected_at: number | null;
  last_seen: number;
  last_dispatch: number | null;
  connections?: VisitView[];
}

/** How long to wait before another try: `first_ms`, then twice as long each time, at most `max_ms`. */
export interface BackoffBody {
  first_ms?: number | null;
  max_ms?: number | null;
  jitter?: "full" | "half" | null;
}

export interface BackoffView {
  first_ms: number;
  max_ms: number;
  jitter: string;
}

/** POST /api/tasks/batch: each item stands alone. */
export interface BatchBody {
  tasks: Json[];
}

export interface BatchView {
  items: { [name: string]: Json }[];
}

export interface BriefingPage {
  briefings: BriefingView[];
  count: number;
  next: string | null;
}

/** A completed run of a plugin that briefs people. */
export interface BriefingView {
  plugin_run_id: string;
  task_id: string;
  user_id: number;
  plugin_id: string | number;
  plugin_name: string;
  summary: string;
  sections: Section[];
  started_at: number | null;
  completed_at: number | null;
}

/** POST /api/tasks/bulk. Nothing is done unless `dry_run` is false; what is not known is refused. */
export interface BulkBody {
  action: "cancel" | "purge" | "retry";
  filter: FilterBody;
  dry_run?: boolean;
  expect?: number | null;
  reason?: string | null;
}

export interface BulkView {
  action: string;
  count: number;
  done: number;
  refused: number;
  refusals: { [name: string]: number };
  dry_run: boolean;
  sample: string[];
  more: boolean;
}

/** One of `result`, `error`, or how far it is. */
export interface CallbackBody {
  result?: Json;
  error?: string | null;
  retryable?: boolean | null;
  retry_after_ms?: number | null;
  progress?: number | null;
  message?: string | null;
  generation?: number | null;
}

export interface CallbackView {
  status: string;
  task_id: string;
}

export interface CancelBody {
  reason?: string | null;
}

export interface DeadGroupPage {
  groups: DeadGroupView[];
  count: number;
  next: string | null;
}

/** Dead letters with one fingerprint: the same ending, plugin and shape of the error. */
export interface DeadGroupView {
  fingerprint: string;
  how: string;
  whose_fault: string | null;
  error: string;
  plugin: string | null;
  count: number;
  retried: number;
  first_seen_at: number;
  last_seen_at: number;
  example: string;
}

export interface DeletedView {
  status: string;
  schedule_id: string;
}

export interface DeliveryDetailView {
  delivery_id: string;
  webhook_id: string;
  message_id: string;
  event: string;
  task_id: string | null;
  agent_id: string | null;
  state: string;
  tries: number;
  next_try_at: number | null;
  created_at: number;
  updated_at: number;
  log: TryView[];
  body: Json;
}

export interface DeliveryListView {
  deliveries: DeliveryView[];
  count: number;
  next: string | null;
}

/** `message_id` is what the receiver sees as `webhook-id`; `tries` counts the round that is on. */
export interface DeliveryView {
  delivery_id: string;
  webhook_id: string;
  message_id: string;
  event: string;
  task_id: string | null;
  agent_id: string | null;
  state: string;
  tries: number;
  next_try_at: number | null;
  created_at: number;
  updated_at: number;
}

export interface EndingView {
  how: string;
  whose_fault?: string | null;
  tokens_wasted?: number;
  stopped?: string | null;
  proof?: { [name: string]: Json } | null;
}

/** How many tasks ended in which state, by the agent that had them last, since a moment: a day ago, or later if more tasks ended in a day than are counted. */
export interface EndingsView {
  since: number;
  agents: { [name: string]: { [name: string]: number } };
}

export interface EventPage {
  events: EventView[];
  count: number;
  next: number | null;
}

/** A line of the feed. Passing ones have no cursor. */
export interface EventView {
  cursor: string | null;
  event: string;
  task_id: string | null;
  agent_id: string | null;
  generation: number | null;
  timestamp: number;
  payload: Json;
}

/** An agent, and the first rule that keeps the task from it. */
export interface ExclusionView {
  agent_id: string;
  rule: string;
}

/** Why a task is not running, from the code that decides it. */
export interface ExplanationView {
  task_id: string;
  state: "queued" | "assigned" | "running" | "input_required" | "recovering" | "cancelling" | "completed" | "failed" | "cancelled" | "dead_letter";
  reason: string;
  rule?: string | null;
  wait_ms: number | null;
  waits_for?: string[];
  agents: ExclusionView[];
}

/** Which tasks are meant; all that is given must hold. A word that is none of these is refused: a typo must not mean more tasks. */
export interface FilterBody {
  state?: "assigned" | "cancelled" | "cancelling" | "completed" | "dead_letter" | "failed" | "input_required" | "queued" | "recovering" | "running" | null;
  agent_id?: string | null;
  plugin?: string | null;
  priority?: "high" | "low" | "normal" | "urgent" | null;
  q?: string | null;
  label?: string | null;
  fingerprint?: string | null;
  submitted_by?: string | null;
  unique_key?: string | null;
  concurrency_key?: string | null;
  after?: number | null;
  before?: number | null;
  task_ids?: string[] | null;
  retry_of?: string[] | null;
}

export interface FleetExplanation {
  agents: IdleAgent[];
  agents_left_out: number;
  lines_left_out: number;
  waiting: { [name: string]: number };
}

export interface HealthView {
  status: string;
  service?: string | null;
  agents_connected?: number | null;
  durability?: string | null;
  version?: string | null;
  redis?: string | null;
  error?: string | null;
}

export interface HookView {
  status: string;
  task_id: string;
}

/** An agent with a free slot. */
export interface IdleAgent {
  agent_id: string;
  free: { [name: string]: number };
  reason: string;
  lines?: LineExplained[];
}

export interface InputBody {
  request_id: string;
  value: Json;
}

/** What came of the last due time: a run, or why there is none. */
export interface LastView {
  due_at: number;
  at: number;
  plugin_run_id: string | null;
  is_new: boolean;
  error: string | null;
}

/** One line of waiting tasks, and why its first one does not go to this agent. */
export interface LineExplained {
  task_id: string;
  waiting: number;
  slot: string;
  rule: string | null;
}

export interface LogLineView {
  n: number;
  generation: number;
  timestamp: number;
  level: string;
  kind: string;
  text: string;
  data: Json;
}

export interface LogPage {
  lines: LogLineView[];
  count: number;
  next: number | null;
}

export interface LoginBody {
  token: string;
}

export interface MailAckBody {
  up_to: number;
}

export interface MailPage {
  messages: MailView[];
  last_seq: number;
  count: number;
}

export interface MailView {
  seq: number;
  id: string;
  from: string;
  message_type: string;
  payload: Json;
  reply_to: string | null;
  timestamp: number;
}

export interface MessageBody {
  payload: Json;
  to?: string | null;
  from?: string | null;
  message_type?: string | null;
  reply_to?: string | null;
}

/** What becomes of due times that went by while the hub was away. */
export type Missed = "once" | "skip";

/** The only time that the token itself is shown. */
export interface NewTokenView {
  token_id: string;
  token: string;
  role: string;
  agent_id: string | null;
  expires_at: number;
}

/** The same with its newest secret, which is shown here and never again. */
export interface NewWebhookView {
  webhook_id: string;
  url: string;
  description: string;
  events: string[];
  agent_id: string | null;
  plugin: string | null;
  labels: { [name: string]: string };
  status: string;
  disabled_why: string | null;
  failing_since: number | null;
  pending: number;
  behind: number;
  cursor: string;
  secrets: SecretView[];
  created_by: string;
  created_at: number;
  updated_at: number;
  secret: string;
}

export interface OnboardBody {
  agent_id: string;
  code?: string | null;
}

export interface OnboardView {
  agent_id: string;
  token: string;
  hub_ws_url: string;
  hub_api_url: string;
}

export interface PluginFormView {
  name: string;
  title: string;
  description: string;
  versions: string[];
  agents: string[];
  agent_count: number;
  is_in_folder: boolean;
  trouble: string | null;
  has_schema: boolean;
  settings_schema: Json;
}

export interface PluginList {
  plugins: PluginView[];
  count: number;
}

/** A plugin that a connected agent offers, or that lies in a folder of this hub. */
export interface PluginView {
  name: string;
  title: string;
  description: string;
  versions: string[];
  agents: string[];
  agent_count: number;
  is_in_folder: boolean;
  trouble: string | null;
  has_schema: boolean;
}

export interface Problem {
  error: string;
  type: string;
  title: string;
  status: number;
  detail: string;
}

/** Without an age: what this hub's settings say is old. */
export interface PruneBody {
  older_than_ms?: number | null;
  dry_run?: boolean;
}

export interface PruneView {
  dry_run: boolean;
  tasks: number;
  events: number;
  log_lines: number;
  more: boolean;
}

/** POST /api/admin/push-task: to one named agent. */
export interface PushTaskBody {
  agent_id?: string | null;
  description?: string | null;
  metadata?: Json;
  plugin?: string | null;
  inputs?: Json;
  attempts_max?: number | null;
  timeout_ms?: number | null;
  idempotency_key?: string | null;
  stream_id?: string | null;
  queue?: boolean | null;
}

export interface PushedView {
  status: string;
  task_id: string;
  agent_id: string;
  state: "queued" | "assigned" | "running" | "input_required" | "recovering" | "cancelling" | "completed" | "failed" | "cancelled" | "dead_letter";
}

export interface QuestionView {
  request_id: string;
  prompt: string;
  schema?: Json;
  answered?: boolean;
}

export interface QueuedView {
  status: string;
  task_id: string;
  priority: string;
  created_at: number;
}

/** At most `count` tasks of a key begin within any `per_ms`. */
export interface Rate {
  count: number;
  per_ms: number;
}

/** At most `count` tasks of the concurrency key begin within any `per_ms`. */
export interface RateBody {
  count: number;
  per_ms: number;
}

export interface RemovedView {
  status: string;
  webhook_id: string;
}

/** POST /api/webhooks/{id}/replay: after a cursor of the feed, or from a moment on. */
export interface ReplayBody {
  since?: string | null;
  since_time?: number | null;
}

/** `cursor`: events after it are looked at again. */
export interface ReplayView {
  status: string;
  webhook_id: string;
  cursor: string;
}

/** An agent that is there and takes no new work: quiet hours, or a limit of its owner's is reached. */
export interface Resting {
  reason: string;
  until?: number | null;
}

export type Role = "admin" | "agent" | "dispatcher" | "join" | "viewer";

/** POST /api/plugins/{name}/runs. `settings` are those of the plugin's schema; keys that begin with `_` are credentials, which go to the run and are kept nowhere. */
export interface RunBody {
  user_id: number;
  settings: Json;
  plugin_id?: string | number | null;
}

export interface RunPage {
  runs: RunView[];
  count: number;
  next: string | null;
}

/** A PluginRun. Times are unix milliseconds. */
export interface RunView {
  plugin_run_id: string;
  task_id: string;
  user_id: number;
  plugin_id: string | number;
  plugin_name: string;
  status: "pending" | "processing" | "completed" | "failed";
  input: Json;
  output: string | null;
  error_message: string | null;
  attempts: number;
  origin: string;
  route: string;
  progress: number | null;
  message: string | null;
  created_at: number;
  started_at: number | null;
  completed_at: number | null;
}

/** POST /api/plugins/{name}/schedules: what a run takes, and when. `missed` says what becomes of due times that go by while the hub is away: `skip` them, or run `once` for all of them. */
export interface ScheduleBody {
  user_id: number;
  settings: Json;
  cron: string;
  zone?: string;
  missed?: Missed;
  plugin_id?: string | number | null;
}

export interface ScheduleListView {
  schedules: ScheduleView[];
  count: number;
  next: string | null;
}

/** Times are unix milliseconds. `next_due_at` is null while it is paused. */
export interface ScheduleView {
  schedule_id: string;
  status: string;
  plugin_name: string;
  plugin_id: string | number;
  user_id: number;
  settings: { [name: string]: Json };
  cron: string;
  zone: string;
  missed: string;
  next_due_at: number | null;
  last: LastView | null;
  missed_at: number | null;
  created_by: string;
  created_at: number;
}

/** When a secret began to hold, and when it will not any more; null: it is the newest. */
export interface SecretView {
  since: number;
  until: number | null;
}

export interface Section {
  title: string;
  content: string;
}

export interface SessionView {
  role: string;
  label: string;
  token_id: string;
}

/** The run that answers: a new one is 202, one that exists is 200. */
export interface StartedView {
  plugin_run_id: string;
  task_id: string;
  status: string;
}

export interface StatsView {
  states: { [name: string]: number };
}

/** The word for what was done, and to what. */
export interface StatusView {
  status: string;
  task_id?: string | null;
  agent_id?: string | null;
  priority?: string | null;
  id?: string | null;
  up_to?: number | null;
}

/** POST /api/tasks: to whoever can. `description` is required (its absence is 400, not 422). */
export interface TaskBody {
  description?: string | null;
  metadata?: Json;
  priority?: "high" | "low" | "normal" | "urgent" | null;
  assign_to?: string | null;
  needed_capabilities?: string[] | null;
  plugin?: string | null;
  inputs?: Json;
  labels?: { [name: string]: string } | null;
  attempts_max?: number | null;
  timeout_ms?: number | null;
  start_by?: number | null;
  run_at?: number | null;
  stream_id?: string | null;
  idempotency_key?: string | null;
  backoff?: BackoffBody | null;
  unique_key?: string | null;
  depends_on?: string[] | null;
  needed_labels?: { [name: string]: string } | null;
  preferred_labels?: { [name: string]: string } | null;
  slot?: string | null;
  sticky_key?: string | null;
  concurrency_key?: string | null;
  limit?: number | null;
  rate?: RateBody | null;
  accept_timeout_ms?: number | null;
  lease_ms?: number | null;
  progress_timeout_ms?: number | null;
}

export interface TaskPage {
  tasks: TaskView[];
  count: number;
  next: string | null;
}

/** A task as contracts §2 names it, older readers' `id` and `status` beside ours. */
export interface TaskView {
  task_id: string;
  id: string;
  state: "queued" | "assigned" | "running" | "input_required" | "recovering" | "cancelling" | "completed" | "failed" | "cancelled" | "dead_letter";
  status: "queued" | "assigned" | "running" | "input_required" | "recovering" | "cancelling" | "completed" | "failed" | "cancelled" | "dead_letter";
  agent_id: string | null;
  generation: number;
  attempt: number;
  attempts_max: number;
  strikes: number;
  priority: string;
  description: string;
  metadata: Json;
  plugin: string | null;
  inputs: Json;
  labels: { [name: string]: string };
  result: Json;
  error: string | null;
  progress: number | null;
  message: string | null;
  usage: UsageView | null;
  submitted_by: string;
  submitted_at: number;
  created_at: number;
  updated_at: number;
  retry_of: string | null;
  assign_to: string | null;
  needed_capabilities: string[];
  steps_kept: number;
  answers_kept: number;
  needed_labels: { [name: string]: string };
  preferred_labels: { [name: string]: string };
  slot: string | null;
  sticky_key: string | null;
  concurrency_key: string | null;
  limit: number | null;
  rate: Rate | null;
  unique_key: string | null;
  depends_on: string[];
  waits_for: string[];
  backoff: BackoffView | null;
  timeout_ms: number | null;
  accept_timeout_ms: number | null;
  lease_ms: number | null;
  progress_timeout_ms: number | null;
  start_by: number | null;
  run_at: number | null;
  stream_id: string | null;
  question?: QuestionView | null;
  ending?: EndingView | null;
}

export interface TokenBody {
  agent_id?: string | null;
  role?: Role | null;
  label?: string | null;
  expires_in_ms?: number | null;
  agent_patterns?: string[] | null;
  plugin_patterns?: string[] | null;
}

export interface TokenList {
  tokens: TokenView[];
  next?: string | null;
}

export interface TokenView {
  token_id: string;
  role: string;
  agent_id: string | null;
  label: string;
  prefix: string;
  created_at: number;
  expires_at: number;
  last_used_at: number | null;
  agent_patterns: string[];
  plugin_patterns: string[];
}

/** One try: the status that came, or why none did, and the beginning of the answer. */
export interface TryView {
  at: number;
  status: number | null;
  error: string | null;
  took_ms: number;
  answer: string;
}

export interface UsageView {
  tokens_in: number;
  tokens_out: number;
  model: string | null;
  cost: number | null;
}

/** One connection: when, and how it ended (nulls while it lasts): code, sentence, side, duration. */
export interface VisitView {
  at: number;
  version: number;
  code: number | null;
  reason: string | null;
  side: string | null;
  duration_ms: number | null;
}

/** POST /api/webhooks. `events` are names as the feed has them, `*` stands for any letters; without it all are told. Whatever else is given must hold, too; a filter that is mistyped would tell more than was meant. */
export interface WebhookBody {
  url: string;
  description?: string;
  events?: string[];
  agent_id?: string | null;
  plugin?: string | null;
  labels?: { [name: string]: string } | null;
}

/** PATCH /api/webhooks/{id}: what is left out stays as it is, null takes a filter away. Once it is enabled again it is told of what happens from then on; a replay tells the rest. */
export interface WebhookChangeBody {
  url?: string;
  description?: string;
  events?: string[] | null;
  agent_id?: string | null;
  plugin?: string | null;
  labels?: { [name: string]: string } | null;
  enabled?: boolean;
}

export interface WebhookListView {
  webhooks: WebhookView[];
  count: number;
  next?: string | null;
}

/** Times are unix milliseconds. `behind` counts events of the log that were not looked at for it yet, `pending` the deliveries it still has to get. */
export interface WebhookView {
  webhook_id: string;
  url: string;
  description: string;
  events: string[];
  agent_id: string | null;
  plugin: string | null;
  labels: { [name: string]: string };
  status: string;
  disabled_why: string | null;
  failing_since: number | null;
  pending: number;
  behind: number;
  cursor: string;
  secrets: SecretView[];
  created_by: string;
  created_at: number;
  updated_at: number;
}

/** Every route: names in its path and in its query, the body it takes, what it gives. */
export interface Api {
  /** List tokens, prefixes only */
  "GET /admin/tokens": { path: never; query: "cursor" | "limit"; body: never; reply: TokenList };
  /** Make a token; it is shown once */
  "POST /admin/tokens": { path: never; query: never; body: TokenBody; reply: NewTokenView };
  /** Revoke a token, or all of an agent */
  "DELETE /admin/tokens/{token_id}": { path: "token_id"; query: never; body: never; reply: StatusView };
  /** Forget what is over and old */
  "POST /api/admin/prune": { path: never; query: never; body: PruneBody; reply: PruneView };
  /** Push a task to an agent */
  "POST /api/admin/push-task": { path: never; query: never; body: PushTaskBody; reply: PushedView };
  /** List agents */
  "GET /api/agents": { path: never; query: "cursor" | "limit"; body: never; reply: AgentList };
  /** Get an agent, with its last connections */
  "GET /api/agents/{agent_id}": { path: "agent_id"; query: never; body: never; reply: AgentView };
  /** Close an agent's connection */
  "POST /api/agents/{agent_id}/disconnect": { path: "agent_id"; query: never; body: never; reply: StatusView };
  /** Let an agent finish and leave */
  "POST /api/agents/{agent_id}/drain": { path: "agent_id"; query: never; body: never; reply: StatusView };
  /** Give an agent no new work */
  "POST /api/agents/{agent_id}/pause": { path: "agent_id"; query: never; body: never; reply: StatusView };
  /** Give a paused agent work again */
  "POST /api/agents/{agent_id}/resume": { path: "agent_id"; query: never; body: never; reply: StatusView };
  /** List briefings, newest first */
  "GET /api/briefings": { path: never; query: "plugin" | "user_id" | "cursor" | "limit"; body: never; reply: BriefingPage };
  /** Report on a task that this hub has called a webhook for */
  "POST /api/callbacks/{task_id}": { path: "task_id"; query: never; body: CallbackBody; reply: CallbackView };
  /** The log of events as JSON lines, oldest first */
  "GET /api/events/export": { path: never; query: "since"; body: never; reply: never };
  /** The live feed as Server-Sent Events; Last-Event-ID resumes it */
  "GET /api/feed": { path: never; query: "since" | "task" | "agent" | "kind"; body: never; reply: never };
  /** Count how each agent's tasks of the last day ended */
  "GET /api/fleet/endings": { path: never; query: never; body: never; reply: EndingsView };
  /** Say why agents with a free slot idle */
  "GET /api/fleet/explain": { path: never; query: "agent"; body: never; reply: FleetExplanation };
  /** Start a task by a signed webhook */
  "POST /api/hooks/{name}": { path: "name"; query: never; body: never; reply: HookView };
  /** Read an agent's kept messages */
  "GET /api/mailbox/{agent_id}": { path: "agent_id"; query: "since" | "limit"; body: never; reply: MailPage };
  /** Acknowledge kept messages */
  "POST /api/mailbox/{agent_id}/ack": { path: "agent_id"; query: never; body: MailAckBody; reply: StatusView };
  /** Send a message to an agent, or to all */
  "POST /api/message": { path: never; query: never; body: MessageBody; reply: StatusView };
  /** Trade a join code for an agent's token */
  "POST /api/onboard/register": { path: never; query: never; body: OnboardBody; reply: OnboardView };
  /** List plugins and who offers them */
  "GET /api/plugins": { path: never; query: never; body: never; reply: PluginList };
  /** Get a plugin, with the schema of its settings */
  "GET /api/plugins/{name}": { path: "name"; query: never; body: never; reply: PluginFormView };
  /** Run a plugin for a user */
  "POST /api/plugins/{name}/runs": { path: "name"; query: never; body: RunBody; reply: StartedView };
  /** Run a plugin for a user by the clock */
  "POST /api/plugins/{name}/schedules": { path: "name"; query: never; body: ScheduleBody; reply: ScheduleView };
  /** List runs, newest first */
  "GET /api/runs": { path: never; query: "status" | "plugin" | "user_id" | "cursor" | "limit"; body: never; reply: RunPage };
  /** Get a run */
  "GET /api/runs/{plugin_run_id}": { path: "plugin_run_id"; query: never; body: never; reply: RunView };
  /** List schedules, newest first */
  "GET /api/schedules": { path: never; query: "plugin" | "user_id" | "cursor" | "limit"; body: never; reply: ScheduleListView };
  /** Delete a schedule */
  "DELETE /api/schedules/{schedule_id}": { path: "schedule_id"; query: never; body: never; reply: DeletedView };
  /** Get a schedule */
  "GET /api/schedules/{schedule_id}": { path: "schedule_id"; query: never; body: never; reply: ScheduleView };
  /** Begin no more runs of it */
  "POST /api/schedules/{schedule_id}/pause": { path: "schedule_id"; query: never; body: never; reply: ScheduleView };
  /** Go on with it from now */
  "POST /api/schedules/{schedule_id}/resume": { path: "schedule_id"; query: never; body: never; reply: ScheduleView };
  /** Log the page out */
  "DELETE /api/session": { path: never; query: never; body: never; reply: StatusView };
  /** Who is logged in */
  "GET /api/session": { path: never; query: never; body: never; reply: SessionView };
  /** Log the page in */
  "POST /api/session": { path: never; query: never; body: LoginBody; reply: SessionView };
  /** List tasks, newest first */
  "GET /api/tasks": { path: never; query: "state" | "agent_id" | "plugin" | "priority" | "q" | "label" | "fingerprint" | "submitted_by" | "unique_key" | "concurrency_key" | "after" | "before" | "task_ids" | "retry_of" | "cursor" | "limit" | "brief"; body: never; reply: TaskPage };
  /** Queue a task for whoever can do it */
  "POST /api/tasks": { path: never; query: never; body: TaskBody; reply: QueuedView };
  /** Queue many tasks in one commit */
  "POST /api/tasks/batch": { path: never; query: never; body: BatchBody; reply: BatchView };
  /** Cancel, run again or purge what a filter means, counted first */
  "POST /api/tasks/bulk": { path: never; query: never; body: BulkBody; reply: BulkView };
  /** List dead letters */
  "GET /api/tasks/dead-letter": { path: never; query: "state" | "agent_id" | "plugin" | "priority" | "q" | "label" | "fingerprint" | "submitted_by" | "unique_key" | "concurrency_key" | "after" | "before" | "task_ids" | "retry_of" | "cursor" | "limit" | "brief"; body: never; reply: TaskPage };
  /** Count dead letters by kind of failure */
  "GET /api/tasks/dead-letter/groups": { path: never; query: "cursor" | "limit"; body: never; reply: DeadGroupPage };
  /** Tasks as JSON lines, newest first */
  "GET /api/tasks/export": { path: never; query: "state" | "agent_id" | "plugin" | "priority" | "q" | "label" | "fingerprint" | "submitted_by" | "unique_key" | "concurrency_key" | "after" | "before" | "task_ids" | "retry_of"; body: never; reply: never };
  /** Count tasks by state */
  "GET /api/tasks/stats": { path: never; query: never; body: never; reply: StatsView };
  /** Get a task */
  "GET /api/tasks/{task_id}": { path: "task_id"; query: never; body: never; reply: TaskView };
  /** Cancel a task */
  "POST /api/tasks/{task_id}/cancel": { path: "task_id"; query: never; body: CancelBody; reply: StatusView };
  /** Get a task's history */
  "GET /api/tasks/{task_id}/events": { path: "task_id"; query: "after" | "limit"; body: never; reply: EventPage };
  /** Say why a task is not running */
  "GET /api/tasks/{task_id}/explain": { path: "task_id"; query: never; body: never; reply: ExplanationView };
  /** Answer a run's question */
  "POST /api/tasks/{task_id}/input": { path: "task_id"; query: never; body: InputBody; reply: StatusView };
  /** Get a task's log */
  "GET /api/tasks/{task_id}/log": { path: "task_id"; query: "after" | "limit"; body: never; reply: LogPage };
  /** Run an ended task again, as a new one */
  "POST /api/tasks/{task_id}/retry": { path: "task_id"; query: never; body: never; reply: StatusView };
  /** List webhooks */
  "GET /api/webhooks": { path: never; query: never; body: never; reply: WebhookListView };
  /** Tell a webhook of events */
  "POST /api/webhooks": { path: never; query: never; body: WebhookBody; reply: NewWebhookView };
  /** Get a delivery with every try of it */
  "GET /api/webhooks/deliveries/{delivery_id}": { path: "delivery_id"; query: never; body: never; reply: DeliveryDetailView };
  /** Deliver it again */
  "POST /api/webhooks/deliveries/{delivery_id}/redeliver": { path: "delivery_id"; query: never; body: never; reply: DeliveryView };
  /** Remove a webhook */
  "DELETE /api/webhooks/{webhook_id}": { path: "webhook_id"; query: never; body: never; reply: RemovedView };
  /** Get a webhook */
  "GET /api/webhooks/{webhook_id}": { path: "webhook_id"; query: never; body: never; reply: WebhookView };
  /** Change a webhook, or disable and enable it */
  "PATCH /api/webhooks/{webhook_id}": { path: "webhook_id"; query: never; body: WebhookChangeBody; reply: WebhookView };
  /** List its deliveries, newest first */
  "GET /api/webhooks/{webhook_id}/deliveries": { path: "webhook_id"; query: "state" | "cursor" | "limit"; body: never; reply: DeliveryListView };
  /** Tell it again of what has happened since */
  "POST /api/webhooks/{webhook_id}/replay": { path: "webhook_id"; query: never; body: ReplayBody; reply: ReplayView };
  /** Give it a new secret */
  "POST /api/webhooks/{webhook_id}/rotate": { path: "webhook_id"; query: never; body: never; reply: NewWebhookView };
  /** Send it a notice of nothing */
  "POST /api/webhooks/{webhook_id}/test": { path: "webhook_id"; query: never; body: never; reply: DeliveryView };
  /** The agent socket as AsyncAPI */
  "GET /asyncapi.json": { path: never; query: never; body: never; reply: never };
  /** This API for people */
  "GET /docs": { path: never; query: never; body: never; reply: never };
  /** Whether the hub answers */
  "GET /health": { path: never; query: never; body: never; reply: HealthView };
  /** Whether the process lives */
  "GET /health/live": { path: never; query: never; body: never; reply: HealthView };
  /** Whether it takes work */
  "GET /health/ready": { path: never; query: never; body: never; reply: HealthView };
  /** Prometheus figures */
  "GET /metrics": { path: never; query: never; body: never; reply: never };
  /** This API as OpenAPI */
  "GET /openapi.json": { path: never; query: never; body: never; reply: never };
}

/** The paths that a method has, as the API writes them. */
export type Path<Method extends string> =
  { [Route in keyof Api]: Route extends `${Method} ${infer P}` ? P : never }[keyof Api];

type Of<Method extends string, P extends string, Part extends "query" | "body" | "reply"> =
  `${Method} ${P}` extends keyof Api ? Api[`${Method} ${P}`][Part] : never;

/** What a request gives. */
export type Reply<Method extends string, P extends string> = Of<Method, P, "reply">;

/** What it takes; nothing, where a route takes no body. */
export type Body<Method extends string, P extends string> =
  [Of<Method, P, "body">] extends [never] ? Record<string, never> : Of<Method, P, "body">;

/** What may stand in its query. */
export type Query<Method extends string, P extends string> =
  [Of<Method, P, "query">] extends [never] ? Record<string, never>
    : { [Name in Of<Method, P, "query">]?: unknown };
