import { expect, test } from "vitest";
import { ticks, wholeTicks } from "../src/scale";
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

test("skew is the greatest over the mean", () => {
  expect(skewOf([5, 5, 5])).toBe(1);
  expect(skewOf([0, 0, 9])).toBe(3);
  expect(skewOf([4])).toBeNull();
  expect(skewOf([0, 0])).toBeNull();
});
