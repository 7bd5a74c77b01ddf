// Opens reports in Chromium as a reader does, from files, and fails where something of them does not serve.
//
//     node check.mjs OUT REPORT…
//
// Screenshots go to OUT: light, dark, of a phone's width.

import { chromium } from "playwright-core";
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [out, ...reports] = process.argv.slice(2);
mkdirSync(out, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const megabytes = (n) => (n / 1e6).toFixed(2) + " MB";
const faults = [];
let opened = "";
const demand = (holds, what) => {
  if (!holds) faults.push(`${opened}: ${what}`);
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

// A page of its own context; whatever it asks of anyone but its file, and whatever its console says, is a fault.
async function open(file, options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const address = pathToFileURL(resolve(file)).href;
  page.on("console", (message) => demand(message.type() !== "error", `console: ${message.text()}`));
  page.on("pageerror", (error) => demand(false, `script: ${error.message}`));
  page.on("request", (request) =>
    demand(request.url() === address || request.url().startsWith("data:"), `asks for ${request.url().slice(0, 100)}`),
  );
  await page.goto(address, { waitUntil: "load" });
  return page;
}

const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

async function accessible(page, how) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  for (const { id, impact, nodes } of violations) {
    const said = `axe, ${how}: ${id} (${impact}) at ${nodes.length} places, as ${nodes[0].html.slice(0, 120)}`;
    if (impact === "serious" || impact === "critical") demand(false, said);
    else console.log(`  ${said}`);
  }
}

// Pictures that are seen: their sources' ends and sizes.
const seen = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll(".pictures figure:not([hidden]) img")].map((img) => [img.src.slice(-60), img.naturalWidth]),
  );

async function works(page) {
  const drawn = await page.$$eval("svg.plot polyline", (lines) => lines.map((line) => line.points.numberOfItems));
  demand(drawn.some((n) => n > 1), "no curve has more than a point");
  const cells = await page.$$eval("#measures td", (all) => all.map((cell) => cell.textContent));
  demand(cells.some((text) => /\d/.test(text)), "no measure has a value");
  const last = await seen(page);
  demand(last.length > 0 && last.every(([, width]) => width > 0), "a picture is not shown");

  await page.focus("#moment");
  await page.keyboard.press("Home");
  const first = await seen(page);
  demand(first.length === last.length && first.every(([, width]) => width > 0), "a picture of the beginning is not shown");
  demand(String(first) !== String(last), "the slider changes no picture");
  demand((await page.textContent("#share")).startsWith("0"), "the slider does not say where it is");
  await page.keyboard.press("ArrowRight");
  demand(String(await seen(page)) !== String(first), "an arrow changes no picture");
  await page.keyboard.press("End");
  demand(String(await seen(page)) === String(last), "the end is not the last moment");

  const shown = () => page.$$eval(".scalar:not(#others *) .plot", (all) => all.filter((plot) => plot.checkVisibility()).map((plot) => plot.classList[1]));
  demand((await shown()).every((axis) => axis === "over-iterations"), "curves do not begin over iterations");
  await page.focus("#axis-iterations");
  for (const axis of ["over-shown", "over-seconds"]) {
    await page.keyboard.press("ArrowDown");
    const now = await shown();
    demand(now.length > 0 && now.every((plot) => plot === axis), `the axis control does not lead to ${axis}`);
  }
  await page.check("#axis-iterations");
}

// A page whose runs go on: what was chosen is still so after it has looked for a newer one.
async function refreshes(file) {
  const live = join(out, `live-${basename(file)}`);
  const control = '<input type="checkbox" id="refresh" checked aria-label="refresh">';
  writeFileSync(live, readFileSync(file, "utf8").replace("<body>", `<body data-refresh="3">${control}`));
  const page = await open(live);
  await page.focus("#moment");
  await page.keyboard.press("Home");
  await page.check("#axis-seconds");
  await page.evaluate(() => {
    window.scrollTo({ top: 300, behavior: "instant" });
    window.isOld = true;
  });
  await page.waitForFunction(() => !window.isOld, null, { timeout: 10_000 });
  await page.waitForLoadState("load");
  const after = await page.evaluate(() => ({
    scroll: window.scrollY,
    moment: document.getElementById("moment").value,
    axis: document.querySelector("[name=axis]:checked").id,
    focus: document.activeElement.id,
  }));
  const wanted = { scroll: 300, moment: "0", axis: "axis-seconds", focus: "axis-seconds" };
  demand(JSON.stringify(after) === JSON.stringify(wanted), `after a refresh: ${JSON.stringify(after)}`);
  await page.context().close();
}

for (const file of reports) {
  opened = file;
  const name = join(out, basename(file, ".html"));
  const page = await open(file, { colorScheme: "light" });
  const took = await page.evaluate(() => performance.getEntriesByType("navigation")[0].loadEventEnd);
  const several = (await page.$$(".legend li")).length > 1;
  const size = statSync(file).size;
  console.log(`${file}: ${megabytes(size)}, loaded in ${took.toFixed(0)} ms`);
  demand(size < (several ? 8e6 : 3e6), `${megabytes(size)} is too large`);
  demand(took < 4000, `${took.toFixed(0)} ms to load is too long`);
  await works(page);
  demand((await overflow(page)) <= 0, "the page scrolls sideways");
  await accessible(page, "light");
  await page.screenshot({ path: `${name}-light.png`, fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  await accessible(page, "dark");
  await page.screenshot({ path: `${name}-dark.png`, fullPage: true });
  await page.emulateMedia({ colorScheme: "light" });
  for (const width of [360, 320]) {
    await page.setViewportSize({ width, height: 740 });
    demand((await overflow(page)) <= 0, `the page scrolls sideways at ${width} pixels`);
    if (width === 360) await page.screenshot({ path: `${name}-phone.png`, fullPage: true });
  }
  await page.context().close();

  const plain = await open(file, { javaScriptEnabled: false });
  demand(await plain.isVisible(".pictures figure:not([hidden]) img"), "without scripts no picture is seen");
  demand(!(await plain.isVisible("#moment")), "without scripts there is a slider that does nothing");
  await plain.context().close();
  await refreshes(file);
}
await browser.close();
faults.forEach((fault) => console.error(`fault: ${fault}`));
process.exit(faults.length ? 1 : 0);
