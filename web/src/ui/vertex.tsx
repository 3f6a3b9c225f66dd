// One vertex of the job graph: its operators, how many subtasks it has, what goes through it, and how its time is
// spent, by subtask where there are few.

import { Component } from "preact";
import type { Aggregate, Backpressure, Vertex } from "../api";
import { count, duration, eventLag, iso, operators, percent, plural, rate } from "../format";
import type { Place } from "../layout";
import { BOX } from "../layout";
import { StatePill } from "./parts";
import "./vertex.css";

export interface Shares {
  busy: number;
  backpressured: number;
  idle: number;
}

type Figures = Map<string, Aggregate> | undefined;

/** More cells than that cannot be told apart. */
const MOST_CELLS = 40;

export function sharesOf(figures: Figures): Shares | null {
  const share = (id: string) => Math.min(1, Math.max(0, (figures?.get(id)?.avg ?? 0) / 1000));
  if (!figures?.has("busyTimeMsPerSecond")) return null;
  return {
    busy: share("busyTimeMsPerSecond"),
    backpressured: share("backPressuredTimeMsPerSecond"),
    idle: share("idleTimeMsPerSecond"),
  };
}

/** Whichever matters most: what holds others up before what is held up. */
export function temper(shares: Shares | null): "busy" | "backpressured" | "idle" | "unknown" {
  if (!shares) return "unknown";
  if (shares.backpressured >= 0.5) return "backpressured";
  return shares.busy >= 0.5 ? "busy" : "idle";
}

/** Of a cell's colour: how much of it is the busy or the backpressured one. */
const strength = (share: number): string => `${Math.round(Math.min(1, Math.max(0, share)) * 100)}%`;

function Cells({ parallelism, pressure }: { parallelism: number; pressure: Backpressure | undefined }) {
  const bySubtask = new Map(pressure?.subtasks?.map((subtask) => [subtask.subtask, subtask]));
  const cells = Array.from({ length: parallelism }, (_, index) => {
    const subtask = bySubtask.get(index);
    const title = subtask
      ? `Subtask ${index + 1}: busy ${percent(subtask.busyRatio)}, backpressured ${percent(subtask.ratio)}, idle ${percent(subtask.idleRatio)}`
      : `Subtask ${index + 1}`;
    return (
      <span key={index} class="cell" title={title}>
        <span class="busy" style={{ height: strength(subtask?.busyRatio ?? 0) }} />
        <span class="backpressured" style={{ height: strength(subtask?.ratio ?? 0) }} />
      </span>
    );
  });
  return (
    <div class="cells" aria-hidden="true">
      {cells}
    </div>
  );
}

function TimeBar({ shares }: { shares: Shares | null }) {
  return (
    <div class="bar" aria-hidden="true">
      {(["busy", "backpressured", "idle"] as const).map((kind) => (
        <span key={kind} class={kind} style={{ width: `${(shares?.[kind] ?? 0) * 100}%` }} />
      ))}
    </div>
  );
}

interface Props {
  vertex: Vertex;
  place: Place;
  figures: Figures;
  pressure: Backpressure | undefined;
  source: boolean;
  /** Whether the job has several regions, so that each vertex shows its own. */
  regions: boolean;
  detailed: boolean;
  opened: boolean;
  now: number;
  onOpen: (id: string) => void;
}

/** Drawn again only when what it shows has changed: moving the graph about costs nothing here. */
export class VertexBox extends Component<Props> {
  shouldComponentUpdate(next: Props) {
    const names = Object.keys(next) as (keyof Props)[];
    return names.some((name) => name !== "onOpen" && next[name] !== this.props[name]);
  }

  render() {
    return <Box {...this.props} />;
  }
}

function Box(props: Props) {
  const { vertex, place, figures, source } = props;
  const shares = sharesOf(figures);
  const sum = (id: string) => figures?.get(id)?.sum;
  const watermark = figures?.get("currentInputWatermark")?.min;
  const lag = sum("pendingRecords");
  const [first = "", ...others] = operators(vertex.name);
  const started = Object.values(vertex.tasks).some((tasks) => tasks > 0);
  const said = [
    vertex.name,
    started ? plural(vertex.parallelism, "subtask") : "not deployed",
    props.regions && `region ${vertex.region}`,
    vertex["region-restarts"] && "restarting",
    shares &&
      `busy ${percent(shares.busy)}, backpressured ${percent(shares.backpressured)}, idle ${percent(shares.idle)}`,
  ];
  return (
    <button
      type="button"
      class={`vertex ${temper(shares)} ${props.opened ? "opened" : ""}`}
      style={{ transform: `translate(${place.x}px, ${place.y}px)`, width: `${BOX.width}px`, height: `${BOX.height}px` }}
      aria-label={said.filter(Boolean).join("; ")}
      aria-pressed={props.opened}
      data-vertex={vertex.id}
      onClick={() => props.onOpen(vertex.id)}
    >
      <span class="name" title={vertex.name}>
        <b>{first}</b>
        {others.length > 0 && <span class="quiet"> → {others.join(" → ")}</span>}
      </span>
      <span class="row">
        <span class="parallelism" key={vertex.parallelism}>
          {started ? "×" : "≤"} {count(vertex.parallelism)}
        </span>
        {vertex.status !== "RUNNING" && <StatePill state={vertex.status} />}
        {vertex["region-restarts"] && (
          <span class="pill wait" title={`region ${vertex.region} restarts, others run on`}>
            RESTARTING
          </span>
        )}
        {props.regions && (
          <span
            class="quiet small"
            title="Vertices of different regions exchange no data: each region fails and restarts alone"
          >
            region {vertex.region}
          </span>
        )}
        <span class="rates">
          {!source && <span>in {rate(sum("numRecordsInPerSecond"))}</span>}
          <span>out {rate(sum("numRecordsOutPerSecond"))}</span>
        </span>
      </span>
      {props.detailed && started && vertex.parallelism <= MOST_CELLS ? (
        <Cells parallelism={vertex.parallelism} pressure={props.pressure} />
      ) : (
        <TimeBar shares={shares} />
      )}
      <span class="row quiet small">
        <span>{shares ? `busy ${percent(shares.busy)}` : "no figures yet"}</span>
        {shares && shares.backpressured >= 0.005 && <span>backpressured {percent(shares.backpressured)}</span>}
        {lag !== undefined && <span>lag {count(lag)}</span>}
        {watermark !== undefined && (
          <span title={`watermark ${iso(watermark)}`}>{eventLag(props.now - watermark)}</span>
        )}
        {watermark === undefined && vertex.status === "RUNNING" && vertex["start-time"] > 0 && (
          <span>up {duration(props.now - vertex["start-time"])}</span>
        )}
      </span>
    </button>
  );
}
