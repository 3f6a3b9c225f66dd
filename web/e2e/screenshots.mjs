// Takes the screenshots of the documentation: `node e2e/screenshots.mjs DIRECTORY`. Over the README's job, whose
// history is made first: a rescale down and up again; graph and exceptions over a made-up cluster, which has more of
// both.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launch, open, visit } from "./browser.mjs";
import { startJob, startMadeUp, until } from "./cluster.mjs";

const directory = process.argv[2];
if (!directory) throw new Error("which directory?");
mkdirSync(directory, { recursive: true });

const browser = await launch();
const cluster = await startJob();
const madeUp = await startMadeUp();
try {
  const { jid } = (await cluster.json("jobs/overview")).jobs[0];
  const job = () => cluster.json(`jobs/${jid}`);
  for (const parallelism of [1, 2]) {
    const bounds = (await job()).vertices.map((vertex) => [
      vertex.id,
      { parallelism: { lowerBound: 1, upperBound: parallelism } },
    ]);
    // Some time in between, to be seen on the time line.
    const since = (await job()).now;
    await until("time passes", async () => (await job()).now - since > 20_000);
    await fetch(`${cluster.url}/jobs/${jid}/resource-requirements`, {
      method: "PUT",
      body: JSON.stringify(Object.fromEntries(bounds)),
    });
    await until("the rescale", async () =>
      (await job()).vertices.every((vertex) => vertex.parallelism === parallelism),
    );
  }
  const since = (await job()).now;
  await until("time passes", async () => (await job()).now - since > 15_000);
  const rescale = (await cluster.json(`jobs/${jid}/rescales/history`)).find(
    (it) => it.terminalState === "COMPLETED",
  ).rescaleUuid;
  const many = (await madeUp.json("jobs/overview")).jobs.find((it) => it.state === "RUNNING").jid;
  const vertex = (await madeUp.json(`jobs/${many}`)).vertices[4].id;
  const manager = (await cluster.json("taskmanagers")).taskmanagers[0].id;
  const shots = [
    ["overview", cluster, "overview"],
    ["graph", madeUp, `graph/${vertex}`],
    ["timeline", cluster, `timeline/${rescale}`],
    ["checkpoints", cluster, "checkpoints"],
    ["exceptions", madeUp, "exceptions"],
    ["taskmanagers", cluster, `taskmanagers/${manager}`],
    ["configuration", cluster, "configuration"],
  ];
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, server, path] of shots) {
      const { page, close } = await open(browser, server.url, { colorScheme, viewport: { width: 1280, height: 800 } });
      await visit(page, path);
      await page.waitForFunction(() => !document.querySelector("main .loading"));
      await page.evaluate(() => document.fonts.ready);
      const height = Math.min(
        name === "timeline" ? 1380 : 1100,
        await page.evaluate(() => document.documentElement.scrollHeight),
      );
      await page.setViewportSize({ width: 1280, height: Math.max(720, height) });
      await page.screenshot({ path: join(directory, `${name}-${colorScheme}.png`) });
      await close();
    }
  }
  const { page, close } = await open(browser, cluster.url, { viewport: { width: 360, height: 740 } });
  await visit(page, "overview");
  await page.waitForSelector(".vertex");
  await page.screenshot({ path: join(directory, "narrow.png") });
  await close();
} finally {
  await browser.close();
  await cluster.stop();
  await madeUp.stop();
}
