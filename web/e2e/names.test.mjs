// The page over a made-up cluster whose names try to be markup: several jobs, failures, rescales that did not go well.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, visit } from "./browser.mjs";
import { startMadeUp } from "./cluster.mjs";

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

test("names are text, whatever they hold", async () => {
  const { page, complaints, close } = await open(browser, cluster.url);
  const { jobs } = await cluster.json("jobs/overview");
  const hostile = jobs.find((job) => job.name.includes("<script>"));
  assert.ok(hostile, "the made-up job has a script for a name");
  for (const view of ["overview", "graph", "timeline", "checkpoints", "exceptions", "taskmanagers", "configuration"]) {
    await visit(page, view);
    await page.waitForFunction(() => !document.querySelector("main .loading"));
    assert.equal(await page.locator("main script, main img, main b b").count(), 0, view);
  }
  await page.waitForFunction((name) => document.title.startsWith(name), hostile.name);
  await visit(page, "graph");
  await page.waitForSelector(".vertex");
  assert.ok((await page.locator(".graph").innerText()).includes("<b>committed files</b>"));
  await visit(page, "exceptions");
  await page.waitForSelector(".failure");
  assert.ok((await page.locator(".failure pre").first().textContent()).includes("<img src=x onerror=alert(1)>"));
  assert.deepEqual(complaints, []);
  await close();
});

test("a long name fits 360 px", async () => {
  const { page, complaints, close } = await open(browser, cluster.url, { viewport: { width: 360, height: 740 } });
  await page.waitForSelector(".job select");
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360);
  const [job, theme] = await Promise.all([".job", ".theme"].map((part) => page.locator(part).boundingBox()));
  assert.ok(job.x + job.width <= theme.x, "the job lies under the button beside it");
  assert.deepEqual(complaints, []);
  await close();
});

test("another job can be chosen", async () => {
  const { page, complaints, close } = await open(browser, cluster.url);
  const { jobs } = await cluster.json("jobs/overview");
  const ended = jobs.find((job) => job.state === "FINISHED");
  await page.getByLabel("Job", { exact: true }).selectOption(ended.jid);
  await page.waitForFunction((name) => document.title === `${name} · finished · Reflow`, ended.name);
  assert.equal(await page.locator(".tools").getByRole("button", { name: "Cancel", exact: true }).count(), 0);
  assert.deepEqual(complaints, []);
  await close();
});

test("failures and failed checkpoints are marked on the time line", async () => {
  const { page, complaints, close } = await open(browser, cluster.url);
  await visit(page, "timeline");
  await page.waitForSelector(".chart .glyph.failure");
  assert.equal(await page.locator(".chart .glyph.checkpoint-failed").count(), 1);
  const { jobs } = await cluster.json("jobs/overview");
  const history = await cluster.json(`jobs/${jobs[0].jid}/rescales/history`);
  for (const { rescaleUuid } of history)
    assert.equal(await page.locator(`.chart a[href*="${rescaleUuid}"]`).count(), 1);
  await page
    .locator(".chart a", { has: page.locator(".glyph.failure") })
    .first()
    .click();
  await page.waitForSelector(".failure h3");
  assert.deepEqual(complaints, []);
  await close();
});

test("keys move the time line's cross hair, and its lines take the colours of the scheme", async () => {
  const { page, complaints, close } = await open(browser, cluster.url, { colorScheme: "light" });
  await visit(page, "timeline");
  await page.waitForSelector(".chart canvas");
  await page.locator(".chart").focus();
  await page.keyboard.press("Home");
  const first = await page.locator(".readout").innerText();
  await page.keyboard.press("End");
  assert.ok(first < (await page.locator(".readout").innerText()));
  assert.ok((await page.locator(".u-cursor-pt:not(.u-off)").count()) > 0);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".readout").innerText(), "");
  assert.deepEqual(complaints, []);
  // Chromium warns of pixels that are read twice, as here.
  const accentIsDrawn = () =>
    page.waitForFunction(() => {
      const canvas = document.querySelector(".chart canvas");
      const accent = getComputedStyle(document.querySelector(".panel .accent")).color.match(/\d+/g).map(Number);
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      // An edge is drawn in the same colour, but lets the ground through.
      const same = (at) => accent.every((value, channel) => Math.abs(data[at + channel] - value) < 4);
      return data.some((_, at) => at % 4 === 0 && data[at + 3] > 128 && same(at));
    });
  await accentIsDrawn();
  await page.emulateMedia({ colorScheme: "dark" });
  await accentIsDrawn();
  await page.locator(".theme").click();
  await accentIsDrawn();
  await close();
});
