// The job at a glance.

import type { ComponentChildren } from "preact";
import { bytes, CLOCK_TIME_MS, count, duration, plural, rate, sentence, words } from "../format";
import { href } from "../route";
import type { State } from "../store";
import { DETAILED_VERTICES } from "../store";
import { Graph, Legend } from "../ui/graph";
import { Card, Empty, Moment, moodOf, Sparkline } from "../ui/parts";
import { causeOf, changeOf } from "./rescale";
import { TimelineChart } from "./timeline";
import "./overview.css";

/** How many points a tile's line has. */
const TAIL = 120;
const RECENT = 6;

function Tile(props: {
  name: string;
  value: ComponentChildren;
  note?: ComponentChildren;
  children?: ComponentChildren;
  id: string;
}) {
  return (
    <div class="card tile">
      <h3>{props.name}</h3>
      <p class="value" data-tile={props.id}>
        {props.value}
      </p>
      {props.note && <p class="quiet small">{props.note}</p>}
      {props.children}
    </div>
  );
}

export function Overview({ state, onVertex }: { state: State; onVertex: (id: string | null) => void }) {
  const { job, overview, timeline, metrics, checkpoints, figures, pressure } = state;
  if (!job || !overview) {
    return (
      <Card>
        <Empty title="No job yet">The JobManager is there, and has no job. It shows here as soon as it does.</Empty>
      </Card>
    );
  }
  const tail = timeline?.points.slice(-TAIL) ?? [];
  const last = tail.at(-1);
  const total = overview["slots-total"];
  const used = total - overview["slots-available"];
  const parallelism = Math.max(0, ...job.vertices.map((vertex) => vertex.parallelism));
  const parallelisms = new Set(job.vertices.map((vertex) => vertex.parallelism));
  const latest = checkpoints?.latest.completed;
  const since = job.timestamps[job.state] || job["start-time"];
  const lagMs = last?.["event-time-lag-ms"];
  return (
    <>
      <div class="tiles">
        <Tile
          id="state"
          name="State"
          value={<span class={`state ${moodOf(job.state)}`}>{sentence(words(job.state))}</span>}
          note={
            <>
              since <Moment at={since} now={job.now} />
              {job.state === "CREATED" ? ", waiting for slots" : ""}
            </>
          }
        />
        <Tile
          id="duration"
          name="Duration"
          value={duration(job.duration)}
          note={
            <>
              started <Moment at={job["start-time"]} now={job.now} />
            </>
          }
        />
        <Tile
          id="parallelism"
          name="Parallelism"
          value={count(parallelism)}
          note={
            parallelisms.size > 1
              ? `${Math.min(...parallelisms)} to ${parallelism}, by vertex`
              : plural(job.vertices.length, "vertex", "vertices")
          }
        >
          <Sparkline values={tail.map((point) => point.parallelism)} />
        </Tile>
        <Tile
          id="slots"
          name="Slots in use"
          value={
            <>
              {used}
              <span class="of"> / {total}</span>
            </>
          }
          note={plural(overview.taskmanagers, "TaskManager")}
        >
          <Sparkline values={tail.map((point) => point["slots-total"])} kind="muted" />
        </Tile>
        <Tile
          id="throughput"
          name="Throughput"
          value={rate(last?.["records-in-per-second"])}
          note={`out ${rate(last?.["records-out-per-second"])}`}
        >
          <Sparkline values={tail.map((point) => point["records-in-per-second"])} />
        </Tile>
        <Tile
          id="lag"
          name="Lag"
          value={count(last?.lag)}
          note={
            last?.lag == null
              ? "no source knows it"
              : lagMs != null && Math.abs(lagMs) < CLOCK_TIME_MS
                ? `records; event time ${duration(lagMs)} behind`
                : "records not read yet"
          }
        >
          <Sparkline values={tail.map((point) => point.lag)} kind="warm" />
        </Tile>
        <Tile
          id="rescales"
          name="Rescales"
          value={metrics.get("numRescales") ?? "0"}
          note={`${plural(Number(metrics.get("numRestarts") ?? 0), "restart")} after failures`}
        />
        <Tile
          id="checkpoint"
          name="Last checkpoint"
          value={latest ? duration(latest.end_to_end_duration) : "–"}
          note={
            latest ? (
              <>
                {bytes(latest.checkpointed_size)} at <Moment at={latest.latest_ack_timestamp} now={job.now} />
              </>
            ) : checkpoints ? (
              "none yet"
            ) : (
              "switched off"
            )
          }
        />
      </div>
      <Card
        title="Job graph"
        actions={
          <a class="button" href={href("graph", null, state.route.job)}>
            Open
          </a>
        }
      >
        <Graph
          compact
          job={job}
          figures={figures}
          pressure={pressure}
          detailed={job.vertices.length <= DETAILED_VERTICES}
          opened={null}
          onOpen={onVertex}
        />
        <Legend />
      </Card>
      <div class="pair">
        <Card
          title="Time line"
          actions={
            <a class="button" href={href("timeline", null, state.route.job)}>
              Open
            </a>
          }
        >
          <TimelineChart state={state} span={10 * 60_000} panels={["parallelism", "throughput"]} />
        </Card>
        <Card title="What happened" note="newest first">
          <Happenings state={state} />
        </Card>
      </div>
    </>
  );
}

/** The last rescales, failures and checkpoints that failed, in one list. */
function Happenings({ state }: { state: State }) {
  const { job } = state;
  const rescales = state.rescaleOrder
    .map((id) => state.rescales.get(id)!)
    .map((rescale) => ({
      t: rescale.startTimestampInMillis,
      kind: "rescale",
      title: changeOf(rescale),
      text: causeOf(rescale),
      to: href("timeline", rescale.rescaleUuid, state.route.job),
    }));
  const failures = (state.exceptions?.exceptionHistory.entries ?? []).map((failure) => ({
    t: failure.timestamp,
    kind: "failure",
    title: failure.exceptionName,
    text: failure.stacktrace.split("\n")[0] ?? "",
    to: href("exceptions", null, state.route.job),
  }));
  const failed = (state.checkpoints?.history ?? [])
    .filter((checkpoint) => checkpoint.status === "FAILED")
    .map((checkpoint) => ({
      t: checkpoint.trigger_timestamp,
      kind: "checkpoint-failed",
      title: `Checkpoint ${checkpoint.id} failed`,
      text: checkpoint.failure_message ?? "",
      to: href("checkpoints", String(checkpoint.id), state.route.job),
    }));
  const all = [...rescales, ...failures, ...failed].sort((one, other) => other.t - one.t).slice(0, RECENT);
  if (!all.length) return <Empty title="Nothing yet">Rescales and failures will be listed here.</Empty>;
  return (
    <ol class="happenings">
      {all.map((it) => (
        <li key={`${it.kind} ${it.t} ${it.title}`} class={it.kind}>
          <a href={it.to}>
            <span class="title">{it.title}</span>
            <span class="quiet small text">{it.text}</span>
            <span class="quiet small">
              <Moment at={it.t} now={job!.now} />
            </span>
          </a>
        </li>
      ))}
    </ol>
  );
}
