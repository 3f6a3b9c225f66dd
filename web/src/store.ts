// What the page knows, and how it comes to know it: one loop that asks the REST API at the server's own interval,
// never twice at once, and rests while the page is hidden. A view says what it needs beyond the common part. What was
// known stays when an answer does not come: `lastAnswer` tells how old it is.

import {
  type Aggregate,
  type Backpressure,
  type Checkpoint,
  type Checkpoints,
  type Config,
  type ConfigEntry,
  type Exceptions,
  find,
  get,
  isOver,
  type Job,
  type JobConfig,
  type JobEntry,
  type JobsOverview,
  type Metric,
  type Overview,
  type Rescale,
  type Subtask,
  type SubtaskCheckpoint,
  type TaskManager,
  type TaskManagers,
  type Timeline,
  type VertexCheckpoint,
  type VertexDetails,
} from "./api";
import { parse, type Route } from "./route";

/** What belongs to the opened item of a view. */
const noItem = () => ({
  /** Of the opened vertex. */
  subtasks: null as Subtask[] | null,
  /** Records a second of each subtask of the opened vertex. */
  subtaskRates: null as number[] | null,
  checkpoint: null as Checkpoint | null,
  /** The opened one, with what it uses. */
  taskManager: null as TaskManager | null,
});

const noJob = () => ({
  job: null as Job | null,
  metrics: new Map<string, string>(),
  figures: new Map<string, Map<string, Aggregate>>(),
  pressure: new Map<string, Backpressure>(),
  timeline: null as Timeline | null,
  rescales: new Map<string, Rescale>(),
  rescaleOrder: [] as string[],
  checkpoints: null as Checkpoints | null,
  exceptions: null as Exceptions | null,
  stateSizes: null as { vertex: string; checkpoint: number; subtasks: SubtaskCheckpoint[] } | null,
  jobConfiguration: null as JobConfig | null,
});

const state = {
  route: parse(""),
  config: null as Config | null,
  overview: null as Overview | null,
  jobs: [] as JobEntry[],
  taskManagers: null as TaskManager[] | null,
  configuration: null as ConfigEntry[] | null,
  /** By this page's clock. */
  lastAnswer: null as number | null,
  /** Why the last asking failed; `null` if it did not. */
  trouble: null as string | null,
  ...noJob(),
  ...noItem(),
};

export type State = typeof state;

/** Vertices whose figures are asked for at once; a larger graph is gone through in turn. */
const VERTICES_A_ROUND = 24;
/** Up to this many vertices, each shows its subtasks. */
export const DETAILED_VERTICES = 24;
const RESCALES = 30;
/** So that an address stays short enough. */
const RATES_A_REQUEST = 100;
const VERTEX_METRICS = [
  "numRecordsInPerSecond",
  "numRecordsOutPerSecond",
  "numBytesOutPerSecond",
  "busyTimeMsPerSecond",
  "backPressuredTimeMsPerSecond",
  "idleTimeMsPerSecond",
  "currentInputWatermark",
  "pendingRecords",
  "stateSizeBytes",
].join(",");
const JOB_METRICS = "numRestarts,numRescales,lastCheckpointDuration,lastCheckpointSize,lastCheckpointFullSize,uptime";

let draw: (state: State) => void = () => {};
let turn = 0;

const jobPath = (job: Job | { jid: string }) => `jobs/${job.jid}`;

async function round(): Promise<void> {
  if (!state.config) state.config = await get<Config>("config");
  const [overview, { jobs }, { taskmanagers }] = await Promise.all([
    get<Overview>("overview"),
    get<JobsOverview>("jobs/overview"),
    get<TaskManagers>("taskmanagers"),
  ]);
  state.overview = overview;
  state.jobs = jobs;
  state.taskManagers = taskmanagers.sort((one, other) => one.path.localeCompare(other.path, "en", { numeric: true }));
  const chosen = jobs.find((job) => job.jid === state.route.job) ?? newest(jobs);
  if (chosen?.jid !== state.job?.jid) Object.assign(state, noJob(), noItem());
  if (chosen) await askForJob(chosen);
  const { view, item } = state.route;
  if (view === "taskmanagers" && item) {
    state.taskManager = await find<TaskManager>(`taskmanagers/${encodeURIComponent(item)}`);
  }
  if (view === "configuration") {
    state.configuration = await get<ConfigEntry[]>("jobmanager/config");
    if (chosen) state.jobConfiguration = await find<JobConfig>(`${jobPath(chosen)}/config`);
  }
}

/** The one that runs, or else the one that was started last. */
function newest(jobs: JobEntry[]): JobEntry | undefined {
  const over = (job: JobEntry) => Number(isOver(job.state));
  return [...jobs].sort((one, other) => over(one) - over(other) || other["start-time"] - one["start-time"])[0];
}

async function askForJob(entry: JobEntry): Promise<void> {
  const path = jobPath(entry);
  const { view, item } = state.route;
  const graph = view === "overview" || view === "graph";
  const [job, metrics, checkpoints, exceptions] = await Promise.all([
    get<Job>(path),
    get<Metric[]>(`${path}/metrics?get=${JOB_METRICS}`),
    find<Checkpoints>(`${path}/checkpoints`),
    get<Exceptions>(`${path}/exceptions`),
    askForTimeline(path),
    view === "timeline" || view === "overview" ? askForRescales(path, item) : null,
  ]);
  state.job = job;
  state.metrics = new Map(metrics.map(({ id, value }) => [id, value ?? ""]));
  state.checkpoints = checkpoints;
  state.exceptions = exceptions;
  await Promise.all([
    graph ? askForFigures(path, job) : null,
    view === "graph" && item ? askForVertex(path, item) : null,
    view === "checkpoints" && item ? askForCheckpoint(path, item) : null,
  ]);
}

/** Points that are known are not asked for again; but the server thins out what is old, so all of it now and then. */
async function askForTimeline(path: string): Promise<void> {
  const known = state.timeline;
  const last = known?.points.at(-1)?.t;
  const afresh = known === null || last === undefined || turn % 60 === 0;
  const answer = await find<Timeline>(`${path}/timeline${afresh ? "" : `?since=${last}`}`);
  if (!answer || afresh) {
    state.timeline = answer;
    return;
  }
  const points = answer.points.filter((point) => point.t > last);
  const seen = new Set(known.events.map((event) => `${event.t} ${event.kind} ${event.id}`));
  const events = answer.events.filter((event) => !seen.has(`${event.t} ${event.kind} ${event.id}`));
  state.timeline = { ...answer, points: [...known.points, ...points], events: [...known.events, ...events] };
}

async function askForRescales(path: string, opened: string | null): Promise<void> {
  const history = (await find<Rescale[]>(`${path}/rescales/history`)) ?? [];
  const ids = history.slice(0, RESCALES).map((rescale) => rescale.rescaleUuid);
  if (opened && !ids.includes(opened)) ids.push(opened);
  // What has ended does not change any more.
  const missing = ids.filter((id) => !state.rescales.get(id)?.terminalState);
  for (const id of missing) {
    const rescale = await find<Rescale>(`${path}/rescales/details/${encodeURIComponent(id)}`);
    if (rescale) state.rescales.set(id, rescale);
  }
  state.rescaleOrder = ids.filter((id) => state.rescales.has(id));
  for (const id of [...state.rescales.keys()]) if (!ids.includes(id)) state.rescales.delete(id);
}

async function askForFigures(path: string, job: Job): Promise<void> {
  const all = job.vertices;
  const start = all.length > VERTICES_A_ROUND ? (turn * VERTICES_A_ROUND) % all.length : 0;
  const now = [...all.slice(start), ...all.slice(0, start)].slice(0, VERTICES_A_ROUND);
  const opened = all.find((vertex) => vertex.id === state.route.item);
  if (opened && !now.includes(opened)) now.push(opened);
  await Promise.all(
    now.map(async ({ id }) => {
      const vertex = `${path}/vertices/${id}`;
      const [figures, pressure] = await Promise.all([
        find<Aggregate[]>(`${vertex}/subtasks/metrics?get=${VERTEX_METRICS}`),
        all.length <= DETAILED_VERTICES || id === state.route.item
          ? find<Backpressure>(`${vertex}/backpressure`)
          : null,
      ]);
      state.figures.set(id, new Map((figures ?? []).map((figure) => [figure.id, figure])));
      if (pressure) state.pressure.set(id, pressure);
    }),
  );
}

async function askForVertex(path: string, vertex: string): Promise<void> {
  const detail = await find<VertexDetails>(`${path}/vertices/${encodeURIComponent(vertex)}`);
  state.subtasks = detail?.subtasks ?? null;
  if (detail) await askForRates(path, vertex, detail.subtasks.length);
  const checkpoint = state.checkpoints?.latest.completed?.id;
  if (checkpoint === undefined || !detail) {
    state.stateSizes = null;
  } else if (state.stateSizes?.vertex !== vertex || state.stateSizes.checkpoint !== checkpoint) {
    const sizes = await find<VertexCheckpoint>(
      `${path}/checkpoints/details/${checkpoint}/subtasks/${encodeURIComponent(vertex)}`,
    );
    // A checkpoint may be older than the vertex; it is not asked about it again.
    state.stateSizes = { vertex, checkpoint, subtasks: sizes?.subtasks ?? [] };
  }
}

/** Rates, not counts: those of a subtask begin with it, and so say nothing of it beside an older one. */
async function askForRates(path: string, vertex: string, parallelism: number): Promise<void> {
  const inputs = state.job?.plan.nodes.find((node) => node.id === vertex)?.inputs?.length;
  const metric = inputs ? "numRecordsInPerSecond" : "numRecordsOutPerSecond";
  const rates = Array<number>(parallelism).fill(0);
  for (let first = 0; first < parallelism; first += RATES_A_REQUEST) {
    const names = rates.slice(first, first + RATES_A_REQUEST).map((_, index) => `${first + index}.${metric}`);
    const found = await find<Metric[]>(`${path}/vertices/${encodeURIComponent(vertex)}/metrics?get=${names.join(",")}`);
    for (const { id, value } of found ?? []) rates[Number(id.split(".")[0])] = Number(value);
  }
  state.subtaskRates = rates;
}

async function askForCheckpoint(path: string, checkpoint: string): Promise<void> {
  state.checkpoint = await find<Checkpoint>(`${path}/checkpoints/details/${encodeURIComponent(checkpoint)}`);
}

let wake: () => void = () => {};

/** Asks at once instead of at the next interval. */
export function refresh(): void {
  wake();
}

export function go(route: Route): void {
  if (route.item !== state.route.item || route.view !== state.route.view) {
    Object.assign(state, noItem());
  }
  state.route = route;
  draw(state);
  wake();
}

/** Draws what is known whenever something more is. Never ends. */
export async function run(drawIt: (state: State) => void): Promise<void> {
  draw = drawIt;
  let asking = false;
  const ask = async () => {
    asking = true;
    try {
      await round();
      state.lastAnswer = Date.now();
      state.trouble = null;
    } catch (error) {
      state.trouble = error instanceof Error ? error.message : String(error);
    }
    turn += 1;
    asking = false;
    draw(state);
  };
  // The age of what is shown goes on while an answer is awaited.
  setInterval(() => asking && draw(state), 1000);
  document.addEventListener("visibilitychange", () => wake());
  for (;;) {
    if (!document.hidden) await ask();
    const interval = Math.max(500, state.config?.["refresh-interval"] ?? 1000);
    await new Promise<void>((resolve) => {
      wake = resolve;
      setTimeout(resolve, interval);
    });
  }
}
