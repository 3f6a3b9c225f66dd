// Scales of charts: where a value lies, and which values get a label.

/** Round values from 0 to at least `max`, a few of them. */
export function ticks(max: number, wanted = 3, base = 10): number[] {
  if (!(max > 0) || !Number.isFinite(max)) return [0, 1];
  const rough = max / wanted;
  const size = base ** Math.floor(Math.log(rough) / Math.log(base) + 1e-9);
  const steps = base === 10 ? [1, 2, 5, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
  const step = size * (steps.find((factor) => factor * size >= rough - 1e-12) ?? base);
  const values = [0];
  while (values.at(-1)! < max - step * 1e-9) values.push(Number((values.length * step).toPrecision(12)));
  return values;
}

/** As `ticks`, in whole numbers. */
export const wholeTicks = (max: number, wanted = 3): number[] => {
  const step = Math.max(1, ticks(Math.max(1, max), wanted)[1]!);
  return Array.from({ length: Math.ceil(Math.max(1, max) / step) + 1 }, (_, index) => index * Math.ceil(step));
};

const TIME_STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
];

/** Moments at round local times between two moments, at most `most`. */
export function timeTicks(from: number, to: number, most: number): number[] {
  const span = (to - from) / 1000;
  const step = 1000 * (TIME_STEPS_S.find((seconds) => span / seconds <= most) ?? span / Math.max(1, most));
  // Round in local time, so that a day begins at midnight.
  const offset = new Date(to).getTimezoneOffset() * 60_000;
  const first = Math.ceil((from - offset) / step) * step + offset;
  const values = [];
  for (let at = first; at <= to; at += step) values.push(at);
  return values;
}

export interface XY {
  x: number;
  y: number | null;
}

/** A path through points; it breaks where a value is missing. `stepped`: a value holds until the next. */
export function linePath(points: XY[], stepped: boolean): string {
  let path = "";
  let open = false;
  for (const { x, y } of points) {
    if (y === null) {
      open = false;
      continue;
    }
    const at = `${x.toFixed(1)} ${y.toFixed(1)}`;
    if (!open) path += `M${at}`;
    else path += stepped ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `L${at}`;
    open = true;
  }
  return path;
}

/** The area between the line and `floor`. */
export function areaPath(points: XY[], floor: number, stepped: boolean): string {
  const parts: XY[][] = [];
  let part: XY[] = [];
  for (const point of [...points, { x: 0, y: null }]) {
    if (point.y !== null) {
      part.push(point);
    } else if (part.length) {
      parts.push(part);
      part = [];
    }
  }
  return parts.map((run) => `${linePath(run, stepped)}V${floor.toFixed(1)}H${run[0]!.x.toFixed(1)}Z`).join("");
}

/** No more points than a screen shows: of each stretch the first, the least, the greatest. */
export function thinned<T>(points: T[], most: number, measure: (point: T) => number): T[] {
  if (points.length <= most) return points;
  const length = Math.ceil(points.length / (most / 3));
  const kept: T[] = [];
  for (let start = 0; start < points.length; start += length) {
    const stretch = points.slice(start, start + length);
    let [low, high] = [0, 0];
    stretch.forEach((point, index) => {
      if (measure(point) < measure(stretch[low]!)) low = index;
      if (measure(point) > measure(stretch[high]!)) high = index;
    });
    for (const index of [...new Set([0, low, high])].sort((a, b) => a - b)) kept.push(stretch[index]!);
  }
  const last = points.at(-1)!;
  if (kept.at(-1) !== last) kept.push(last);
  return kept;
}
