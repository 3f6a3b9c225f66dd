// What the page is tried against: processes that serve it, started on a free port and ended with the test.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Waits until `condition` gives something, and gives that; asks again and again for as long as `ms`. */
export async function until(what, condition, ms = 60_000) {
  const end = Date.now() + ms;
  let last;
  while (Date.now() < end) {
    try {
      const found = await condition();
      if (found) return found;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not within ${ms} ms: ${what}${last ? ` (${last.message})` : ""}`);
}

async function start(executable, argumentsAt, ready) {
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), "reflow-web-"));
  let output = "";
  const child = spawn(executable, argumentsAt(port, directory), { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
  const keep = (data) => (output = (output + data).slice(-20_000));
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const url = `http://localhost:${port}`;
  const server = {
    url,
    directory,
    ended,
    json: async (path) => (await fetch(`${url}/${path}`)).json(),
    pause: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
    stop: async () => {
      child.kill("SIGKILL");
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
  try {
    await until(`${executable} answers`, async () => {
      if (child.exitCode !== null) throw new Error(`it ended: ${output}`);
      return ready(server);
    });
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

function executable(name) {
  const path = process.env[name];
  if (!path) throw new Error(`${name} names no executable; \`cargo xtask web\` builds them and says where they are`);
  return path;
}

/** The README's job on a cluster inside one process, with the distribution's defaults, when it runs at parallelism 2 and has figures. */
export const startJob = (...options) =>
  start(
    executable("REFLOW_TOP_SPEED_WINDOWING"),
    (port, directory) => [
      "run",
      `-Drest.port=${port}`,
      `-Dexecution.checkpointing.dir=${directory}/checkpoints`,
      ...options,
    ],
    async (server) => {
      const { jobs } = await server.json("jobs/overview");
      const job = await server.json(`jobs/${jobs[0].jid}`);
      return job.vertices.every(
        (it) => it.parallelism === 2 && it.status === "RUNNING" && it.metrics["write-records"] > 0,
      );
    },
  );

/** A made-up cluster, whose names try to be markup. */
export const startMadeUp = () =>
  start(
    executable("REFLOW_MADE_UP_CLUSTER"),
    (port) => [`${port}`],
    async (server) => (await server.json("overview")).taskmanagers > 0,
  );
