// What the JobManager's REST API answers, as far as this page reads it. Field names are Flink's.

export interface Config {
  "refresh-interval": number;
  "flink-version": string;
  "flink-revision": string;
  features: Record<string, boolean>;
}

export interface Overview {
  taskmanagers: number;
  "slots-total": number;
  "slots-available": number;
  "jobs-running": number;
  "flink-version": string;
  "flink-commit": string;
}

export interface JobEntry {
  jid: string;
  name: string;
  state: string;
  "start-time": number;
}

export interface PlanInput {
  id: string;
  ship_strategy: string;
}

export interface PlanNode {
  id: string;
  inputs?: PlanInput[];
}

export interface Vertex {
  id: string;
  name: string;
  maxParallelism: number;
  parallelism: number;
  status: string;
  "start-time": number;
  tasks: Record<string, number>;
  metrics: Record<string, number>;
}

export interface Job {
  jid: string;
  name: string;
  state: string;
  "start-time": number;
  "end-time": number;
  duration: number;
  now: number;
  timestamps: Record<string, number>;
  vertices: Vertex[];
  plan: { nodes: PlanNode[] };
}

export interface Metric {
  id: string;
  value: string;
}

export interface Aggregate {
  id: string;
  min: number;
  max: number;
  avg: number;
  sum: number;
}

export interface Subtask {
  subtask: number;
  status: string;
  endpoint: string;
  "taskmanager-id": string;
  "start-time": number;
  metrics: Record<string, number>;
}

export interface Backpressure {
  subtasks?: { subtask: number; ratio: number; idleRatio: number; busyRatio: number }[];
}

export interface TimelinePoint {
  t: number;
  parallelism: number;
  "slots-total": number;
  "slots-free": number;
  "task-managers": number;
  "records-in-per-second": number;
  "records-out-per-second": number;
  lag: number | null;
  "event-time-lag-ms": number | null;
  busy: number;
  backpressured: number;
  "checkpoint-duration"?: number | null;
}

export interface TimelineEvent {
  t: number;
  kind: string;
  id: string;
  text: string;
}

export interface Timeline {
  now: number;
  interval: number;
  points: TimelinePoint[];
  events: TimelineEvent[];
}

export interface Phase {
  phase: string;
  enterTimestampInMillis: number;
  leaveTimestampInMillis: number | null;
  durationInMillis: number | null;
}

export interface SchedulerState {
  state: string;
  enterTimestampInMillis: number;
  leaveTimestampInMillis: number | null;
  durationInMillis: number | null;
  stringifiedException: string | null;
}

export interface LiveRescale {
  graphVersion: number;
  phases: Phase[];
  keyGroupsMoved: number;
  keyGroupsKept: number;
  handedOverBytes: number;
  parkedRecords: number;
  longestPauseInMicros: number;
  outcome: string | null;
  reason: string | null;
}

export interface RescaledVertex {
  jobVertexId: string;
  jobVertexName: string;
  desiredParallelism: number;
  preRescaleParallelism: number | null;
  postRescaleParallelism: number | null;
}

export interface RescaledSlots {
  slotSharingGroupName: string;
  desiredSlots: number;
  preRescaleSlots: number | null;
  postRescaleSlots: number | null;
}

export interface Rescale {
  rescaleUuid: string;
  rescaleAttemptId: number;
  startTimestampInMillis: number;
  endTimestampInMillis: number | null;
  terminalState: string | null;
  triggerCause: string;
  terminatedReason: string | null;
  vertices: Record<string, RescaledVertex>;
  slots: Record<string, RescaledSlots>;
  schedulerStates: SchedulerState[];
  liveRescale?: LiveRescale;
}

/** What a checkpoint and one vertex's part of it have in common. */
export interface VertexCheckpoint {
  id: number;
  status: string;
  latest_ack_timestamp: number;
  checkpointed_size: number;
  state_size: number;
  end_to_end_duration: number;
  num_subtasks: number;
  num_acknowledged_subtasks: number;
}

export interface Checkpoint extends VertexCheckpoint {
  is_savepoint: boolean;
  checkpoint_type: string;
  trigger_timestamp: number;
  external_path?: string;
  discarded?: boolean;
  failure_message?: string;
  failure_timestamp?: number;
  tasks?: Record<string, VertexCheckpoint>;
}

export interface Spread {
  min: number;
  max: number;
  avg: number;
  p50: number;
  p99: number;
}

export interface Checkpoints {
  counts: { restored: number; total: number; in_progress: number; completed: number; failed: number };
  summary: Record<string, Spread>;
  latest: Record<string, Checkpoint | null>;
  history: Checkpoint[];
}

export interface SubtaskCheckpoint {
  index: number;
  status: string;
  state_size?: number;
  checkpointed_size?: number;
  end_to_end_duration?: number;
}

export interface Failure {
  exceptionName: string;
  stacktrace: string;
  timestamp: number;
  taskName?: string;
  endpoint?: string;
  taskManagerId?: string;
  concurrentExceptions?: Failure[];
}

export interface Exceptions {
  exceptionHistory: { entries: Failure[]; truncated: boolean };
}

export interface TaskManager {
  id: string;
  path: string;
  dataPort: number;
  timeSinceLastHeartbeat: number;
  slotsNumber: number;
  freeSlots: number;
  assignedTasks?: number;
  hardware: { cpuCores: number; physicalMemory: number; freeMemory: number; managedMemory: number };
  memoryConfiguration: Record<string, number>;
  metrics?: Record<string, number>;
}

export interface ConfigEntry {
  key: string;
  value: string;
}

export interface Requirements {
  [vertex: string]: { parallelism: { lowerBound: number; upperBound: number } };
}

export interface Operation {
  status: { id: string };
  operation: { location?: string; "failure-cause"?: { "stack-trace": string } } | null;
}

/** The server answered, and refused. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** After which an answer is not waited for any more. */
const TIMEOUT_MS = 8000;

async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(path, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (response.ok) return response;
  throw new Refused(response.status, await refusal(response));
}

/** The server's own words, from `{"errors": […]}`. */
async function refusal(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { errors } = JSON.parse(text) as { errors?: unknown[] };
    if (errors?.length) return errors.map(String).join("\n");
  } catch {
    // Not JSON: a proxy's page, perhaps.
  }
  return `${response.status} ${response.statusText}`.trim();
}

export async function get<T>(path: string): Promise<T> {
  return (await request(path)).json() as Promise<T>;
}

/** What is there; `null` if the server knows nothing of that name. */
export async function find<T>(path: string): Promise<T | null> {
  try {
    return await get<T>(path);
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

export async function send<T>(method: "PATCH" | "POST" | "PUT", path: string, body?: unknown): Promise<T> {
  const headers = { "Content-Type": "application/json" };
  const response = await request(path, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
  const text = await response.text();
  return (text ? JSON.parse(text) : {}) as T;
}
