// One panel of the time line's chart: its title with the values at the cursor, and its lines, which uPlot draws on a
// canvas. A canvas takes no colours from a style sheet: they are read from elements that have them, each time it is
// drawn, and it is drawn again when the colour scheme changes.

import { Component, createRef } from "preact";
import uPlot from "uplot";
import { moment } from "../format";
import "uplot/dist/uPlot.min.css";
import "./panel.css";

export interface Series {
  name: string;
  kind: "accent" | "second" | "muted" | "warm";
  values: (number | null)[];
  stepped?: boolean;
  filled?: boolean;
}

export interface PanelContent {
  title: string;
  series: Series[];
  ticksOf: (max: number) => number[];
  format: (value: number | null) => string;
  height: number;
}

interface Props {
  content: PanelContent;
  times: number[];
  from: number;
  to: number;
  now: number;
  width: number;
  /** The lowest of the chart: it shows the times. */
  last: boolean;
  /** The index of the point at the cursor. */
  cursor: number | null;
}

/** Of the plot, at the left for the labels of values and at the right. */
export const MARGIN = { left: 60, right: 12 };
/** Room for the half of a label, above and below the lines. */
const PAD = 6;
const AXIS = 24;

export class Panel extends Component<Props> {
  private frame = createRef<HTMLDivElement>();
  private plot: uPlot | null = null;
  private system = matchMedia("(prefers-color-scheme: dark)");
  private chosen = new MutationObserver(() => this.redraw());
  private redraw = () => this.plot?.redraw(false);

  private style(selector: string): CSSStyleDeclaration {
    return getComputedStyle(this.frame.current!.querySelector(selector)!);
  }

  componentDidMount() {
    this.plot = new uPlot(this.options(), this.data(), this.frame.current!.querySelector<HTMLElement>(".plot")!);
    this.system.addEventListener("change", this.redraw);
    this.chosen.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  componentDidUpdate(previous: Props) {
    const { cursor, times, width } = this.props;
    const plot = this.plot!;
    if (width !== previous.width) plot.setSize(this.size());
    if (times !== previous.times) plot.setData(this.data());
    plot.setCursor(
      cursor === null ? { left: -1, top: -1 } : { left: plot.valToPos(times[cursor]! / 1000, "x"), top: 0 },
    );
  }

  componentWillUnmount() {
    this.system.removeEventListener("change", this.redraw);
    this.chosen.disconnect();
    this.plot!.destroy();
  }

  private size() {
    const { width, content, last } = this.props;
    return { width, height: PAD + content.height + (last ? AXIS : PAD) };
  }

  private data(): uPlot.AlignedData {
    const { times, content } = this.props;
    return [times.map((t) => t / 1000), ...content.series.map(({ values }) => values)];
  }

  private ticks(): number[] {
    const { series, ticksOf } = this.props.content;
    return ticksOf(Math.max(0, ...series.flatMap(({ values }) => values.filter((value) => value !== null))));
  }

  private options(): uPlot.Options {
    const axis: uPlot.Axis = {
      font: `11px ${this.style(".plot").fontFamily}`,
      stroke: () => this.style(".plot").color,
      grid: { stroke: () => this.style(".plot").borderTopColor, width: 1 },
      ticks: { show: false },
    };
    return {
      ...this.size(),
      padding: [PAD, MARGIN.right, 0, 0],
      legend: { show: false },
      // The chart moves the cursor, in all panels at once.
      cursor: {
        x: false,
        y: false,
        drag: { x: false, y: false },
        bind: { mousemove: () => null, mouseleave: () => null },
        points: { size: 8, width: 2, fill: "var(--surface)", stroke: (_, index) => this.lineColour(index) },
      },
      scales: {
        x: { range: () => [this.props.from / 1000, this.props.to / 1000] },
        y: { range: () => [0, this.ticks().at(-1)!] },
      },
      axes: [
        {
          ...axis,
          grid: { ...axis.grid, dash: [2, 3] },
          size: this.props.last ? AXIS : PAD,
          space: 110,
          values: (_, times) => times.map((t) => (this.props.last ? moment(t * 1000, this.props.now) : "")),
        },
        {
          ...axis,
          size: MARGIN.left,
          gap: 8,
          splits: () => this.ticks(),
          values: (_, values) => values.map((value) => this.props.content.format(value)),
        },
      ],
      series: [{}, ...this.props.content.series.map((series) => this.line(series))],
    };
  }

  /** Of the series of this number, which uPlot counts from 1. */
  private lineColour(index: number): string {
    return this.style(`.${this.props.content.series[index - 1]!.kind}`).color;
  }

  private line({ stepped, filled }: Series): uPlot.Series {
    return {
      stroke: (_, index) => this.lineColour(index),
      width: 1.75,
      pxAlign: 0,
      points: { show: false },
      ...(filled && { fill: (_, index) => this.lineColour(index).replace(")", ", 0.1)") }),
      ...(stepped && { paths: uPlot.paths.stepped!({ align: 1 }) }),
    };
  }

  render() {
    const { content, times, cursor } = this.props;
    const shown = cursor ?? times.length - 1;
    const known = content.series.some(({ values }) => values.some((value) => value !== null));
    return (
      <div ref={this.frame} class="panel">
        <p>
          <b>{content.title}</b>
          {content.series.map(({ name, kind, values }) => (
            <span key={name}>
              <i class={kind}>●</i> {name} <span class="value">{content.format(values[shown] ?? null)}</span>
            </span>
          ))}
        </p>
        <div class="plot" aria-hidden="true" />
        {!known && <p class="none">nothing known</p>}
      </div>
    );
  }
}
