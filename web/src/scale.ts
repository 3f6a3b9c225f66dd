// Which values of a scale get a label.

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
