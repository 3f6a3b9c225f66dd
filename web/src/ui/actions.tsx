// What changes something: each action asks first, says what the server says when it refuses, and what came of what
// takes its time. One dialog is open at a time.

import { Component, type ComponentChildren, createRef } from "preact";
import {
  type Config,
  type ConfigEntry,
  type DrainRequest,
  get,
  isOver,
  type Job,
  type Operation,
  Refused,
  type Requirements,
  type SavepointRequest,
  type StopRequest,
  send,
  type Triggered,
} from "../api";
import { plural } from "../format";
import { refresh } from "../store";
import "./actions.css";

export interface Action {
  name: string;
  title: string;
  /** What it does, for whoever hesitates. */
  body: ComponentChildren;
  /** What is to be filled in, with its default. */
  field?: {
    label: string;
    type: "number" | "text";
    value: string;
    placeholder?: string;
    min?: number;
    max?: number;
    /** A value to begin with, which the server is asked for. */
    suggest?: () => Promise<string>;
  };
  tick?: { label: string };
  confirm: string;
  danger?: boolean;
  /** Does it, and says what came of it. */
  run: (value: string, ticked: boolean, say: (progress: string) => void) => Promise<string>;
}

interface Props {
  action: Action | null;
  onClose: () => void;
}

interface Progress {
  value: string;
  ticked: boolean;
  busy: boolean;
  said: string | null;
  refused: boolean;
  done: boolean;
}

const IDLE: Progress = { value: "", ticked: false, busy: false, said: null, refused: false, done: false };

export class ActionDialog extends Component<Props, Progress> {
  state = IDLE;
  private dialog = createRef<HTMLDialogElement>();

  componentDidUpdate(previous: Props) {
    const { action } = this.props;
    if (action && action !== previous.action) {
      this.setState({ ...IDLE, value: action.field?.value ?? "" });
      if (!this.dialog.current!.open) this.dialog.current!.showModal();
      this.suggest(action);
    }
    if (!action && previous.action && this.dialog.current!.open) this.dialog.current!.close();
  }

  private async suggest(action: Action) {
    // Without an answer the field stays empty, and the user fills it in.
    const value = await action.field?.suggest?.().catch(() => "");
    if (value && this.props.action === action && !this.state.value) this.setState({ value });
  }

  private onSubmit = async (event: Event) => {
    event.preventDefault();
    const { action } = this.props;
    if (!action || this.state.busy) return;
    if (this.state.done) return this.props.onClose();
    this.setState({ busy: true, refused: false, said: null });
    try {
      const said = await action.run(this.state.value, this.state.ticked, (progress) =>
        this.setState({ said: progress }),
      );
      this.setState({ busy: false, done: true, said });
    } catch (error) {
      this.setState({ busy: false, refused: true, said: error instanceof Error ? error.message : String(error) });
    }
    refresh();
  };

  render() {
    const { action, onClose } = this.props;
    const { busy, said, refused, done, value, ticked } = this.state;
    return (
      <dialog ref={this.dialog} onClose={onClose} aria-labelledby="action-title">
        {action && (
          <form onSubmit={this.onSubmit}>
            <h2 id="action-title">{action.title}</h2>
            <div class="body">{action.body}</div>
            {action.field && !done && (
              <label>
                <span>{action.field.label}</span>
                <input
                  type={action.field.type as "text"}
                  value={value}
                  min={action.field.min}
                  max={action.field.max}
                  placeholder={action.field.placeholder}
                  required
                  disabled={busy}
                  onInput={(event) => this.setState({ value: event.currentTarget.value })}
                />
              </label>
            )}
            {action.tick && !done && (
              <label class="tick">
                <input
                  type="checkbox"
                  checked={ticked}
                  disabled={busy}
                  onChange={(event) => this.setState({ ticked: event.currentTarget.checked })}
                />
                <span>{action.tick.label}</span>
              </label>
            )}
            <p class={`said ${refused ? "refused" : done ? "done" : ""}`} role={refused ? "alert" : "status"}>
              {said}
            </p>
            <footer>
              {!done && (
                <button type="button" class="button" onClick={onClose}>
                  {busy ? "Close" : "Not now"}
                </button>
              )}
              <button
                type="submit"
                class={`button ${done ? "" : action.danger ? "danger" : "primary"}`}
                disabled={busy}
              >
                {done ? "Close" : busy ? "Asking …" : action.confirm}
              </button>
            </footer>
          </form>
        )}
      </dialog>
    );
  }
}

/** Waits for what was triggered, and gives where it lies. */
async function outcome(path: string, say: (progress: string) => void): Promise<string> {
  for (let tries = 0; ; tries += 1) {
    const { operation } = await get<Operation>(path);
    if (operation && "failure-cause" in operation) throw new Error(operation["failure-cause"]["stack-trace"]);
    if (operation) return "location" in operation ? operation.location : `checkpoint ${operation.checkpointId}`;
    say(`Under way for ${plural(tries, "second")} …`);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

function rescale(job: Job): Action {
  const most = Math.max(1, ...job.vertices.map((vertex) => vertex.maxParallelism));
  return {
    name: "Rescale",
    title: "Rescale the job",
    body: (
      <>
        <p>
          Sets the most subtasks that each vertex may have. The job goes there while it runs; where there are fewer
          slots, it takes those.
        </p>
        <p class="quiet">Only the key groups that change their owner pause.</p>
      </>
    ),
    field: {
      label: "Parallelism",
      type: "number",
      value: `${Math.max(...job.vertices.map((it) => it.parallelism))}`,
      min: 1,
      max: most,
    },
    confirm: "Rescale",
    run: async (value) => {
      const path = `jobs/${job.jid}/resource-requirements`;
      const wanted = Number(value);
      const now = await get<Requirements>(path);
      const requirements: Requirements = {};
      for (const { id, maxParallelism } of job.vertices) {
        const upperBound = Math.min(wanted, maxParallelism);
        const lowerBound = Math.min(now[id]?.parallelism.lowerBound ?? 1, upperBound);
        requirements[id] = { parallelism: { lowerBound, upperBound } };
      }
      await send<unknown, Requirements>("PUT", path, requirements);
      return `Accepted: at most ${wanted} of each vertex. The time line shows how it goes.`;
    },
  };
}

/** Where savepoints go: where the cluster is configured to write them, or else beside its checkpoints, if those are kept. */
async function savepointDirectory(): Promise<string> {
  const entries = await get<ConfigEntry[]>("jobmanager/config");
  const value = (key: string) => entries.find((entry) => entry.key === key)?.value ?? "";
  const checkpoints = value("execution.checkpointing.dir").replace(/\/+$/, "");
  const beside = checkpoints && !checkpoints.startsWith("memory:") ? `${checkpoints}/savepoints` : "";
  return value("execution.checkpointing.savepoint-dir") || beside;
}

const DIRECTORY: Action["field"] = {
  label: "Directory",
  type: "text",
  value: "",
  placeholder: "an absolute path or a URL",
  suggest: savepointDirectory,
};

function savepoint(job: Job): Action {
  return {
    name: "Savepoint",
    title: "Take a savepoint",
    body: <p>Writes the whole state of the job to where it stays until you delete it. The job goes on.</p>,
    field: DIRECTORY,
    confirm: "Take savepoint",
    run: async (value, _, say) => {
      const path = `jobs/${job.jid}/savepoints`;
      const triggered = await send<Triggered, SavepointRequest>("POST", path, { "target-directory": value });
      return `Complete: ${await outcome(`${path}/${triggered["request-id"]}`, say)}`;
    },
  };
}

function stop(job: Job): Action {
  return {
    name: "Stop",
    title: "Stop with a savepoint",
    body: (
      <p>
        Takes a savepoint, commits what the sinks hold, and ends the job. It can be started again from the savepoint.
      </p>
    ),
    field: DIRECTORY,
    tick: { label: "Drain: fire all windows and timers first, for a job that is not to go on" },
    confirm: "Stop the job",
    danger: true,
    run: async (value, drain, say) => {
      const path = `jobs/${job.jid}`;
      const triggered = await send<Triggered, StopRequest>("POST", `${path}/stop`, {
        targetDirectory: value,
        drain,
      });
      try {
        return `Stopped: ${await outcome(`${path}/savepoints/${triggered["request-id"]}`, say)}`;
      } catch (error) {
        if (error instanceof Refused || !(error instanceof TypeError)) throw error;
        return "The JobManager has ended with its job, before it said where the savepoint is; its log does.";
      }
    },
  };
}

function cancel(job: Job): Action {
  return {
    name: "Cancel",
    title: "Cancel the job",
    body: (
      <p>
        Ends the job at once and for good, without a savepoint. What was processed since the last checkpoint is not
        committed.
      </p>
    ),
    confirm: "Cancel the job",
    danger: true,
    run: async () => {
      await send<unknown, never>("PATCH", `jobs/${job.jid}?mode=cancel`);
      return "The job is being cancelled.";
    },
  };
}

/** Empties one TaskManager. */
export function drain(id: string, path: string): Action {
  return {
    name: "Drain",
    title: `Drain ${path}`,
    body: <p>Moves all that runs on this TaskManager to the slots of the others, and lets it go.</p>,
    tick: { label: "Even if the job then has fewer slots than it must have" },
    confirm: "Drain",
    danger: true,
    run: async (_, force) => {
      const drained = `taskmanagers/${encodeURIComponent(id)}/drain`;
      await send<unknown, DrainRequest>("POST", drained, { force });
      return "Accepted. The TaskManager ends as soon as nothing runs on it.";
    },
  };
}

/** Whether the server lets this be done. */
export const isOn = (config: Config | null, feature: keyof Config["features"]): boolean =>
  config?.features[feature] ?? false;

/** What can be done with a job. */
export function actionsOf(job: Job | null, config: Config | null): Action[] {
  if (!job || !config || isOver(job.state) || !job.vertices.length) return [];
  return [
    ...(isOn(config, "web-rescale") ? [rescale(job)] : []),
    savepoint(job),
    stop(job),
    ...(isOn(config, "web-cancel") ? [cancel(job)] : []),
  ];
}
