// What the JobManager's REST API answers and takes, by the page's own names. The types are generated from
// docs/openapi.json (`schema.ts`); field names are Flink's.

import type { components } from "./schema";

type Schemas = components["schemas"];

export type Config = Schemas["DashboardConfig"];
export type ConfigEntry = Schemas["ConfigEntry"];
export type Overview = Schemas["ClusterOverview"];
export type JobsOverview = Schemas["JobsOverview"];
export type JobEntry = Schemas["JobOverview"];
export type Job = Schemas["JobDetails"];
export type JobStatus = Schemas["JobStatus"];
export type JobConfig = Schemas["JobConfig"];
export type Vertex = Schemas["VertexSummary"];
export type VertexDetails = Schemas["VertexDetails"];
export type Subtask = Schemas["Subtask"];
export type Metric = Schemas["Metric"];
export type Aggregate = Schemas["Aggregate"];
export type Backpressure = Schemas["Backpressure"];
export type Timeline = Schemas["Timeline"];
export type TimelinePoint = Schemas["TimelinePoint"];
export type TimelineEvent = Schemas["TimelineEvent"];
export type Rescale = Schemas["Rescale"];
export type Checkpoints = Schemas["Checkpoints"];
export type Checkpoint = Schemas["Checkpoint"];
export type VertexCheckpoint = Schemas["VertexCheckpoint"];
export type SubtaskCheckpoint = Schemas["SubtaskCheckpoint"];
export type Exceptions = Schemas["Exceptions"];
export type Failure = Schemas["Exception"] & Partial<Schemas["ExceptionEntry"]>;
export type TaskManagers = Schemas["TaskManagers"];
export type TaskManager = Schemas["TaskManager"] & Partial<Schemas["TaskManagerDetails"]>;
export type LogFiles = Schemas["LogFiles"];
export type Requirements = Record<string, Schemas["VertexRequirements"]>;
export type Operation = Schemas["OperationProgress"];
export type Triggered = Schemas["Triggered"];

export type SavepointRequest = Schemas["SavepointRequest"];
export type StopRequest = Schemas["StopRequest"];
export type DrainRequest = Schemas["DrainRequest"];
type RequestBody = DrainRequest | Requirements | SavepointRequest | StopRequest;

/** The compiler checks that these are the statuses that the server calls terminal, all of them and no other. */
const TERMINAL: Record<Schemas["TerminalJobStatus"], true> = { CANCELED: true, FAILED: true, FINISHED: true };

/** Whether a job is over and will never run again. */
export const isOver = (status: JobStatus): boolean => status in TERMINAL;

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

/** The last bytes of a file, as text. */
export async function end(path: string, bytes: number): Promise<string> {
  try {
    return await (await request(path, { headers: { Range: `bytes=-${bytes}` } })).text();
  } catch (error) {
    if (error instanceof Refused && error.status === 416) return ""; // an empty file has no last bytes
    throw error;
  }
}

/**
 * Changes something. Name the type of the body that the API has for the request: the compiler then refuses a field that the
 * server does not know, if the body is written in the call.
 */
export async function send<Answer, Body extends RequestBody>(
  method: "PATCH" | "POST" | "PUT",
  path: string,
  body?: Body,
): Promise<Answer> {
  const headers = { "Content-Type": "application/json" };
  const response = await request(path, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
  const text = await response.text();
  return (text ? JSON.parse(text) : {}) as Answer;
}
