import { expect, test } from "vitest";
import { href, parse } from "../src/route";

test("an address is read as it is written", () => {
  for (const [view, item, job] of [
    ["graph", "a/b c%", "7"],
    ["timeline", null, null],
    ["checkpoints", "12", null],
  ] as const) {
    expect(parse(href(view, item, job))).toEqual({ view, item, job });
  }
});

test("what names no view is the overview", () => {
  for (const hash of ["", "#", "#/", "#/nonsense", "#/%"]) expect(parse(hash).view).toBe("overview");
});
