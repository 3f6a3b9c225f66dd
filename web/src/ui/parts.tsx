// The small parts that views are made of. Texts reach the document as text: Preact never takes them for markup.

import type { ComponentChildren } from "preact";
import { iso, moment, UNKNOWN, words } from "../format";
import "./parts.css";

/** How a state is to be felt. */
export type Mood = "good" | "wait" | "bad" | "calm";

const MOODS: Record<string, Mood> = {
  RUNNING: "good",
  FINISHED: "good",
  COMPLETED: "good",
  SUCCEEDED: "good",
  COMMITTED: "good",
  FAILED: "bad",
  FAILING: "bad",
  EXCEPTION_OCCURRED: "bad",
  CREATED: "wait",
  INITIALIZING: "wait",
  RESTARTING: "wait",
  CANCELLING: "wait",
  CANCELING: "wait",
  SCHEDULED: "wait",
  DEPLOYING: "wait",
  RECONCILING: "wait",
  IN_PROGRESS: "wait",
  SUSPENDED: "wait",
  GIVEN_UP: "wait",
};

export const moodOf = (state: string): Mood => MOODS[state] ?? "calm";

export function Pill({ mood, children }: { mood: Mood; children: ComponentChildren }) {
  return <span class={`pill ${mood}`}>{children}</span>;
}

export const StatePill = ({ state }: { state: string }) => <Pill mood={moodOf(state)}>{words(state)}</Pill>;

export function Moment({ at, now }: { at: number | null | undefined; now: number }) {
  if (at == null || at < 0) return <>{UNKNOWN}</>;
  return (
    <time dateTime={iso(at)} title={iso(at)}>
      {moment(at, now)}
    </time>
  );
}

export function Card(props: {
  title?: string;
  note?: ComponentChildren;
  actions?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}) {
  return (
    <section class={`card ${props.class ?? ""}`}>
      {props.title && (
        <header>
          <h2>{props.title}</h2>
          {props.note && <p class="quiet">{props.note}</p>}
          {props.actions && <div class="actions">{props.actions}</div>}
        </header>
      )}
      {props.children}
    </section>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p>{title}</p>
      {children && <p class="quiet">{children}</p>}
    </div>
  );
}

/** Stands where an answer is awaited. */
export function Loading({ what }: { what: string }) {
  return (
    <div class="empty loading" role="status">
      <p>Asking for {what} …</p>
    </div>
  );
}

export interface Column<T> {
  title: string;
  class?: string;
  of: (row: T) => ComponentChildren;
}

export function Table<T>(props: {
  label: string;
  columns: Column<T>[];
  rows: T[];
  keyOf: (row: T) => string | number;
}) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={props.label}>
      <table>
        <thead>
          <tr>
            {props.columns.map((column) => (
              <th key={column.title} scope="col" class={column.class}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {props.rows.map((row) => (
            <tr key={props.keyOf(row)}>
              {props.columns.map((column) => (
                <td key={column.title} class={column.class}>
                  {column.of(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export interface Fact {
  name: string;
  value: ComponentChildren;
  title?: string;
}

export function Facts({ facts }: { facts: (Fact | null)[] }) {
  return (
    <dl class="facts">
      {facts
        .filter((fact) => fact !== null)
        .map((fact) => (
          <div key={fact.name} title={fact.title}>
            <dt>{fact.name}</dt>
            <dd>{fact.value}</dd>
          </div>
        ))}
    </dl>
  );
}

/** Shares of a whole, as one bar. */
export function Bar({ parts, label }: { parts: { kind: string; share: number }[]; label: string }) {
  return (
    <div class="bar" role="img" aria-label={label} title={label}>
      {parts.map(({ kind, share }) => (
        <span key={kind} class={kind} style={{ width: `${Math.min(1, Math.max(0, share)) * 100}%` }} />
      ))}
    </div>
  );
}

/** A line through the last values, without axes. */
export function Sparkline({ values, kind }: { values: (number | null)[]; kind?: string }) {
  const known = values.filter((value): value is number => value !== null);
  if (known.length < 2) return <svg class="spark" viewBox="0 0 100 28" aria-hidden="true" />;
  const [low, high] = [Math.min(0, ...known), Math.max(...known)];
  const span = high - low || 1;
  const step = 100 / (values.length - 1);
  let line = "";
  let from = "M";
  values.forEach((value, index) => {
    if (value === null) {
      from = "M";
    } else {
      line += `${from}${(index * step).toFixed(1)} ${(26 - ((value - low) / span) * 24).toFixed(1)}`;
      from = "L";
    }
  });
  return (
    <svg class={`spark ${kind ?? ""}`} viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">
      <path d={line} />
    </svg>
  );
}
