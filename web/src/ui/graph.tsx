// The job graph: laid out once for its shape, then only figures change. It is moved by dragging, by the wheel and by
// keys, and of a large graph only what is in sight is drawn.

import { Component, createRef } from "preact";
import type { Aggregate, Backpressure, Job } from "../api";
import { count, rate, words } from "../format";
import { BOX, type Layout, layout, type Route } from "../layout";
import { Icon } from "./icons";
import { VertexBox } from "./vertex";
import "./graph.css";

interface Props {
  job: Job;
  figures: Map<string, Map<string, Aggregate>>;
  pressure: Map<string, Backpressure>;
  detailed: boolean;
  opened: string | null;
  onOpen: (vertex: string | null) => void;
  /** On the overview the frame is as high as the graph needs; elsewhere it fills what there is. */
  compact: boolean;
}

interface Look {
  x: number;
  y: number;
  scale: number;
  /** Set by the user, so that it is not fitted any more. */
  own: boolean;
  width: number;
  height: number;
}

const SCALES = { min: 0.08, max: 1.5, readable: 0.62 };
const MARGIN = 24;
/** Vertices so far out of sight are drawn all the same, so that moving finds them there. */
const AROUND = 300;
const STEP = 64;
/** Up to here all is drawn, in sight or not, and records are seen to flow. */
const FEW = 60;
/** Below this scale a vertex shows what can still be seen: its name and its colour. */
const FAR = 0.35;

export class Graph extends Component<Props, Look> {
  state: Look = { x: 0, y: 0, scale: 1, own: false, width: 0, height: 0 };
  private frame = createRef<HTMLDivElement>();
  private shape = "";
  private laidOut: Layout = { places: new Map(), routes: [], width: 0, height: 0 };
  private observer: ResizeObserver | null = null;
  private drag: { pointer: number; x: number; y: number; moved: boolean } | null = null;

  componentDidMount() {
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(this.frame.current!);
    // Not passive, as the page must not scroll as well.
    this.frame.current!.addEventListener("wheel", this.onWheel, { passive: false });
    this.measure();
  }

  componentWillUnmount() {
    this.observer?.disconnect();
  }

  private measure() {
    const { clientWidth: width, clientHeight: height } = this.frame.current!;
    this.setState({ width, height });
  }

  /** Lays the graph out anew only if its shape has changed. */
  private arrange(): Layout {
    const { nodes } = this.props.job.plan;
    const edges = nodes.flatMap((node) =>
      (node.inputs ?? []).map((input) => ({
        from: input.id,
        to: node.id,
        label: input.side_output ?? input.ship_strategy,
      })),
    );
    const shape = JSON.stringify([nodes.map((node) => node.id), edges]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.laidOut = layout(
        nodes.map((node) => node.id),
        edges,
      );
    }
    return this.laidOut;
  }

  /** Everything in sight, if it is readable then; otherwise the sources, at a size that is. */
  private fitted(all: boolean): Look {
    const { width: w, height: h } = this.laidOut;
    const { width, height } = this.state;
    const scale = Math.min(1, (width - 2 * MARGIN) / Math.max(1, w), (height - 2 * MARGIN) / Math.max(1, h));
    const shown = Math.max(SCALES.min, all ? scale : Math.max(scale, SCALES.readable));
    const fits = { x: w * shown <= width - 2 * MARGIN, y: h * shown <= height - 2 * MARGIN };
    return {
      ...this.state,
      scale: shown,
      x: fits.x ? (width - w * shown) / 2 : MARGIN,
      y: fits.y ? (height - h * shown) / 2 : MARGIN,
    };
  }

  private look(): Look {
    return this.state.own ? this.state : this.fitted(false);
  }

  private zoom(factor: number, at?: { x: number; y: number }) {
    const look = this.look();
    const scale = Math.min(SCALES.max, Math.max(SCALES.min, look.scale * factor));
    const { x, y } = at ?? { x: look.width / 2, y: look.height / 2 };
    const ratio = scale / look.scale;
    this.setState({ own: true, scale, x: x - (x - look.x) * ratio, y: y - (y - look.y) * ratio });
  }

  private move(dx: number, dy: number) {
    const look = this.look();
    this.setState({ own: true, scale: look.scale, x: look.x + dx, y: look.y + dy });
  }

  private onWheel = (event: WheelEvent) => {
    // The wheel alone scrolls the page, as everywhere; with Ctrl, as a pinch gives it, it zooms.
    if (!event.ctrlKey && !event.metaKey) {
      if (Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
      event.preventDefault();
      this.move(-event.deltaX, 0);
      return;
    }
    event.preventDefault();
    const box = this.frame.current!.getBoundingClientRect();
    this.zoom(Math.exp(-event.deltaY / 300), { x: event.clientX - box.left, y: event.clientY - box.top });
  };

  private onPointerDown = (event: PointerEvent) => {
    if (event.button !== 0) return;
    this.drag = { pointer: event.pointerId, x: event.clientX, y: event.clientY, moved: false };
  };

  private onPointerMove = (event: PointerEvent) => {
    const { drag } = this;
    if (drag?.pointer !== event.pointerId) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    if (!drag.moved) {
      this.frame.current!.setPointerCapture(event.pointerId);
      this.frame.current!.classList.add("dragged");
    }
    drag.moved = true;
    drag.x = event.clientX;
    drag.y = event.clientY;
    this.move(dx, dy);
  };

  private onPointerUp = (event: PointerEvent) => {
    if (this.drag?.pointer !== event.pointerId) return;
    this.drag = null;
    this.frame.current!.classList.remove("dragged");
  };

  private onKeyDown = (event: KeyboardEvent) => {
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [STEP, 0],
      ArrowRight: [-STEP, 0],
      ArrowUp: [0, STEP],
      ArrowDown: [0, -STEP],
    };
    const move = moves[event.key];
    if (move) this.move(...move);
    else if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(0.8);
    else if (event.key === "0") this.setState({ ...this.fitted(true), own: true });
    else if (event.key === "Escape") this.props.onOpen(null);
    else return;
    event.preventDefault();
  };

  /** A vertex that the keyboard has come to is brought into sight. */
  private reveal(id: string) {
    const place = this.laidOut.places.get(id);
    const look = this.look();
    if (!place || this.drag) return;
    const [left, top] = [place.x * look.scale + look.x, place.y * look.scale + look.y];
    const [right, bottom] = [left + BOX.width * look.scale, top + BOX.height * look.scale];
    if (left >= 0 && top >= 0 && right <= look.width && bottom <= look.height) return;
    this.move(look.width / 2 - (left + right) / 2, look.height / 2 - (top + bottom) / 2);
  }

  render() {
    const { job, figures, pressure, opened, onOpen, compact, detailed } = this.props;
    const { places, routes, width, height } = this.arrange();
    const look = this.look();
    const vertices = new Map(job.vertices.map((vertex) => [vertex.id, vertex]));
    const sources = new Set(job.plan.nodes.filter((node) => !node.inputs?.length).map((node) => node.id));
    const regions = job.vertices.some((vertex) => vertex.region !== undefined);
    const seen = (x: number, y: number, w: number, h: number) =>
      places.size <= FEW ||
      ((x + w) * look.scale + look.x > -AROUND &&
        x * look.scale + look.x < look.width + AROUND &&
        (y + h) * look.scale + look.y > -AROUND &&
        y * look.scale + look.y < look.height + AROUND);
    const needed = Math.min(
      560,
      Math.max(
        200,
        height * Math.max(SCALES.readable, Math.min(1, (look.width - 2 * MARGIN) / Math.max(1, width))) + 2 * MARGIN,
      ),
    );
    return (
      <div
        ref={this.frame}
        class={`graph ${compact ? "compact" : "full"} ${this.state.own ? "" : "fitted"} ${look.scale < FAR ? "far" : ""}`}
        style={compact ? { height: `${Math.round(needed)}px` } : {}}
        tabIndex={0}
        role="group"
        aria-label="Job graph. Arrow keys move it, plus and minus zoom, 0 shows all of it, Tab goes to its vertices."
        onPointerDown={this.onPointerDown}
        onPointerMove={this.onPointerMove}
        onPointerUp={this.onPointerUp}
        onPointerCancel={this.onPointerUp}
        onKeyDown={this.onKeyDown}
      >
        <div class="canvas" style={{ transform: `translate(${look.x}px, ${look.y}px) scale(${look.scale})` }}>
          <Edges
            width={width}
            height={height}
            routes={routes}
            figures={figures}
            round={job.now}
            flowing={places.size <= FEW}
          />
          {[...places.values()]
            .filter(
              (place) =>
                vertices.has(place.id) && (place.id === opened || seen(place.x, place.y, BOX.width, BOX.height)),
            )
            .map((place) => (
              <div key={place.id} onFocusCapture={() => this.reveal(place.id)}>
                <VertexBox
                  vertex={vertices.get(place.id)!}
                  place={place}
                  figures={figures.get(place.id)}
                  pressure={pressure.get(place.id)}
                  source={sources.has(place.id)}
                  regions={regions}
                  detailed={detailed}
                  opened={opened === place.id}
                  now={job.now}
                  onOpen={(id) => onOpen(this.props.opened === id ? null : id)}
                />
              </div>
            ))}
        </div>
        <div class="zoom" onPointerDown={(event) => event.stopPropagation()}>
          <button type="button" aria-label="Zoom in" onClick={() => this.zoom(1.25)}>
            <Icon name="plus" />
          </button>
          <button type="button" aria-label="Zoom out" onClick={() => this.zoom(0.8)}>
            <Icon name="minus" />
          </button>
          <button
            type="button"
            aria-label="Show all"
            onClick={() => this.setState({ ...this.fitted(true), own: true })}
          >
            <Icon name="fit" />
          </button>
        </div>
        {places.size > FEW && <p class="corner quiet small">{count(places.size)} vertices</p>}
      </div>
    );
  }
}

interface EdgesProps {
  width: number;
  height: number;
  routes: Route[];
  figures: Props["figures"];
  /** Changes with each answer; figures are changed in place. */
  round: number;
  flowing: boolean;
}

/** The edges: drawn again with each answer, not with each move. */
class Edges extends Component<EdgesProps> {
  shouldComponentUpdate(next: EdgesProps) {
    return next.round !== this.props.round || next.routes !== this.props.routes;
  }

  render() {
    const { width, height, routes, figures, flowing } = this.props;
    return (
      <svg width={width} height={height} aria-hidden="true">
        {routes.map(({ from, to, label, path, x, y }) => {
          const flow = figures.get(from)?.get("numRecordsOutPerSecond")?.sum ?? 0;
          return (
            <g key={`${from} ${to} ${label}`} class={flow > 0 ? "flows" : ""}>
              <title>{`${words(label)}, ${rate(flow)}`}</title>
              <path class="edge" d={path} stroke-width={1.5 + Math.min(4, Math.log10(1 + flow) * 0.6)} />
              {flow > 0 && flowing && <path class="flow" d={path} />}
              <text x={x} y={y - 8}>
                {words(label)}
              </text>
            </g>
          );
        })}
      </svg>
    );
  }
}

export function Legend() {
  return (
    <p class="legend quiet small">
      <span>
        <i class="busy" /> busy
      </span>
      <span>
        <i class="backpressured" /> backpressured
      </span>
      <span>
        <i class="idle" /> idle
      </span>
      <span>one cell a subtask</span>
    </p>
  );
}
