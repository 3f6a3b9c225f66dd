// The time line's chart: panels one below the other over one axis of time, with what happened marked through all of
// them. Drawn as SVG; a cross hair, moved by pointer or arrow keys, reads the values off.

import { Component, createRef } from "preact";
import { moment } from "../format";
import { areaPath, linePath, thinned, timeTicks, type XY } from "../scale";
import "./chart.css";

export interface Series {
  name: string;
  kind: "accent" | "second" | "muted" | "warm";
  values: (number | null)[];
  stepped?: boolean;
  filled?: boolean;
}

export interface Panel {
  title: string;
  series: Series[];
  ticksOf: (max: number) => number[];
  format: (value: number | null) => string;
  height: number;
}

export interface Mark {
  key: string;
  t: number;
  /** Until when, for what takes its time. */
  until?: number;
  kind: "rescale" | "failure" | "restart" | "checkpoint" | "checkpoint-failed" | "state";
  title: string;
  href?: string;
}

interface Props {
  times: number[];
  from: number;
  to: number;
  now: number;
  panels: Panel[];
  marks: Mark[];
}

interface Look {
  width: number;
  cursor: number | null;
}

const LEFT = 60;
const RIGHT = 12;
const TOP = 34;
const GAP = 46;
const AXIS = 24;
const MOST_POINTS = 900;

export class Chart extends Component<Props, Look> {
  state: Look = { width: 0, cursor: null };
  private frame = createRef<HTMLDivElement>();
  private observer: ResizeObserver | null = null;

  componentDidMount() {
    const measure = () => this.setState({ width: this.frame.current!.clientWidth });
    this.observer = new ResizeObserver(measure);
    this.observer.observe(this.frame.current!);
    measure();
  }

  componentWillUnmount() {
    this.observer?.disconnect();
  }

  private x(t: number): number {
    const { from, to } = this.props;
    return LEFT + ((t - from) / Math.max(1, to - from)) * Math.max(1, this.state.width - LEFT - RIGHT);
  }

  /** The index of the point nearest to a place. */
  private nearest(x: number): number | null {
    const { times, from, to } = this.props;
    if (!times.length) return null;
    const t = from + ((x - LEFT) / Math.max(1, this.state.width - LEFT - RIGHT)) * (to - from);
    let best = 0;
    times.forEach((time, index) => {
      if (Math.abs(time - t) < Math.abs(times[best]! - t)) best = index;
    });
    return best;
  }

  private onMove = (event: PointerEvent) => {
    const box = this.frame.current!.getBoundingClientRect();
    const index = this.nearest(event.clientX - box.left);
    this.setState({ cursor: index === null ? null : this.props.times[index]! });
  };

  private onKeyDown = (event: KeyboardEvent) => {
    const { times } = this.props;
    const at = this.state.cursor === null ? times.length : times.indexOf(this.cursorTime() ?? -1);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: times.length - 1 }[event.key];
    if (event.key === "Escape") this.setState({ cursor: null });
    if (to === undefined || !times.length) return;
    event.preventDefault();
    this.setState({ cursor: times[Math.min(times.length - 1, Math.max(0, to))]! });
  };

  /** The point at the cursor; points come and go, so it is looked for. */
  private cursorTime(): number | null {
    const { cursor } = this.state;
    if (cursor === null) return null;
    const index = this.nearest(this.x(cursor));
    return index === null ? null : this.props.times[index]!;
  }

  render() {
    const { panels, marks, times, from, to, now } = this.props;
    const { width } = this.state;
    const inside = marks.filter((mark) => mark.t >= from && mark.t <= to);
    let y = TOP;
    const placed = panels.map((panel) => {
      const top = y + 18;
      y = top + panel.height + GAP - 18;
      return { panel, top };
    });
    const bottom = y - GAP + 18;
    const height = bottom + AXIS + 8;
    const at = this.cursorTime();
    const cursor = at === null ? null : times.indexOf(at);
    return (
      <div
        ref={this.frame}
        class="chart"
        tabIndex={0}
        role="group"
        aria-label="Time line. Left and right arrow keys move the cross hair."
        onPointerMove={this.onMove}
        onPointerLeave={() => this.setState({ cursor: null })}
        onKeyDown={this.onKeyDown}
      >
        {width > 0 && (
          // biome-ignore lint/a11y/noSvgWithoutTitle: the frame has the name; a title would cover those of the marks
          <svg width={width} height={height}>
            {timeTicks(from, to, Math.max(2, Math.floor((width - LEFT - RIGHT) / 110))).map((t) => (
              <g key={t} class="tick">
                <line x1={this.x(t)} x2={this.x(t)} y1={TOP} y2={bottom} />
                <text x={this.x(t)} y={bottom + 18} text-anchor="middle">
                  {moment(t, now)}
                </text>
              </g>
            ))}
            {inside.map((mark) => this.markLine(mark, bottom))}
            {placed.map(({ panel, top }) => this.panel(panel, top, cursor))}
            {at !== null && <line class="cursor" x1={this.x(at)} x2={this.x(at)} y1={TOP} y2={bottom} />}
            {this.apart(inside).map((mark) => this.markGlyph(mark))}
          </svg>
        )}
        <p class="readout small" aria-live="polite">
          {at === null ? "" : moment(at, now)}
        </p>
      </div>
    );
  }

  private panel({ title, series, ticksOf, format, height }: Panel, top: number, cursor: number | null) {
    const { times, from, to } = this.props;
    const { width } = this.state;
    const max = Math.max(0, ...series.flatMap(({ values }) => values.filter((value) => value !== null)));
    const labels = ticksOf(max);
    const high = labels.at(-1)!;
    const yOf = (value: number) => top + height - (value / high) * height;
    const empty = series.every(({ values }) => values.every((value) => value === null));
    const shown = cursor ?? times.length - 1;
    return (
      <g key={title} class="panel">
        <text class="title" x={width < 480 ? 12 : LEFT} y={top - 11}>
          {title}
          {series.map(({ name, kind, values }) => (
            <>
              <tspan dx="14" class={`key ${kind}`}>
                ●
              </tspan>
              <tspan dx="4" class="name">
                {name}
              </tspan>
              <tspan dx="5" class="value">
                {format(values[shown] ?? null)}
              </tspan>
            </>
          ))}
        </text>
        {labels.map((label) => (
          <g key={label} class="level">
            <line x1={LEFT} x2={width - RIGHT} y1={yOf(label)} y2={yOf(label)} />
            <text x={LEFT - 8} y={yOf(label) + 4} text-anchor="end">
              {format(label)}
            </text>
          </g>
        ))}
        {series.map(({ name, kind, values, stepped = false, filled }) => {
          const all: XY[] = times.map((t, index) => {
            const value = values[index] ?? null;
            return { x: this.x(t), y: value === null ? null : yOf(value) };
          });
          const points = thinned(all, MOST_POINTS, (point) => point.y ?? Infinity);
          return (
            <g key={name} class={`series ${kind}`}>
              {filled && <path class="area" d={areaPath(points, top + height, stepped)} />}
              <path class="line" d={linePath(points, stepped)} />
              {cursor !== null && all[cursor] && all[cursor]!.y !== null && (
                <circle cx={all[cursor]!.x} cy={all[cursor]!.y!} r="3" />
              )}
            </g>
          );
        })}
        {empty && (
          <text class="none" x={LEFT + (width - LEFT - RIGHT) / 2} y={top + height / 2 + 4} text-anchor="middle">
            {to > from ? "nothing known" : ""}
          </text>
        )}
      </g>
    );
  }

  /** Checkpoints that would run into one another are thinned out. */
  private apart(marks: Mark[]): Mark[] {
    let last = Infinity;
    const newestFirst = [...marks].sort((one, other) => other.t - one.t);
    const dropped = new Set<Mark>();
    for (const mark of newestFirst.filter((it) => it.kind === "checkpoint")) {
      if (last - this.x(mark.t) < 4) dropped.add(mark);
      else last = this.x(mark.t);
    }
    return marks.filter((mark) => !dropped.has(mark));
  }

  private markLine({ key, t, until, kind }: Mark, bottom: number) {
    if (kind === "checkpoint") return null;
    const x = this.x(t);
    return (
      <g key={key} class={`mark ${kind}`}>
        {until !== undefined && <rect x={x} width={Math.max(1.5, this.x(until) - x)} y={TOP} height={bottom - TOP} />}
        <line x1={x} x2={x} y1={TOP} y2={bottom} />
      </g>
    );
  }

  private markGlyph({ key, t, kind, title, href }: Mark) {
    const glyphs = {
      rescale: "M0 -6L6 0L0 6L-6 0Z",
      failure: "M-4.500 -4.500L4.500 4.500M4.500 -4.500L-4.500 4.500",
      restart: "M4 -3A5 5 0 1 0 5 1M5 -6V-2.500H1.500",
      checkpoint: "M0 -4V4",
      "checkpoint-failed": "M0 -5L5.500 4.500H-5.500Z",
      state: "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0",
    };
    const glyph = (
      <g class={`glyph ${kind}`} transform={`translate(${this.x(t).toFixed(1)} 16)`}>
        <title>{title}</title>
        <rect x="-9" y="-12" width="18" height="24" class="hit" />
        <path d={glyphs[kind]} />
      </g>
    );
    return href ? (
      <a key={key} href={href} aria-label={title}>
        {glyph}
      </a>
    ) : (
      <g key={key}>{glyph}</g>
    );
  }
}
