// The time line: how the job went, what happened to it, and each rescale in detail.

import { useState } from "preact/hooks";
import type { TimelinePoint } from "../api";
import { CLOCK_TIME_MS, count, duration, percent, rate, words } from "../format";
import { href } from "../route";
import { ticks, wholeTicks } from "../scale";
import type { State } from "../store";
import { Chart, type Mark } from "../ui/chart";
import type { PanelContent } from "../ui/panel";
import { Card, Empty, Loading, Moment } from "../ui/parts";
import { causeOf, changeOf, Outcome, RescaleDetail, tookMs } from "./rescale";
import "../ui/list.css";
import "./timeline.css";

const SPANS = [
  { name: "5 min", ms: 5 * 60_000 },
  { name: "30 min", ms: 30 * 60_000 },
  { name: "3 h", ms: 3 * 3_600_000 },
  { name: "All", ms: Infinity },
];

const kinds: Record<string, Mark["kind"]> = {
  RESCALE: "rescale",
  FAILURE: "failure",
  CHECKPOINT_FAILED: "checkpoint-failed",
  RESTART: "restart",
  LEADER_CHANGE: "leader-change",
  STATE: "state",
};

/** A lag by clocks that have nothing to do with each other says nothing. */
const clockLag = (point: TimelinePoint): number | null => {
  const lag = point["event-time-lag-ms"];
  return lag === null || Math.abs(lag) > CLOCK_TIME_MS ? null : Math.max(0, lag);
};

function panelsOf(points: TimelinePoint[]): Record<string, PanelContent> {
  const values = (of: (point: TimelinePoint) => number | null | undefined) => points.map((point) => of(point) ?? null);
  const number = (value: number | null) => (value === null ? "–" : count(value));
  return {
    parallelism: {
      title: "Parallelism",
      height: 92,
      ticksOf: (max) => wholeTicks(max),
      format: number,
      series: [
        { name: "slots", kind: "muted", stepped: true, filled: true, values: values((point) => point["slots-total"]) },
        { name: "subtasks", kind: "accent", stepped: true, values: values((point) => point.parallelism) },
      ],
    },
    throughput: {
      title: "Throughput",
      height: 92,
      ticksOf: (max) => ticks(max),
      format: (value) => rate(value),
      series: [
        { name: "in", kind: "accent", filled: true, values: values((point) => point["records-in-per-second"]) },
        { name: "out", kind: "second", values: values((point) => point["records-out-per-second"]) },
      ],
    },
    lag: {
      title: "Lag",
      height: 72,
      ticksOf: (max) => wholeTicks(max, 2),
      format: number,
      series: [{ name: "records not read", kind: "warm", filled: true, values: values((point) => point.lag) }],
    },
    latency: {
      title: "Latency",
      height: 72,
      ticksOf: (max) => ticks(max, 2),
      format: (value) => duration(value),
      series: [
        { name: "99th percentile", kind: "warm", values: values((point) => point["latency-p99-ms"]) },
        { name: "median", kind: "second", values: values((point) => point["latency-median-ms"]) },
      ],
    },
    eventTime: {
      title: "Event time lag",
      height: 72,
      ticksOf: (max) => ticks(max, 2),
      format: (value) => duration(value),
      series: [{ name: "behind the clock", kind: "warm", values: values(clockLag) }],
    },
    load: {
      title: "Load",
      height: 72,
      ticksOf: () => [0, 0.5, 1],
      format: (value) => percent(value),
      series: [
        { name: "busiest", kind: "accent", values: values((point) => point.busy) },
        { name: "backpressured", kind: "warm", values: values((point) => point.backpressured) },
      ],
    },
  };
}

function marksOf(state: State): Mark[] {
  const { job: jobId } = state.route;
  const rescales: Mark[] = [...state.rescales.values()].map((rescale) => ({
    key: `rescale ${rescale.rescaleUuid}`,
    t: rescale.startTimestampInMillis,
    until: rescale.endTimestampInMillis ?? state.job?.now ?? rescale.startTimestampInMillis,
    kind: "rescale",
    title: `Rescale ${changeOf(rescale)}: ${causeOf(rescale)}`,
    href: href("timeline", rescale.rescaleUuid, jobId),
  }));
  const events: Mark[] = (state.timeline?.events ?? [])
    .filter((event) => event.kind !== "RESCALE" || !state.rescales.has(event.id))
    .map((event) => {
      const kind = kinds[event.kind] ?? "state";
      const to = {
        rescale: () => href("timeline", event.id, jobId),
        failure: () => href("exceptions", null, jobId),
        "checkpoint-failed": () => href("checkpoints", event.id, jobId),
      }[kind as string];
      return {
        key: `${event.kind} ${event.id} ${event.t}`,
        t: event.t,
        kind,
        title: event.text || words(event.kind),
        ...(to ? { href: to() } : {}),
      };
    });
  const told = new Set((state.timeline?.events ?? []).map((event) => `${event.kind} ${event.id}`));
  const checkpoints: Mark[] = (state.checkpoints?.history ?? [])
    .filter(({ status, id }) => status === "COMPLETED" || (status === "FAILED" && !told.has(`CHECKPOINT_FAILED ${id}`)))
    .map((checkpoint) => {
      const { id, status, is_savepoint: savepoint } = checkpoint;
      const failed = status === "FAILED";
      return {
        key: `checkpoint ${id}`,
        t: checkpoint.trigger_timestamp,
        kind: failed ? "checkpoint-failed" : "checkpoint",
        title: `${savepoint ? "Savepoint" : "Checkpoint"} ${id}${failed ? " failed" : `, ${duration(checkpoint.end_to_end_duration)}`}`,
        ...(failed ? { href: href("checkpoints", String(id), jobId) } : {}),
      };
    });
  // The time line of this JobManager begins with it; exceptions are kept longer.
  const times = new Set((state.timeline?.events ?? []).filter((it) => it.kind === "FAILURE").map((it) => it.t));
  const failures: Mark[] = (state.exceptions?.exceptionHistory.entries ?? [])
    .filter((failure) => !times.has(failure.timestamp))
    .map((failure) => ({
      key: `failure ${failure.timestamp} ${failure.taskName ?? ""}`,
      t: failure.timestamp,
      kind: "failure",
      title: failure.exceptionName,
      href: href("exceptions", null, jobId),
    }));
  // What weighs more is drawn later, on top.
  return [...checkpoints, ...events, ...rescales, ...failures];
}

export function TimelineChart({ state, span, panels }: { state: State; span: number; panels: string[] }) {
  const { timeline } = state;
  const marks = marksOf(state);
  if (!timeline) return <Loading what="the time line" />;
  const to = Math.max(timeline.now, timeline.points.at(-1)?.t ?? 0);
  const first = Math.min(timeline.points[0]?.t ?? to, ...marks.map((mark) => mark.t));
  // A young job's line does not begin at the right edge of an empty frame, nor does one minute fill it.
  const from = Math.max(to - span, Math.min(first, to - 60_000));
  const points = timeline.points.filter((point) => point.t >= from - timeline.interval * 2);
  const all = panelsOf(points);
  return (
    <Chart
      times={points.map((point) => point.t)}
      from={from}
      to={to}
      now={timeline.now}
      panels={panels.map((name) => all[name]!)}
      marks={marks}
    />
  );
}

export function Timeline({ state }: { state: State }) {
  const [span, setSpan] = useState(SPANS[1]!);
  const choice = (
    <div class="choice" role="radiogroup" aria-label="How far back">
      {SPANS.map((it) => (
        <button key={it.name} type="button" role="radio" aria-checked={it === span} onClick={() => setSpan(it)}>
          {it.name}
        </button>
      ))}
    </div>
  );
  if (!state.job)
    return (
      <Card>
        <Empty title="No job yet" />
      </Card>
    );
  return (
    <>
      <Card title="Time line" actions={choice}>
        <TimelineChart
          state={state}
          span={span.ms}
          panels={["parallelism", "throughput", "lag", "latency", "eventTime", "load"]}
        />
        <p class="legend quiet small">
          <span class="mark-key rescale">◆ rescale</span>
          <span class="mark-key failure">✕ failure</span>
          <span class="mark-key restart">↻ restart</span>
          <span class="mark-key leader-change">⇄ leader change</span>
          <span class="mark-key checkpoint">| checkpoint</span>
          <span class="mark-key checkpoint-failed">▲ checkpoint failed</span>
        </p>
      </Card>
      <Card title="Rescales" note={state.rescaleOrder.length ? `the last ${state.rescaleOrder.length}` : undefined}>
        <Rescales state={state} />
      </Card>
    </>
  );
}

function Rescales({ state }: { state: State }) {
  const now = state.job!.now;
  if (!state.rescaleOrder.length) {
    return <Empty title="None yet">Start or stop a TaskManager, or rescale the job, and it will be told here.</Empty>;
  }
  return (
    <ol class="list">
      {state.rescaleOrder.map((id) => {
        const rescale = state.rescales.get(id)!;
        const opened = state.route.item === id;
        return (
          <li key={id} class={opened ? "opened" : ""} data-rescale={id}>
            <a class="line" href={href("timeline", opened ? null : id, state.route.job)} aria-expanded={opened}>
              <b class="change">{changeOf(rescale)}</b>
              <span class="grow quiet">{causeOf(rescale)}</span>
              <Outcome rescale={rescale} />
              <span class="number">{duration(tookMs(rescale) ?? now - rescale.startTimestampInMillis)}</span>
              <span class="number quiet">
                <Moment at={rescale.startTimestampInMillis} now={now} />
              </span>
            </a>
            {opened && <RescaleDetail rescale={rescale} now={now} />}
          </li>
        );
      })}
    </ol>
  );
}
