// The status page: asks the REST API once a second and draws what it says.
//
// Texts reach the document only as text nodes and attributes, never as markup: names are the user's and may
// hold anything. A part of the page is drawn again only when what it shows has changed, so that selections,
// scrolling and opened exceptions stay.
"use strict";

const POLL_MS = 1000, TIMEOUT_MS = 5000, NARROW_PX = 640;
const WIDE = { width: 240, height: 132 }, SMALL = { width: 145, height: 188 };
const GAP = { across: 84, below: 46, between: 18 }, LANE = 14;
const TASK_METRICS = ["numRecordsInPerSecond", "numRecordsOutPerSecond", "busyTimeMsPerSecond",
  "backPressuredTimeMsPerSecond", "idleTimeMsPerSecond"];

// ---- Drawing ----

const byId = (id) => document.getElementById(id);

function add(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}
const make = (tag, attributes = {}, ...children) => add(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) =>
  add(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const shown = new Map();

/** Draws `content(data)` into the element of that id, if `data` is not what it shows already. */
function show(id, data, content) {
  const key = JSON.stringify(data);
  if (shown.get(id) === key) return;
  shown.set(id, key);
  byId(id).replaceChildren(...[content(data)].flat());
}

function table(columns, rows) {
  const cell = (tag, column, content) =>
    make(tag, { class: column.class, scope: tag === "th" ? "col" : undefined }, content);
  return make("table", {},
    make("thead", {}, make("tr", {}, columns.map((column) => cell("th", column, column.title)))),
    make("tbody", {}, rows.map((row) => make("tr", {}, columns.map((column) => cell("td", column, column.of(row)))))));
}

const empty = (text) => make("p", { class: "empty" }, text);
const pill = (text, mood) => make("span", { class: `pill ${mood}` }, text);

const MOODS = {
  RUNNING: "good", FINISHED: "good", COMPLETED: "good", SUCCEEDED: "good",
  FAILED: "bad", FAILING: "bad", EXCEPTION_OCCURRED: "bad",
  CREATED: "wait", INITIALIZING: "wait", RESTARTING: "wait", CANCELLING: "wait", CANCELING: "wait",
  SCHEDULED: "wait", DEPLOYING: "wait", RECONCILING: "wait", IN_PROGRESS: "wait",
};
const words = (name) => name.toLowerCase().replaceAll("_", " ");
const statePill = (state) => pill(words(state), MOODS[state] ?? "");

// ---- Numbers ----

function scaled(value, base, units, spacer) {
  let unit = 0;
  while (value >= base * 0.9995 && unit < units.length - 1) { value /= base; unit += 1; }
  const digits = unit === 0 ? (value < 10 && value % 1 ? 1 : 0) : value < 10 ? 2 : value < 100 ? 1 : 0;
  return `${value.toFixed(digits)}${units[unit] && spacer}${units[unit]}`;
}
const count = (value) => scaled(value, 1000, ["", "k", "M", "G"], " ");
const bytes = (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"], " ");
const percent = (share) => `${Math.round(share * 100)} %`;

const CLOCK = { hourCycle: "h23" };

function duration(ms) {
  if (ms < 0) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
  const pair = (value, small, large, step) =>
    `${Math.floor(value / step)} ${large} ${Math.floor(value % step)} ${small}`;
  if (seconds < 3600) return pair(seconds, "s", "min", 60);
  if (seconds < 86400) return pair(seconds / 60, "min", "h", 60);
  return pair(seconds / 3600, "h", "d", 24);
}

/** A moment as local time; with the date where it is another day. */
function moment(ms, now) {
  const at = new Date(ms), sameDay = at.toDateString() === new Date(now).toDateString();
  const text = sameDay ? at.toLocaleTimeString([], CLOCK) : at.toLocaleString([], CLOCK);
  return make("time", { datetime: at.toISOString(), title: at.toISOString() }, text);
}

// ---- The cluster ----

function tiles({ overview }) {
  const tile = (value, label, bar) => make("div", { class: "tile" }, make("b", {}, value), make("span", {}, label), bar);
  const total = overview["slots-total"], used = total - overview["slots-available"];
  const share = total ? (used / total) * 100 : 0;
  const slots = make("div", { class: "bar" }, make("span", { class: "busy", style: `width:${share}%` }));
  return [
    tile(`${overview.taskmanagers}`, overview.taskmanagers === 1 ? "TaskManager" : "TaskManagers"),
    tile(`${used} / ${total}`, "slots in use", slots),
    tile(`${overview["jobs-running"]}`, overview["jobs-running"] === 1 ? "job running" : "jobs running"),
  ];
}

function taskManagers({ managers, now }) {
  if (!managers.length) return empty("None. Start one: ./bin/taskmanager.sh start");
  return table([
    { title: "Address", of: (it) => it.path },
    { title: "Slots used", class: "number", of: (it) => `${it.slotsNumber - it.freeSlots} / ${it.slotsNumber}` },
    { title: "Tasks", class: "number wide", of: (it) => `${it.assignedTasks}` },
    { title: "Memory limit", class: "number wide", of: (it) => bytes(it.memoryConfiguration.totalProcessMemory) },
    { title: "Cores", class: "number wide", of: (it) => `${it.hardware.cpuCores}` },
    { title: "Last heard", class: "number", of: (it) => `${duration(Math.max(0, now - it.timeSinceLastHeartbeat))} ago` },
    { title: "Id", class: "wide", of: (it) => make("code", {}, it.id) },
  ], managers);
}

// ---- The job ----

function jobHead({ job, restarts, rescales }) {
  const fact = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
  const over = job["end-time"] >= 0, since = job.timestamps[job.state] || job["start-time"];
  const waiting = job.state === "CREATED" ? make("span", { class: "quiet" }, "waiting for slots") : null;
  return [
    make("div", { class: "title" }, make("h2", {}, job.name), statePill(job.state), waiting),
    make("dl", { class: "facts" },
      fact(over ? "ended" : "since", moment(over ? job["end-time"] : since, job.now)),
      over ? null : fact("for", duration(job.now - since)),
      fact("started", moment(job["start-time"], job.now)),
      restarts === undefined ? null : fact("restarts", restarts),
      rescales === undefined ? null : fact("rescales", rescales),
      fact("id", make("code", {}, job.jid))),
  ];
}

/** For each vertex its column: the longest way from a source. */
function columnsOf(nodes) {
  const byNode = new Map(nodes.map((node) => [node.id, node])), columns = new Map();
  const column = (id, path) => {
    if (columns.has(id)) return columns.get(id);
    const inputs = (byNode.get(id)?.inputs ?? []).filter((input) => byNode.has(input.id) && !path.has(input.id));
    const before = inputs.map((input) => column(input.id, new Set(path).add(id)));
    columns.set(id, Math.max(-1, ...before) + 1);
    return columns.get(id);
  };
  nodes.forEach((node) => column(node.id, new Set()));
  return columns;
}

/**
 * Where each vertex lies: columns from left to right, or on a narrow page rows from top to bottom. An edge that
 * passes a column by gets a lane in it, so that it does not run behind a vertex.
 */
function layout(nodes, narrow) {
  const size = narrow ? SMALL : WIDE;
  const columns = columnsOf(nodes), stacks = [], edges = [], rank = new Map();
  const place = (column, item) => (stacks[column] ??= []).push({ ...item, column });
  for (const node of nodes) place(columns.get(node.id), { key: node.id, from: (node.inputs ?? []).map((it) => it.id) });
  for (const node of nodes) {
    for (const input of (node.inputs ?? []).filter((it) => columns.has(it.id))) {
      const points = [input.id];
      for (let column = columns.get(input.id) + 1; column < columns.get(node.id); column += 1) {
        const key = `${input.id} ${node.id} ${column}`;
        place(column, { key, lane: true, from: [points.at(-1)] });
        points.push(key);
      }
      edges.push({ points: [...points, node.id], label: words(input.ship_strategy) });
    }
  }
  const breadth = (item) => (item.lane ? LANE : narrow ? size.width : size.height);
  const total = (stack) => stack.reduce((sum, item) => sum + breadth(item) + GAP.between, -GAP.between);
  const most = Math.max(0, ...stacks.map(total));
  const length = narrow ? size.height : size.width, gap = narrow ? GAP.below : GAP.across;
  const items = new Map();
  stacks.forEach((stack, column) => {
    const wanted = (item) => item.from.reduce((sum, key) => sum + (rank.get(key) ?? 0), 0) / (item.from.length || 1);
    stack.sort((one, other) => wanted(one) - wanted(other));
    let cross = (most - total(stack)) / 2;
    for (const item of stack) {
      const main = column * (length + gap), middle = cross + breadth(item) / 2;
      rank.set(item.key, middle);
      items.set(item.key, { start: main, end: main + length, middle,
        x: narrow ? cross : main, y: narrow ? main : cross, ...size });
      cross += breadth(item) + GAP.between;
    }
  });
  const along = Math.max(0, stacks.length * (length + gap) - gap);
  return { items, edges, width: narrow ? most : along, height: narrow ? along : most };
}

function graph({ job, metrics, narrow }) {
  const { items, edges, width, height } = layout(job.plan.nodes, narrow);
  const vertices = new Map(job.vertices.map((vertex) => [vertex.id, vertex]));
  const svg = draw("svg", { width, height, "aria-hidden": "true" }, edges.map((it) => edge(it, items, narrow)));
  const boxes = job.plan.nodes.filter((node) => vertices.has(node.id)).map((node) =>
    vertexBox(vertices.get(node.id), metrics[node.id], items.get(node.id), !node.inputs?.length));
  byId("graph").style.width = `${width}px`;
  byId("graph").style.height = `${height}px`;
  return [svg, ...boxes];
}

/** A curve from vertex to vertex, through its lanes, with an arrow head and how records are dealt out. */
function edge({ points, label }, items, narrow) {
  const at = (main, cross) => (narrow ? `${cross} ${main}` : `${main} ${cross}`);
  let curve = "";
  for (let i = 1; i < points.length; i += 1) {
    const from = items.get(points[i - 1]), to = items.get(points[i]), half = (from.end + to.start) / 2;
    curve += i === 1 ? `M${at(from.end, from.middle)}` : `L${at(from.end, from.middle)}`;
    curve += `C${at(half, from.middle)} ${at(half, to.middle)} ${at(to.start, to.middle)}`;
  }
  const head = narrow ? "m-4 -6l4 5l4 -5" : "m-6 -4l5 4l-5 4";
  const from = items.get(points.at(-2)), to = items.get(points.at(-1));
  const main = (from.end + to.start) / 2, cross = (from.middle + to.middle) / 2;
  const [x, y] = narrow ? [cross, main + 3] : [main, cross + 3];
  return [draw("path", { d: curve + head }), draw("text", { x, y }, label)];
}

function vertexBox(vertex, metrics, place, isSource) {
  const metric = (id) => metrics?.find((it) => it.id === id);
  const share = (id) => Math.min(1, Math.max(0, (metric(id)?.avg ?? 0) / 1000));
  const rate = (id) => (metric(id) ? `${count(metric(id).sum)}/s` : "–");
  const [busy, backpressured, idle] = TASK_METRICS.slice(2).map(share);
  const running = vertex.tasks.RUNNING, started = Object.values(vertex.tasks).some((tasks) => tasks > 0);
  const state = vertex.status === "RUNNING" ? null
    : vertex.status !== "CREATED" ? statePill(vertex.status) : pill(started ? "deploying" : "waiting", "wait");
  const hottest = percent((metric("busyTimeMsPerSecond")?.max ?? 0) / 1000);
  const said = `busy ${percent(busy)}, backpressured ${percent(backpressured)}, idle ${percent(idle)}`;
  const part = (kind, value) => make("span", { class: kind, style: `width:${value * 100}%` });
  const times = metrics?.length ? [
    make("div", { class: "bar", role: "img", "aria-label": said, title: `${said}; busiest subtask ${hottest}` },
      part("busy", busy), part("backpressured", backpressured), part("idle", idle)),
    make("div", { class: "row quiet" }, make("span", {}, `busy ${percent(busy)}`),
      backpressured >= 0.005 ? make("span", {}, `backpressured ${percent(backpressured)}`) : null),
  ] : [make("div", { class: "row quiet" }, "no figures yet")];
  return make("div", {
    class: `vertex ${MOODS[vertex.status] === "bad" ? "bad" : ""}`,
    style: `left:${place.x}px;top:${place.y}px;width:${place.width}px;height:${place.height}px`,
    title: `${vertex.name}\nmax parallelism ${vertex.maxParallelism}, ${running} of ${vertex.parallelism} running`,
  },
    make("div", { class: "name" }, vertex.name.replaceAll(" -> ", " → ")),
    make("div", { class: "below" },
      make("div", { class: "row" },
        make("span", {}, started ? null : "up to ", make("b", {}, `× ${vertex.parallelism}`)), state,
        !metrics?.length ? null : make("span", { class: "rates" },
          isSource ? null : make("span", {}, `in ${rate("numRecordsInPerSecond")}`),
          make("span", {}, `out ${rate("numRecordsOutPerSecond")}`))),
      times));
}

// ---- The job's history ----

/** Parallelism before and after, once for all vertices that share it. */
function change(rescale) {
  const of = (vertex) => `${vertex.preRescaleParallelism ?? "–"} → ${vertex.postRescaleParallelism ?? "?"}`;
  const changes = new Map();
  for (const vertex of Object.values(rescale.vertices)) {
    changes.set(of(vertex), [...(changes.get(of(vertex)) ?? []), vertex.jobVertexName]);
  }
  const several = changes.size > 1;
  return make("span", { title: [...changes].map(([text, names]) => `${names.join(", ")}: ${text}`).join("\n") },
    [...changes.keys()].join(", ") || "–", several ? " (by vertex)" : "");
}

const CAUSES = {
  INITIAL_SCHEDULE: "first deployment", UPDATE_REQUIREMENT: "requirements changed",
  NEW_RESOURCE_AVAILABLE: "slots came", RECOVERABLE_FAILOVER: "failure or lost slots",
};

function rescales({ list, now }) {
  if (!list.length) return empty("None yet.");
  const phases = (it) => it.schedulerStates
    .map((state) => `${state.state} ${state.durationInMillis === null ? "" : duration(state.durationInMillis)}`).join("\n");
  const taken = (it) => (it.endTimestampInMillis === null ? now : it.endTimestampInMillis) - it.startTimestampInMillis;
  return table([
    { title: "At", of: (it) => moment(it.startTimestampInMillis, now) },
    { title: "Parallelism", class: "wrap", of: change },
    { title: "Took", class: "number", of: (it) => make("span", { title: phases(it) }, duration(taken(it))) },
    { title: "Outcome", of: (it) => statePill(it.terminatedReason ?? "IN_PROGRESS") },
    { title: "Cause", of: (it) => CAUSES[it.triggerCause] ?? words(it.triggerCause) },
  ], list);
}

function checkpoints({ list, now }) {
  if (list === null) return empty("Checkpointing is switched off for this job.");
  if (!list.length) return empty("None yet.");
  const under = (it) => it.status === "IN_PROGRESS";
  const taken = (it) => duration(under(it) ? now - it.trigger_timestamp : it.end_to_end_duration);
  return table([
    { title: "Id", class: "number", of: (it) => `${it.id}` },
    { title: "At", of: (it) => moment(it.trigger_timestamp, now) },
    { title: "Kind", class: "wide", of: (it) => (it.is_savepoint ? "savepoint" : "checkpoint") },
    { title: "Duration", class: "number", of: taken },
    { title: "Written", class: "number", of: (it) => bytes(it.checkpointed_size) },
    { title: "State", class: "number wide", of: (it) => bytes(it.state_size) },
    { title: "Acknowledged", class: "number wide", of: (it) => `${it.num_acknowledged_subtasks} / ${it.num_subtasks}` },
    { title: "Status", class: "wrap", of: (it) => [statePill(it.status), it.failure_message ? ` ${it.failure_message}` : null] },
  ], list);
}

const opened = new Set();

function exceptions({ entries, truncated, now }) {
  if (!entries.length) return empty("None.");
  const one = (it) => {
    const key = `${it.timestamp} ${it.exceptionName}`;
    const details = make("details", { open: opened.has(key) },
      make("summary", {}, moment(it.timestamp, now), " ", make("b", {}, it.exceptionName),
        it.taskName ? ` in ${it.taskName}` : "", it.endpoint ? ` on ${it.endpoint}` : ""),
      make("pre", {}, it.stacktrace),
      (it.concurrentExceptions ?? []).map((other) =>
        make("p", { class: "quiet" }, `with it: ${other.exceptionName}${other.taskName ? ` in ${other.taskName}` : ""}`)));
    details.addEventListener("toggle", () => (details.open ? opened.add(key) : opened.delete(key)));
    return details;
  };
  return [...entries.map(one), ...(truncated ? [empty("Older ones are not kept.")] : [])];
}

// ---- Asking ----

async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

const endedRescales = new Map();

/** A rescale in full. One that has ended does not change, and is asked for once. */
async function rescaleDetails(job, id) {
  if (endedRescales.has(id)) return endedRescales.get(id);
  const details = await ask(`jobs/${job}/rescales/details/${id}`);
  if (details?.terminalState) endedRescales.set(id, details);
  return details;
}

function chosen(jobs) {
  const wanted = location.hash.slice(1);
  return jobs.find((job) => job.jid === wanted) ?? jobs.find((job) => job["end-time"] < 0) ?? jobs[0];
}

async function poll() {
  const [overview, { jobs }, { taskmanagers }] =
    await Promise.all([ask("overview"), ask("jobs/overview"), ask("taskmanagers")]);
  const entry = chosen(jobs);
  byId("version").textContent = overview["flink-version"];
  show("tiles", { overview }, tiles);
  byId("jobs").hidden = jobs.length < 2;
  show("jobs", { jobs: jobs.map(({ jid, name, state }) => ({ jid, name, state })), current: entry?.jid }, jobTabs);
  const job = entry ? await ask(`jobs/${entry.jid}`) : null;
  show("taskmanagers", { managers: taskmanagers, now: job?.now ?? Date.now() }, taskManagers);
  if (job) await showJob(job);
  else showNoJob();
  for (const card of document.querySelectorAll(".of-job")) card.hidden = !job;
}

const jobTabs = ({ jobs, current }) => jobs.map((job) =>
  make("a", { href: `#${job.jid}`, "aria-current": job.jid === current ? "page" : undefined },
    `${job.name} · ${words(job.state)}`));

async function showJob(job) {
  const base = `jobs/${job.jid}`, now = job.now;
  const ofVertex = (id) => ask(`${base}/vertices/${id}/subtasks/metrics?get=${TASK_METRICS.join(",")}`);
  const [metrics, figures, ckpts, history, failures] = await Promise.all([
    Promise.all(job.vertices.map(async ({ id }) => [id, await ofVertex(id)])),
    ask(`${base}/metrics?get=numRestarts,numRescales`),
    ask(`${base}/checkpoints`), ask(`${base}/rescales/history`), ask(`${base}/exceptions`),
  ]);
  const full = await Promise.all((history ?? []).map((it) => rescaleDetails(job.jid, it.rescaleUuid)));
  const figure = (id) => figures?.find((it) => it.id === id)?.value;
  show("job-head", { job, restarts: figure("numRestarts"), rescales: figure("numRescales") }, jobHead);
  const narrow = innerWidth < NARROW_PX;
  show("graph", { job: { vertices: job.vertices, plan: job.plan }, metrics: Object.fromEntries(metrics), narrow }, graph);
  byId("legend").hidden = false;
  show("rescales", { list: full.filter(Boolean), now }, rescales);
  const list = ckpts ? ckpts.history : null, counts = ckpts?.counts;
  show("checkpoints", { list, now }, checkpoints);
  byId("checkpoint-counts").textContent = counts ? `${counts.completed} completed, ${counts.failed} failed` : "";
  byId("rescale-counts").textContent = full.length ? `last ${full.length}` : "";
  const { entries, truncated } = failures.exceptionHistory;
  const day = new Date(now).toDateString();
  show("exceptions", { entries, truncated, day }, () => exceptions({ entries, truncated, now }));
  document.title = `${job.name} · ${words(job.state)} · Reflow`;
}

function showNoJob() {
  show("job-head", null, () => empty("No job yet."));
  for (const id of ["graph", "rescales", "checkpoints", "exceptions"]) show(id, null, () => []);
  byId("graph").style.height = "0";
  byId("legend").hidden = true;
  byId("checkpoint-counts").textContent = byId("rescale-counts").textContent = "";
  document.title = "Reflow";
}

function say(mood, text) {
  const connection = byId("connection");
  connection.className = mood;
  if (connection.textContent !== text) connection.textContent = text;
  byId("main").classList.toggle("stale", mood === "lost");
}

let lastAnswer = null;

async function run() {
  for (;;) {
    if (!document.hidden) {
      try {
        await poll();
        lastAnswer = new Date();
        say("live", "live");
      } catch (error) {
        console.warn(error);
        say("lost", lastAnswer ? `no answer since ${lastAnswer.toLocaleTimeString([], CLOCK)}` : "no answer");
      }
    }
    await new Promise((wake) => { awaken = wake; setTimeout(wake, POLL_MS); });
  }
}

let awaken = () => {};
for (const event of ["hashchange", "resize"]) addEventListener(event, () => awaken());
document.addEventListener("visibilitychange", () => awaken());
run();
