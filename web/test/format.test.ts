import { describe, expect, test } from "vitest";
import {
  bytes,
  count,
  duration,
  eventLag,
  iso,
  micros,
  moment,
  percent,
  plural,
  rate,
  whole,
  words,
} from "../src/format";

/** With ordinary spaces, as they read. */
const plain = (text: string) => text.replace(/[\u00a0\u202f]/g, " ");

const check = (cases: [string, string][]) => {
  for (const [found, expected] of cases) expect(plain(found)).toBe(expected);
};

test("counts have three digits that matter", () => {
  check([
    [count(0), "0"],
    [count(2.5), "2.5"],
    [count(12.3), "12"],
    [count(999), "999"],
    [count(999.6), "1.00 k"],
    [count(1234), "1.23 k"],
    [count(48_210), "48.2 k"],
    [count(7_654_321), "7.65 M"],
    [count(-1500), "-1.50 k"],
    [rate(100), "100/s"],
    [whole(32_768), "32 768"],
    [whole(16), "16"],
    [whole(1_000_000), "1 000 000"],
  ]);
});

test("bytes are counted by 1024", () => {
  check([
    [bytes(0), "0 B"],
    [bytes(1023), "1023 B"],
    [bytes(1024), "1.00 KiB"],
    [bytes(1000), "1000 B"],
    [bytes(1536), "1.50 KiB"],
    [bytes(25_276_510_208), "23.5 GiB"],
    [bytes(-1), "–"],
  ]);
});

test("durations have two units at most", () => {
  check([
    [duration(0), "0 ms"],
    [duration(0.136), "0.14 ms"],
    [duration(341), "341 ms"],
    [duration(1500), "1.5 s"],
    [duration(9_960), "10 s"],
    [duration(59_990), "59 s"],
    [duration(60_000), "1 min 0 s"],
    [duration(83_000), "1 min 23 s"],
    [duration(3_600_000), "1 h 0 min"],
    [duration(90_000_000), "1 d 1 h"],
    [duration(-1), "–"],
    [micros(136), "136 µs"],
    [micros(2500), "3 ms"],
  ]);
});

test("what is unknown is a dash", () => {
  for (const format of [count, rate, bytes, duration, percent, whole]) {
    for (const value of [null, undefined, Number.NaN]) expect(format(value)).toBe("–");
  }
});

describe("moments", () => {
  const noon = new Date(2026, 10, 26, 12, 0, 5).getTime();

  test("have a date only on another day", () => {
    expect(moment(noon, noon)).toBe("12:00:05");
    expect(moment(noon - 86_400_000, noon)).not.toBe("12:00:05");
    expect(moment(-1, noon)).toBe("–");
  });

  test("beyond all dates are no error", () => {
    expect(iso(-9.2e18)).toBe("–");
    expect(moment(9.2e18, noon)).toBe("–");
    expect(iso(0)).toBe("1970-01-01T00:00:00.000Z");
  });

  test("event time is behind the clock, or not of this clock", () => {
    check([
      [eventLag(1500), "1.5 s behind"],
      [eventLag(-20), "20 ms ahead"],
      [eventLag(1.7e12), "own event time"],
      [eventLag(9.2e18), "no watermark yet"],
      [eventLag(-9.2e18), "at its end"],
    ]);
  });
});

test("names of states as words", () => {
  expect(words("JOB_FAILOVER_RESTARTING")).toBe("job failover restarting");
  expect(words("WaitingForResources")).toBe("waiting for resources");
  check([
    [plural(1, "slot"), "1 slot"],
    [plural(2, "slot"), "2 slots"],
    [plural(2, "vertex", "vertices"), "2 vertices"],
  ]);
});
