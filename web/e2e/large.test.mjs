// A job of 200 vertices with 100 subtasks each: answers are made up here, the page and the browser are real.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, visit } from "./browser.mjs";
import { startMadeUp } from "./cluster.mjs";

const VERTICES = 200;
const SUBTASKS = 100;
/** Layers of a graph that branches and joins. */
const WIDTH = 8;

let browser;
let cluster;

before(async () => {
  cluster = await startMadeUp();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await cluster?.stop();
});

const id = (number) => number.toString(16).padStart(32, "0");

function largeJob(pattern, parallelism) {
  const numbers = Array.from({ length: VERTICES }, (_, number) => number);
  const vertices = numbers.map((number) => ({
    ...pattern.vertices[0],
    id: id(number),
    name: `Operator ${number} -> map -> filter`,
    parallelism,
    tasks: { ...pattern.vertices[0].tasks, RUNNING: parallelism },
    status: "RUNNING",
  }));
  const nodes = numbers.map((number) => ({
    id: id(number),
    inputs: [number - WIDTH, number - WIDTH - 1 - (number % 3)]
      .filter((from) => from >= 0)
      .map((from) => ({ id: id(from), ship_strategy: "HASH" })),
  }));
  return { ...pattern, vertices, plan: { ...pattern.plan, nodes } };
}

test(`a job of ${VERTICES} × ${SUBTASKS} stays smooth`, async () => {
  const { page, complaints, close } = await open(browser, cluster.url, { reducedMotion: "no-preference" });
  const { jobs } = await cluster.json("jobs/overview");
  const jid = jobs.find((job) => job.state === "RUNNING").jid;
  const pattern = await cluster.json(`jobs/${jid}`);
  let polls = 0;
  await page.route(new RegExp(`/jobs/${jid}(\\?.*)?$`), (route) => {
    polls += 1;
    return route.fulfill({ json: { ...largeJob(pattern, SUBTASKS - (polls % 2)), now: pattern.now + polls * 1000 } });
  });
  await page.route(/\/vertices\/[0-9a-f]+\/subtasks\/metrics/, (route) => {
    const metric = (name, value) => ({ id: name, min: value, max: value, avg: value, sum: value * SUBTASKS });
    return route.fulfill({
      json: [
        metric("numRecordsInPerSecond", 1000 + Math.random() * 500),
        metric("numRecordsOutPerSecond", 1000 + Math.random() * 500),
        metric("busyTimeMsPerSecond", Math.random() * 700),
        metric("backPressuredTimeMsPerSecond", Math.random() * 300),
        metric("idleTimeMsPerSecond", 100),
      ],
    });
  });
  const sizes = Array.from({ length: SUBTASKS }, (_, index) => ({
    index,
    status: "completed",
    state_size: index * 1000,
  }));
  await page.route(/\/vertices\/[0-9a-f]+\/metrics\?get=/, (route) => {
    const names = new URL(route.request().url()).searchParams.get("get").split(",");
    return route.fulfill({ json: names.map((name) => ({ id: name, value: `${Math.random() * 1000}` })) });
  });
  await page.route(/\/checkpoints\/details\/\d+\/subtasks\//, (route) => route.fulfill({ json: { subtasks: sizes } }));
  await page.route(/\/vertices\/[0-9a-f]+(\/backpressure)?$/, (route) => {
    const subtasks = Array.from({ length: SUBTASKS }, (_, subtask) => ({
      subtask,
      ratio: 0.1,
      idleRatio: 0.2,
      busyRatio: Math.random(),
      status: "RUNNING",
      endpoint: "localhost:1",
      "taskmanager-id": id(1),
      "start-time": 0,
      metrics: { "read-records": Math.round(Math.random() * 1e6), "write-records": 1 },
    }));
    return route.fulfill({ json: { subtasks } });
  });
  await visit(page, "graph");
  await page.getByText(`${VERTICES} vertices`).waitFor();
  await page.getByRole("button", { name: "Show all" }).click();
  await page.waitForFunction((count) => document.querySelectorAll(".vertex").length === count, VERTICES);
  // Dragged for some seconds, over several answers: how long does a frame take?
  const box = await page.locator(".graph").boundingBox();
  await page.evaluate(() => {
    const frames = [];
    window.frameTimes = frames;
    let last = performance.now();
    const frame = (now) => {
      frames.push(now - last);
      last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  const before = polls;
  await page.mouse.move(box.x + 400, box.y + 300);
  await page.mouse.down();
  for (let step = 0; step < 240; step += 1) {
    await page.mouse.move(box.x + 400 + 200 * Math.sin(step / 20), box.y + 300 + 100 * Math.cos(step / 20));
  }
  await page.mouse.up();
  await page.waitForFunction(() => window.frameTimes.length > 90);
  const frames = (await page.evaluate(() => window.frameTimes)).sort((one, other) => one - other);
  const at = (share) => frames[Math.floor(frames.length * share)];
  console.log(
    `frames: ${frames.length}, median ${at(0.5).toFixed(1)} ms, 95 % ${at(0.95).toFixed(1)} ms, longest ${frames.at(-1).toFixed(0)} ms; ${polls - before} answers meanwhile`,
  );
  assert.ok(at(0.5) < 50, `half of the frames took longer than ${at(0.5)} ms`);
  // A vertex opens with all its subtasks.
  await page.locator(".vertex").first().focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction((count) => document.querySelectorAll(".vertex-panel tbody tr").length === count, SUBTASKS);
  assert.deepEqual(complaints, []);
  await close();
});
