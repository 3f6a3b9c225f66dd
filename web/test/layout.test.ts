import { expect, test } from "vitest";
import { BOX, type Edge, layersOf, layout } from "../src/layout";

/** `a>b a>c` as edges. */
const edges = (text: string): Edge[] =>
  text
    .split(" ")
    .filter(Boolean)
    .map((edge) => {
      const [from = "", to = ""] = edge.split(">");
      return { from, to, label: "HASH" };
    });

const idsOf = (text: string) => [...new Set(text.split(/[ >]/).filter(Boolean))];

const layers = (text: string) => Object.fromEntries(layersOf(idsOf(text), edges(text)));

/** Whether a level line at the height of a lane meets a vertex of a layer between. */
function overlaps(text: string): boolean {
  const { places } = layout(idsOf(text), edges(text));
  const all = [...places.values()];
  return all.some((one) =>
    all.some((other) => one !== other && one.x === other.x && Math.abs(one.y - other.y) < BOX.height),
  );
}

test("a vertex lies right of all it reads from", () => {
  expect(layers("a>b b>c a>c")).toEqual({ a: 0, b: 1, c: 2 });
  expect(layers("a>d b>c c>d")).toEqual({ a: 0, d: 2, b: 0, c: 1 });
});

test("a cycle is cut instead of followed for ever", () => {
  const found = layersOf(["a", "b", "c"], edges("a>b b>c c>a"));
  expect(found.size).toBe(3);
});

test("nothing overlaps", () => {
  for (const text of ["a>b", "a>c b>c", "a>b a>c a>d b>e c>e d>e", "a>b b>c c>d a>d", "a>d b>d c>d d>e d>f d>g a>g"]) {
    expect(overlaps(text), text).toBe(false);
  }
});

test("a chain is level", () => {
  const { places, width, height } = layout(["a", "b", "c"], edges("a>b b>c"));
  expect(new Set([...places.values()].map((place) => place.y)).size).toBe(1);
  expect(height).toBe(BOX.height);
  expect(width).toBeGreaterThan(3 * BOX.width);
});

test("an edge past a layer runs beside its vertices", () => {
  const { places, routes } = layout(["a", "b", "c"], edges("a>b b>c a>c"));
  const long = routes.find((route) => route.from === "a" && route.to === "c")!;
  // The level part through b's layer.
  const lane = Number(/L\d+(?:\.\d+)? (-?[\d.]+)/.exec(long.path)?.[1]);
  const b = places.get("b")!;
  expect(lane < b.y || lane > b.y + BOX.height).toBe(true);
});

test("edges that could cross do not", () => {
  const { places } = layout(["a", "b", "x", "y"], edges("a>y b>x"));
  const y = (id: string) => places.get(id)!.y;
  expect((y("a") - y("b")) * (y("y") - y("x"))).toBeGreaterThan(0);
});

test("the same graph lies the same", () => {
  const text = "a>c b>c c>d c>e d>f e>f a>f";
  expect(layout(idsOf(text), edges(text))).toEqual(layout(idsOf(text), edges(text)));
});

test("nothing is an empty picture", () => {
  expect(layout([], [])).toEqual({ places: new Map(), routes: [], width: 0, height: 0 });
});

test("an edge to what is not there is left out", () => {
  expect(layout(["a"], edges("a>b z>a")).routes).toEqual([]);
});

test("200 vertices take no time that is felt", () => {
  const ids = Array.from({ length: 200 }, (_, number) => `${number}`);
  const many = ids.flatMap((to, number) =>
    [number - 8, number - 9].filter((from) => from >= 0).map((from) => ({ from: `${from}`, to, label: "HASH" })),
  );
  const start = performance.now();
  const { places } = layout(ids, many);
  expect(places.size).toBe(200);
  expect(performance.now() - start).toBeLessThan(500);
});
