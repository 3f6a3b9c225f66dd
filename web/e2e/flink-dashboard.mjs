// Opens every page of Flink's dashboard beside a running job, whose REST API answers it, and tells what goes wrong.
// `npm run flink-dashboard -- DIR`, where DIR is `web/` of Flink's archive flink-runtime-web, and REFLOW_TOP_SPEED_WINDOWING
// the executable of the README's job.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, resolve, sep } from "node:path";
import { launch, open } from "./browser.mjs";
import { startJob, until } from "./cluster.mjs";

/** What is no fault: calls that docs/web.md leaves out, and logs, for which a job in the foreground has no files. */
const EXPECTED = [/^404 .*\/(profiler|jars|log|stdout)$/, /^asks blob:/];

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

/** Serves the files of the dashboard, and passes all else on to the JobManager, as a reverse proxy does. */
async function serveBeside(directory, cluster) {
  const root = resolve(directory);
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const file = join(root, pathname === "/" ? "index.html" : pathname);
    try {
      if (!file.startsWith(root + sep)) throw new Error("outside");
      const body = readFileSync(file);
      response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" }).end(body);
      return;
    } catch {}
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    try {
      const answer = await fetch(cluster.url + request.url, {
        method: request.method,
        headers: { "content-type": request.headers["content-type"] ?? "application/json" },
        body: chunks.length > 0 ? Buffer.concat(chunks) : undefined,
      });
      const body = Buffer.from(await answer.arrayBuffer());
      response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" }).end(body);
    } catch {
      // The job has ended, and the page still asks.
      response.writeHead(502).end();
    }
  });
  await new Promise((listens) => server.listen(0, "127.0.0.1", listens));
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}

/** The addresses of all pages of a running job, within the dashboard. */
function pages(job, vertices, taskManager) {
  const below = (path, names) => names.split(" ").map((name) => `${path}/${name}`);
  const vertex = (id) =>
    below(
      `job/running/${job}/overview/${id}`,
      "detail subtasks taskmanagers watermarks accumulators metrics backpressure flamegraph",
    );
  return [
    "overview",
    "submit",
    "job/running",
    "job/completed",
    ...below("job-manager", "metrics config logs stdout log thread-dump profiler"),
    "task-manager",
    ...below(`task-manager/${taskManager}`, "metrics logs stdout log-list thread-dump profiler"),
    ...below(`job/running/${job}`, "overview timeline exceptions dataskew checkpoints configuration rescales"),
    ...vertices.flatMap(vertex),
    ...below(`application/running/${job}`, "overview exceptions"),
  ];
}

const [directory] = process.argv.slice(2);
if (!directory) throw new Error("name the directory `web` of Flink's archive flink-runtime-web");

const cluster = await startJob("-Dexecution.checkpointing.interval=1s");
const dashboard = await serveBeside(directory, cluster);
const browser = await launch();
try {
  const { jobs } = await cluster.json("jobs/overview");
  const job = await cluster.json(`jobs/${jobs[0].jid}`);
  const { taskmanagers } = await cluster.json("taskmanagers");
  const { page, complaints } = await open(browser, dashboard.url);
  const faults = new Map();
  const all = pages(
    job.jid,
    job.vertices.map(({ id }) => id),
    taskmanagers[0].id,
  );
  for (const path of all) {
    complaints.length = 0;
    // A user closes the panel of one vertex before that of another opens; otherwise the dashboard stumbles over itself.
    if (path.endsWith("/detail"))
      await page.evaluate((hash) => (location.hash = hash), `#/job/running/${job.jid}/overview`);
    await page.evaluate((hash) => (location.hash = hash), `#/${path}`);
    await page.waitForLoadState("networkidle");
    // Long enough for the dashboard to ask once more, which it does every three seconds.
    await page.waitForTimeout(3_500);
    const place = await page.evaluate(() => location.hash);
    if (!place.startsWith(`#/${path}`)) complaints.push(`leads to ${place}`);
    if (process.env.SCREENSHOTS) {
      await page.screenshot({ path: join(process.env.SCREENSHOTS, `${path.replaceAll("/", "-")}.png`) });
    }
    const told = new Set(complaints.filter((it) => !EXPECTED.some((pattern) => pattern.test(it))));
    if (told.size > 0) faults.set(path, [...told]);
  }
  // Cancelling, as its button asks for it.
  const cancelled = await fetch(`${dashboard.url}/jobs/${job.jid}/yarn-cancel`);
  if (cancelled.status !== 202) faults.set("cancel", [`${cancelled.status}`]);
  await until("the job is cancelled", async () => (await cluster.json(`jobs/${job.jid}`)).state !== "RUNNING");

  for (const [path, told] of faults) console.log(`${path}\n  ${told.join("\n  ")}`);
  console.log(`${all.length} pages, ${faults.size} with faults`);
  process.exitCode = faults.size > 0 ? 1 : 0;
} finally {
  await browser.close();
  dashboard.stop();
  await cluster.stop();
}
