// The time line's chart: panels one below the other over one axis of time, with what happened marked through all of
// them. A cross hair, moved by pointer or arrow keys, reads the values off.

import { Component, createRef } from "preact";
import { moment } from "../format";
import { MARGIN, Panel, type PanelContent } from "./panel";
import "./chart.css";

export interface Mark {
  key: string;
  t: number;
  /** Until when, for what takes its time. */
  until?: number;
  kind: "rescale" | "failure" | "restart" | "leader-change" | "checkpoint" | "checkpoint-failed" | "state";
  title: string;
  href?: string;
}

interface Props {
  times: number[];
  from: number;
  to: number;
  now: number;
  panels: PanelContent[];
  marks: Mark[];
}

interface Look {
  width: number;
  cursor: number | null;
}

/** Where the lines of marks begin. */
const TOP = 34;

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

  private inside(): number {
    return Math.max(1, this.state.width - MARGIN.left - MARGIN.right);
  }

  private x(t: number): number {
    const { from, to } = this.props;
    return MARGIN.left + ((t - from) / Math.max(1, to - from)) * this.inside();
  }

  /** The index of the point nearest to a moment. */
  private nearest(t: number): number | null {
    const { times } = this.props;
    if (!times.length) return null;
    return times.reduce((best, time, index) => (Math.abs(time - t) < Math.abs(times[best]! - t) ? index : best), 0);
  }

  private onMove = (event: PointerEvent) => {
    const box = this.frame.current!.getBoundingClientRect();
    const { from, to } = this.props;
    const share = (event.clientX - box.left - MARGIN.left) / this.inside();
    const index = this.nearest(from + share * (to - from));
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
    const index = this.nearest(cursor);
    return index === null ? null : this.props.times[index]!;
  }

  render() {
    const { panels, marks, times, from, to, now } = this.props;
    const { width } = this.state;
    const inside = marks.filter((mark) => mark.t >= from && mark.t <= to);
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
        <svg aria-label="What happened">
          {inside.map((mark) => this.markLine(mark))}
          {at !== null && <line class="cursor" x1={this.x(at)} x2={this.x(at)} y1={TOP} y2="100%" />}
          {this.apart(inside).map((mark) => this.markGlyph(mark))}
        </svg>
        {width > 0 &&
          panels.map((content, index) => (
            <Panel
              key={content.title}
              {...{ content, times, from, to, now, width, cursor }}
              last={index === panels.length - 1}
            />
          ))}
        <p class="readout small" aria-live="polite">
          {at === null ? "" : moment(at, now)}
        </p>
      </div>
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

  private markLine({ key, t, until, kind }: Mark) {
    if (kind === "checkpoint") return null;
    const x = this.x(t);
    return (
      <g key={key} class={`mark ${kind}`}>
        {until !== undefined && <rect x={x} width={Math.max(1.5, this.x(until) - x)} y={TOP} height="100%" />}
        <line x1={x} x2={x} y1={TOP} y2="100%" />
      </g>
    );
  }

  private markGlyph({ key, t, kind, title, href }: Mark) {
    const glyphs = {
      rescale: "M0 -6L6 0L0 6L-6 0Z",
      failure: "M-4.500 -4.500L4.500 4.500M4.500 -4.500L-4.500 4.500",
      restart: "M4 -3A5 5 0 1 0 5 1M5 -6V-2.500H1.500",
      "leader-change": "M-5 -2.500H5L2 -5M5 2.500H-5L-2 5",
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
