// Drive clients in Chromium: each scenario is a page of its own, in a profile of its own, at another origin than the server.
// Scenarios come on standard input, a JSON object a line; each is answered by a line as soon as its page has told its story.
// Pages stay open until the input ends, as a visitor's would: what is not delivered by then is the client's loss.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { buildSync } from 'esbuild';
import { chromium } from 'playwright-core';

const here = new URL('.', import.meta.url).pathname;
const [executablePath] = process.argv.slice(2);

const scripts = new Map();

/** Return a page's script: a client and our use of it in one file, as a site's bundler makes it. */
function script(client) {
  if (!scripts.has(client)) {
    const entry = `${here}page_${client}.mjs`;
    const { outputFiles } = buildSync({
      entryPoints: [entry],
      bundle: true,
      write: false,
      format: 'iife',
      target: 'es2020',
      logLevel: 'error',
      define: { 'process.env.NODE_ENV': '"production"' },
    });
    scripts.set(client, outputFiles[0].text);
  }
  return scripts.get(client);
}

const site = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://site');
  if (pathname === '/shop') {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end('<!doctype html><title>Shop</title><h1>Shop</h1>');
  } else {
    response.statusCode = 404;
    response.end();
  }
});
await new Promise((ready) => site.listen(0, '127.0.0.1', ready));
const origin = `http://localhost:${site.address().port}`;
// Without a window Chromium calls itself a robot; customers' browsers do not.
const userAgentOf = (version) =>
  `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${version.split('.')[0]}.0.0.0 Safari/537.36`;
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });

function skewClock(seconds) {
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    constructor(...given) {
      super(...(given.length ? given : [RealDate.now() + seconds * 1000]));
    }

    static now() {
      return RealDate.now() + seconds * 1000;
    }
  };
}

async function play(scenario) {
  const context = await browser.newContext({ userAgent: userAgentOf(browser.version()), locale: 'ru-RU', timezoneId: 'Europe/Moscow' });
  await context.addInitScript(skewClock, scenario.skew);
  const page = await context.newPage();
  const said = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  await page.goto(`${origin}/shop?utm_source=mail&utm_campaign=spring`);
  await page.addScriptTag({ content: script(scenario.client) });
  const told = await page.evaluate((given) => globalThis.tell(given), scenario);
  if (scenario.leaves) await page.goto('about:blank');
  return { ...told, said };
}

async function answer(scenario) {
  const told = await play(scenario).catch((error) => ({ sent: {}, failed: { page: String(error) }, merges: [] }));
  console.log(JSON.stringify({ prefix: scenario.prefix, ...told }));
}

const playing = [];
for await (const line of createInterface({ input: process.stdin })) playing.push(answer(JSON.parse(line)));
await Promise.all(playing);
await browser.close();
process.exit(0);
