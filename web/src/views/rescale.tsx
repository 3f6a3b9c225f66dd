// One rescale, opened: cause, what changed, its phases against time, what was moved, and how it ended.

import type { Rescale } from "../api";
import { bytes, duration, micros, percent, sentence, whole, words } from "../format";
import { Facts, Moment, Pill, StatePill } from "../ui/parts";
import "./rescale.css";

const CAUSES: Record<string, string> = {
  INITIAL_SCHEDULE: "the job's first deployment",
  UPDATE_REQUIREMENT: "its requirements were changed",
  NEW_RESOURCE_AVAILABLE: "slots came or went",
  RECOVERABLE_FAILOVER: "a failure, after which it started again",
};

export const causeOf = (rescale: Rescale): string => CAUSES[rescale.triggerCause] ?? words(rescale.triggerCause);

/** `2 → 3`, or `1–2 → 3` where vertices differ. */
export function changeOf(rescale: Rescale): string {
  const vertices = Object.values(rescale.vertices);
  const range = (values: (number | null)[]) => {
    const known = values.filter((value): value is number => value !== null);
    if (!known.length) return null;
    const [low, high] = [Math.min(...known), Math.max(...known)];
    return low === high ? `${low}` : `${low}–${high}`;
  };
  const before = range(vertices.map((vertex) => vertex.preRescaleParallelism));
  const after = range(vertices.map((vertex) => vertex.postRescaleParallelism));
  if (before === null) return after === null ? "First deployment" : `First deployment at ${after}`;
  return `${before} → ${after ?? "…"}`;
}

/** `null` while under way. */
export const tookMs = (rescale: Rescale): number | null =>
  rescale.endTimestampInMillis === null ? null : rescale.endTimestampInMillis - rescale.startTimestampInMillis;

export function Outcome({ rescale }: { rescale: Rescale }) {
  if (!rescale.terminalState) return <Pill mood="wait">under way</Pill>;
  return <StatePill state={rescale.terminalState} />;
}

interface Span {
  name: string;
  from: number;
  to: number | null;
  live: boolean;
  error: string | null;
}

function spansOf(rescale: Rescale): Span[] {
  const live = (rescale.liveRescale?.phases ?? []).map((phase) => ({
    name: sentence(words(phase.phase)),
    from: phase.enterTimestampInMillis,
    to: phase.leaveTimestampInMillis,
    live: true,
    error: null,
  }));
  const states = rescale.schedulerStates.map((state) => ({
    name: sentence(words(state.state)),
    from: state.enterTimestampInMillis,
    to: state.leaveTimestampInMillis,
    live: false,
    error: state.stringifiedException,
  }));
  return [...states, ...live];
}

/** In percent of the rescale: what took no time is seen all the same. */
const THINNEST = 0.6;

/** Each phase as a bar over the time that the rescale took. */
function Phases({ rescale, now }: { rescale: Rescale; now: number }) {
  const spans = spansOf(rescale);
  if (!spans.length) return null;
  // A state of the scheduler may have begun long before the rescale: what counts is its part of it.
  const live = spans.filter((span) => span.live);
  const start = Math.min(rescale.startTimestampInMillis, ...live.map((span) => span.from));
  const end = Math.max(rescale.endTimestampInMillis ?? now, ...live.map((span) => span.to ?? start));
  const length = Math.max(1, end - start);
  return (
    <ol class="phases" aria-label="Phases">
      {spans.map((span, index) => {
        const from = Math.min(end, Math.max(span.from, start));
        const to = Math.max(from, Math.min(span.to ?? end, end));
        const width = Math.max(THINNEST, ((to - from) / length) * 100);
        return (
          <li key={index} class={span.live ? "live" : "state"}>
            <span class="phase">{span.name}</span>
            <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
              <rect x={Math.min(100 - width, ((from - start) / length) * 100)} width={width} y="0" height="8" />
            </svg>
            <span class="took">{duration(to - from)}</span>
            {span.error && <pre class="error">{span.error}</pre>}
          </li>
        );
      })}
    </ol>
  );
}

export function RescaleDetail({ rescale, now }: { rescale: Rescale; now: number }) {
  const live = rescale.liveRescale;
  const moved = live ? live.keyGroupsMoved / Math.max(1, live.keyGroupsMoved + live.keyGroupsKept) : 0;
  const changed = Object.values(rescale.vertices);
  return (
    <div class="detail">
      <Facts
        facts={[
          { name: "cause", value: causeOf(rescale) },
          { name: "took", value: duration(tookMs(rescale) ?? now - rescale.startTimestampInMillis) },
          { name: "outcome", value: words(rescale.terminatedReason ?? "under way") },
          live
            ? {
                name: "longest pause",
                value: micros(live.longestPauseInMicros),
                title: "the longest time for which a key group was nobody's",
              }
            : null,
          live ? { name: "key groups moved", value: `${whole(live.keyGroupsMoved)} (${percent(moved)})` } : null,
          live
            ? {
                name: "state read",
                value:
                  live.readBytes < live.bytesToRead
                    ? `${bytes(live.readBytes)} of ${bytes(live.bytesToRead)}`
                    : bytes(live.readBytes),
                title: "what executors read from checkpoints before the cut",
              }
            : null,
          live ? { name: "bytes handed over", value: bytes(live.handedOverBytes) } : null,
          live ? { name: "records that waited", value: whole(live.parkedRecords) } : null,
          {
            name: "how",
            value: live ? `while the job ran${live.outcome ? ` (${words(live.outcome)})` : ""}` : "through a restart",
          },
          { name: "began", value: <Moment at={rescale.startTimestampInMillis} now={now} /> },
        ]}
      />
      {live?.reason && <p class="note bad">{live.reason}</p>}
      {rescale.restartReason && <p class="note">The job restarted: {rescale.restartReason}</p>}
      <Phases rescale={rescale} now={now} />
      <ul class="changes">
        {changed.map((vertex) => (
          <li key={vertex.jobVertexId}>
            <span class="name">{vertex.jobVertexName}</span>
            <span class="numbers">
              {vertex.preRescaleParallelism ?? "–"} → <b>{vertex.postRescaleParallelism ?? "…"}</b>
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
