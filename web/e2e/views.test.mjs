// The page over a cluster that runs: each view, its values against REST's, and what its buttons do.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { launch, open, visit } from "./browser.mjs";
import { startJob, until } from "./cluster.mjs";

const VIEWS = ["overview", "graph", "timeline", "checkpoints", "exceptions", "taskmanagers", "configuration"];

let browser;
let cluster;
let job;

before(async () => {
  cluster = await startJob();
  browser = await launch();
  job = (await cluster.json("jobs/overview")).jobs[0];
});

after(async () => {
  await browser?.close();
  await cluster?.stop();
});

const text = (page, selector) => page.locator(selector).innerText();
const path = (rest = "") => `jobs/${job.jid}${rest}`;

/** Holds as soon as page and REST say the same: both move on, so both are asked until they agree. */
const agrees = (what, shown, told) =>
  until(
    what,
    async () => {
      const [page, rest] = [await shown(), await told()];
      if (page !== rest) throw new Error(`the page says ${JSON.stringify(page)}, REST ${JSON.stringify(rest)}`);
      return true;
    },
    20_000,
  );

test("every view opens, without a complaint, and nothing is asked elsewhere", async () => {
  const { page, complaints, close } = await open(browser, cluster.url);
  for (const view of VIEWS) {
    await visit(page, view);
    await page.waitForSelector(`nav a[aria-current=page][href^="#/${view}"]`);
    await page.waitForFunction(() => !document.querySelector("main .loading"));
    assert.ok((await text(page, "main")).length > 20, view);
  }
  assert.deepEqual(complaints, []);
  await close();
});

test("the policy forbids what the page does not need", async () => {
  const response = await fetch(`${cluster.url}/`);
  const policy = response.headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  const { page, complaints, close } = await open(browser, cluster.url);
  await page.waitForSelector(".tile");
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
    return window.ran === true;
  });
  assert.equal(ran, false);
  assert.ok(
    complaints.some((it) => it.includes("Content Security Policy")),
    "the browser must tell of it",
  );
  await close();
});

test("the whole page weighs less than 300 kB", async () => {
  const read = async (file) => (await fetch(`${cluster.url}/${file}`)).text();
  const index = await read("index.html");
  const files = [...index.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map((match) => match[1]);
  assert.equal(files.length, 3, `${files}`);
  const sizes = await Promise.all(files.map(async (file) => (await read(file)).length));
  const total = sizes.reduce((sum, size) => sum + size, index.length);
  assert.ok(total > 20_000 && total < 300_000, `${total} bytes`);
});

test("the overview's values are REST's", async () => {
  const { page, complaints, close } = await open(browser, cluster.url);
  await page.waitForSelector("[data-tile=state]");
  assert.equal(await text(page, "header h1"), job.name);
  const tile = (id) => () => text(page, `[data-tile=${id}]`);
  const state = async () => (await cluster.json(path())).state.toLowerCase();
  await agrees("state", async () => (await tile("state")()).toLowerCase(), state);
  await agrees(
    "parallelism",
    tile("parallelism"),
    async () => `${Math.max(...(await cluster.json(path())).vertices.map((it) => it.parallelism))}`,
  );
  await agrees("slots", tile("slots"), async () => {
    const overview = await cluster.json("overview");
    return `${overview["slots-total"] - overview["slots-available"]} / ${overview["slots-total"]}`;
  });
  await agrees(
    "rescales",
    tile("rescales"),
    async () => (await cluster.json(path("/metrics?get=numRescales")))[0].value,
  );
  await agrees("throughput", tile("throughput"), async () => {
    const { points } = await cluster.json(path("/timeline"));
    return `${Math.round(points.at(-1)["records-in-per-second"])}/s`;
  });
  assert.equal(await page.title(), `${job.name} · running · Reflow`);
  assert.deepEqual(complaints, []);
  await close();
});

test("the graph shows each vertex of the plan with its subtasks", async () => {
  const { page, complaints, close } = await open(browser, cluster.url);
  await visit(page, "graph");
  const { vertices, plan } = await cluster.json(path());
  await page.waitForSelector(".vertex .cell");
  assert.equal(await page.locator(".vertex").count(), vertices.length);
  for (const vertex of vertices) {
    const box = page.locator(`[data-vertex="${vertex.id}"]`);
    assert.equal(await box.locator(".cell").count(), vertex.parallelism);
    assert.equal((await box.locator(".parallelism").innerText()).replace(/\s/g, ""), `×${vertex.parallelism}`);
    assert.equal(await box.locator(".name").getAttribute("title"), vertex.name);
  }
  const edges = plan.nodes.flatMap((node) => node.inputs ?? []);
  assert.equal(await page.locator(".edge").count(), edges.length);
  assert.equal(await page.locator("g.flows text").first().textContent(), edges[0].ship_strategy.toLowerCase());
  // Left to right: what reads from another lies to the right of it.
  const x = async (id) => (await page.locator(`[data-vertex="${id}"]`).boundingBox()).x;
  for (const node of plan.nodes)
    for (const input of node.inputs ?? []) assert.ok((await x(input.id)) < (await x(node.id)));
  // By keyboard: to the vertex, open it, see its subtasks, close it again.
  await page.locator(`[data-vertex="${vertices[1].id}"]`).focus();
  await page.keyboard.press("Enter");
  await page.waitForSelector(".vertex-panel tbody tr");
  assert.equal(await page.locator(".vertex-panel tbody tr").count(), vertices[1].parallelism);
  await page.waitForSelector(".heat .strip span");
  assert.equal(await page.locator(".heat").first().locator(".strip span").count(), vertices[1].parallelism);
  await page.keyboard.press("Escape");
  await page.waitForSelector(".vertex-panel", { state: "detached" });
  assert.deepEqual(complaints, []);
  await close();
});

test("checkpoints are REST's, and one opens", async () => {
  const { page, complaints, close } = await open(browser, cluster.url);
  await visit(page, "checkpoints");
  await agrees(
    "the newest checkpoint",
    () => page.locator("[data-checkpoint]").first().getAttribute("data-checkpoint"),
    async () => `${(await cluster.json(path("/checkpoints"))).history[0].id}`,
  );
  await page.locator("[data-checkpoint] .line").first().click();
  await page.waitForSelector(".detail tbody tr");
  const opened = await page.locator("li.opened").getAttribute("data-checkpoint");
  const detail = await cluster.json(path(`/checkpoints/details/${opened}`));
  assert.equal(await page.locator(".detail tbody tr").count(), Object.keys(detail.tasks).length);
  assert.deepEqual(complaints, []);
  await close();
});

test("TaskManagers and the configuration are REST's", async () => {
  const { page, complaints, close } = await open(browser, cluster.url);
  await visit(page, "taskmanagers");
  const { taskmanagers } = await cluster.json("taskmanagers");
  await page.waitForSelector("[data-taskmanager]");
  assert.equal(await page.locator("[data-taskmanager]").count(), taskmanagers.length);
  for (const manager of taskmanagers) {
    const line = page.locator(`[data-taskmanager="${manager.id}"]`);
    assert.match(
      await line.innerText(),
      new RegExp(`${manager.path}[^]*${manager.slotsNumber - manager.freeSlots} / ${manager.slotsNumber}`),
    );
  }
  await page.locator("[data-taskmanager] .line").first().click();
  await page.waitForSelector(".detail .bar");
  const first = await page.locator("[data-taskmanager]").first().getAttribute("data-taskmanager");
  const { hardware } = await cluster.json(`taskmanagers/${first}`);
  assert.match(await text(page, ".detail"), new RegExp(`memory in use[^]*cores\\s+${hardware.cpuCores}\\b`));
  await page.locator(".detail .logs summary").click();
  await page.waitForSelector(".detail .logs:has-text('started in the foreground')");
  await visit(page, "configuration");
  const entries = await cluster.json("jobmanager/config");
  await page.waitForSelector("tbody tr");
  assert.equal(await page.locator('[aria-label="Cluster\'s configuration"] tbody tr').count(), entries.length);
  await page.getByRole("searchbox").fill("rest.port");
  await until(
    "the configuration is sifted",
    async () => (await page.locator('[aria-label="Cluster\'s configuration"] tbody tr').count()) === 1,
  );
  assert.deepEqual(complaints, []);
  await close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`nothing is cut off at 360 px, ${colorScheme}`, async () => {
    const { page, complaints, close } = await open(browser, cluster.url, {
      viewport: { width: 360, height: 740 },
      colorScheme,
    });
    for (const view of VIEWS) {
      await visit(page, view);
      await page.waitForFunction(() => !document.querySelector("main .loading"));
      const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= screen, `${view} is ${content} px wide`);
    }
    const ground = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    assert.equal(ground, colorScheme === "light" ? "rgb(246, 247, 249)" : "rgb(15, 18, 23)");
    assert.deepEqual(complaints, []);
    await close();
  });
}

test("the colours can be chosen, and stay chosen", async () => {
  const { page, close } = await open(browser, cluster.url, { colorScheme: "light" });
  await page.waitForSelector(".theme");
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.locator(".theme").click();
  await page.locator(".theme").click();
  assert.equal(await ground(), "rgb(15, 18, 23)");
  await page.reload();
  await page.waitForSelector(".theme");
  assert.equal(await ground(), "rgb(15, 18, 23)");
  await close();
});

/** Opens an action's dialog, fills it in, and gives what is said when it is done or refused. */
async function act(page, name, { value, confirm, within = ".tools" } = {}) {
  await page.locator(within).getByRole("button", { name, exact: true }).click();
  const dialog = page.locator("dialog[open]");
  await dialog.waitFor();
  if (value !== undefined) await dialog.locator("input").first().fill(value);
  await dialog.locator("input:invalid").waitFor({ state: "detached" });
  await dialog.locator("button[type=submit]").click();
  const said = dialog.locator(".said.done, .said.refused");
  await said.waitFor({ timeout: 60_000 });
  const result = { text: await said.innerText(), refused: (await said.getAttribute("class")).includes("refused") };
  if (confirm !== false) {
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" }).catch(() => {});
  }
  return result;
}

test("an action asks first, and does nothing if one says no", async () => {
  const { page, complaints, close } = await open(browser, cluster.url);
  await page.waitForSelector(".tools .button");
  const sent = [];
  page.on("request", (request) => request.method() !== "GET" && sent.push(request.url()));
  for (const name of ["Rescale", "Savepoint", "Stop", "Cancel"]) {
    await page.locator(".tools").getByRole("button", { name, exact: true }).click();
    await page.locator("dialog[open]").waitFor();
    await page.getByRole("button", { name: "Not now" }).click();
    await until("the dialog is closed", async () => (await page.locator("dialog[open]").count()) === 0);
  }
  assert.deepEqual(sent, []);
  assert.deepEqual(complaints, []);
  await close();
});

test("a rescale goes through, and the time line opens it", async () => {
  const { page, complaints, close } = await open(browser, cluster.url);
  await page.waitForSelector(".tools .button");
  for (const parallelism of [1, 2]) {
    const before = (await cluster.json(path("/rescales/overview"))).rescalesCounts.completed;
    const { refused, text: said } = await act(page, "Rescale", { value: `${parallelism}` });
    assert.equal(refused, false, said);
    await until(`parallelism ${parallelism}`, async () =>
      (await cluster.json(path())).vertices.every((it) => it.parallelism === parallelism),
    );
    await agrees(
      `the tile says ${parallelism}`,
      () => text(page, "[data-tile=parallelism]"),
      async () => `${parallelism}`,
    );
    await until(
      "the rescale is told",
      async () => (await cluster.json(path("/rescales/overview"))).rescalesCounts.completed > before,
    );
  }
  const history = await cluster.json(path("/rescales/history"));
  await visit(page, "timeline");
  const newest = history.find((it) => it.terminalState === "COMPLETED");
  const line = page.locator(`[data-rescale="${newest.rescaleUuid}"]`);
  await line.locator(".line").click();
  const detail = await cluster.json(path(`/rescales/details/${newest.rescaleUuid}`));
  await line.locator(".phases li").first().waitFor();
  assert.equal(await line.locator(".phases li.live").count(), detail.liveRescale.phases.length);
  assert.ok((await line.innerText()).includes("1 → 2"));
  assert.equal(
    await page.locator(`.chart a[href*="${newest.rescaleUuid}"]`).count(),
    1,
    "it is marked on the time line",
  );
  assert.deepEqual(complaints, []);
  await close();
});

test("a savepoint is taken", async () => {
  const { page, close } = await open(browser, cluster.url);
  await page.waitForSelector(".tools .button");
  const { refused, text: said } = await act(page, "Savepoint");
  assert.equal(refused, false, said);
  assert.match(said, /^Complete: /);
  const directory = `${cluster.directory}/checkpoints/savepoints`;
  assert.ok(readdirSync(directory).some((name) => name.startsWith("savepoint-")));
  await close();
});

test("a refusal is shown in the server's words", async () => {
  const { page, close } = await open(browser, cluster.url);
  await page.waitForSelector(".tools .button");
  const { refused, text: said } = await act(page, "Savepoint", { value: "nonsense://nowhere" });
  assert.equal(refused, true);
  assert.match(said, /nonsense/);
  await close();
});

test("what is switched off has no button", async () => {
  const other = await startJob("-Dweb.cancel.enable=false", "-Dweb.rescale.enable=false");
  try {
    const { page, close } = await open(browser, other.url);
    await page.waitForSelector(".tools .button");
    const tools = page.locator(".tools");
    assert.equal(await tools.getByRole("button", { name: "Cancel", exact: true }).count(), 0);
    assert.equal(await tools.getByRole("button", { name: "Rescale", exact: true }).count(), 0);
    assert.equal(await tools.getByRole("button", { name: "Stop", exact: true }).count(), 1);
    await visit(page, "taskmanagers");
    await page.locator("[data-taskmanager] .line").first().click();
    await page.waitForSelector(".detail");
    assert.equal(await page.getByRole("button", { name: "Drain …" }).count(), 0);
    await close();
  } finally {
    await other.stop();
  }
});

test("a lost connection is told, what was known stays, and it comes back", async () => {
  const { page, close } = await open(browser, cluster.url);
  await page.waitForSelector(".tile");
  cluster.pause();
  try {
    await page.waitForSelector(".lost", { timeout: 30_000 });
    assert.match(await text(page, ".lost"), /No answer from the JobManager for \d+ s\b/);
    assert.ok(await page.locator("main.stale [data-tile=state]").count());
  } finally {
    cluster.resume();
  }
  await page.waitForSelector(".lost", { state: "detached", timeout: 30_000 });
  await close();
  // On a busy machine the pause may be longer than the time-out of heartbeats, and the job starts again.
  const completed = async () => (await cluster.json(path("/checkpoints"))).counts.completed;
  const before = await completed();
  await until("the job runs again", async () => (await completed()) > before);
});

test("stop ends the job with a savepoint", async () => {
  const { page, close } = await open(browser, cluster.url);
  await page.waitForSelector(".tools .button");
  const directory = `${cluster.directory}/checkpoints/savepoints`;
  const before = readdirSync(directory).length;
  const { refused, text: said } = await act(page, "Stop", { confirm: false });
  assert.equal(refused, false, said);
  await cluster.ended;
  assert.equal(readdirSync(directory).length, before + 1);
  await page.waitForSelector(".lost", { timeout: 30_000 });
  await close();
});

test("a TaskManager is drained, and then the job cancelled", async () => {
  const other = await startJob(
    "-Dexecution.shutdown-on-application-finish=false",
    "-Dexecution.checkpointing.dir=memory://checkpoints",
  );
  try {
    const { page, close } = await open(browser, other.url);
    const { jid } = (await other.json("jobs/overview")).jobs[0];
    const leaving = (await other.json("taskmanagers")).taskmanagers[0].id;
    await visit(page, "taskmanagers");
    await page.locator(`[data-taskmanager="${leaving}"] .line`).click();
    const drained = await act(page, "Drain …", { within: ".detail" });
    assert.equal(drained.refused, false, drained.text);
    await until("the job runs on the other one", async () =>
      (await other.json(`jobs/${jid}`)).vertices.every((it) => it.parallelism === 1 && it.tasks.RUNNING === 1),
    );
    await page.waitForSelector(`[data-taskmanager="${leaving}"]`, { state: "detached", timeout: 60_000 });
    await visit(page, "overview");
    await page.waitForSelector(".tools .button");
    await page.locator(".tools").getByRole("button", { name: "Stop", exact: true }).click();
    await page.locator("dialog[open] input[type=text]:invalid").waitFor();
    await page.getByRole("button", { name: "Not now" }).click();
    const { refused, text: said } = await act(page, "Cancel", { confirm: false });
    assert.equal(refused, false, said);
    await until("the job that has ended is shown", async () => (await text(page, "[data-tile=state]")) === "Canceled");
    await close();
  } finally {
    await other.stop();
  }
});
