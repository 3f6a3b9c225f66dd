import { expect, test } from "vitest";
import { areaPath, linePath, thinned, ticks, timeTicks, wholeTicks } from "../src/scale";
import { skewOf } from "../src/skew";

test("labels are round, and reach over the greatest value", () => {
  expect(ticks(100)).toEqual([0, 50, 100]);
  expect(ticks(0.9)).toEqual([0, 0.5, 1]);
  expect(ticks(4_800)).toEqual([0, 2000, 4000, 6000]);
  expect(ticks(0)).toEqual([0, 1]);
  for (const max of [1, 3, 7, 11, 99, 101, 12_345, 1e9]) {
    const labels = ticks(max);
    expect(labels.at(-1)!).toBeGreaterThanOrEqual(max);
    expect(labels.length).toBeLessThanOrEqual(6);
  }
});

test("what is counted has whole labels", () => {
  expect(wholeTicks(0)).toEqual([0, 1]);
  expect(wholeTicks(2)).toEqual([0, 1, 2]);
  for (const max of [1, 3, 7, 64, 100]) {
    expect(wholeTicks(max).every(Number.isInteger)).toBe(true);
    expect(wholeTicks(max).at(-1)!).toBeGreaterThanOrEqual(max);
  }
});

test("times are round", () => {
  const at = new Date(2026, 10, 26, 12, 0, 7).getTime();
  const found = timeTicks(at, at + 600_000, 6).map((t) => new Date(t));
  expect(found.length).toBeGreaterThan(2);
  expect(found.length).toBeLessThanOrEqual(6);
  for (const t of found) expect([t.getSeconds(), t.getMinutes() % 2]).toEqual([0, 0]);
});

test("a line breaks where a value is missing", () => {
  const points = [
    { x: 0, y: 1 },
    { x: 1, y: 2 },
    { x: 2, y: null },
    { x: 3, y: 4 },
  ];
  expect(linePath(points, false)).toBe("M0.0 1.0L1.0 2.0M3.0 4.0");
  expect(linePath(points, true)).toBe("M0.0 1.0H1.0V2.0M3.0 4.0");
  expect(areaPath(points, 9, false)).toBe("M0.0 1.0L1.0 2.0V9.0H0.0ZM3.0 4.0V9.0H3.0Z");
});

test("thinning keeps first, last and all peaks", () => {
  const points = Array.from({ length: 5000 }, (_, x) => ({ x, y: x === 1234 ? 99 : x === 4321 ? -99 : 0 }));
  const kept = thinned(points, 300, (point) => point.y);
  expect(kept.length).toBeLessThanOrEqual(301);
  expect(kept[0]).toBe(points[0]);
  expect(kept.at(-1)).toBe(points.at(-1));
  expect(kept).toContain(points[1234]);
  expect(kept).toContain(points[4321]);
  expect(thinned(points.slice(0, 10), 300, (point) => point.y)).toHaveLength(10);
});

test("skew is the greatest over the mean", () => {
  expect(skewOf([5, 5, 5])).toBe(1);
  expect(skewOf([0, 0, 9])).toBe(3);
  expect(skewOf([4])).toBeNull();
  expect(skewOf([0, 0])).toBeNull();
});
