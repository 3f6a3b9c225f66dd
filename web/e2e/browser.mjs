// A real Chromium, and pages in it that keep what they complain about.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export async function launch() {
  const executablePath = process.env.CHROMIUM ?? PATHS.find((path) => existsSync(path));
  if (!executablePath)
    throw new Error("there is no Chromium; on Debian: `apt-get install chromium`, or set CHROMIUM to its path");
  // As root, as in many containers, Chromium does not run in its sandbox. It opens nothing but our own page.
  return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] });
}

/** A page, and the list of what went wrong in it: errors of scripts, of the policy, of requests; requests elsewhere. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    reducedMotion: "reduce",
    ...options,
  });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (!["error", "warning"].includes(message.type())) return;
    // A file that is not there is told by `response`, with its address.
    if (!message.text().startsWith("Failed to load resource")) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("dialog", (dialog) => complaints.push(`a dialog of the browser: ${dialog.message()}`));
  page.on("response", (response) => {
    const path = new URL(response.url()).pathname;
    if (response.status() >= 400) complaints.push(`${response.status()} ${path}`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) complaints.push(`asks ${request.url()}`);
  });
  await page.goto(`${url}/`);
  return { page, complaints, close: () => context.close() };
}

/** Goes to a view by its address within the page. */
export async function visit(page, path) {
  await page.evaluate((hash) => (location.hash = hash), `#/${path}`);
  await page.waitForSelector("main .card");
}
