// One visitor's browser, commanded over standard input: a JSON object a line ({call, given}), each answered by a line.
// The shop's pages are made up here for any address that ends in `.shop.localhost` or `.shop.test`; all else is the real network.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [executablePath] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-features=LocalNetworkAccessChecks'],
});
const userAgent = `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${browser.version().split('.')[0]}.0.0.0 Safari/537.36`;
const context = await browser.newContext({ userAgent, locale: 'ru-RU', timezoneId: 'Europe/Moscow' });
const complaints = [];
let html = '';
await context.route(/^http:\/\/(shop\.localhost|shop\.test)\//, (route) => route.fulfill({ contentType: 'text/html', body: html }));
context.on('weberror', (error) => complaints.push(String(error.error())));
const pages = [await context.newPage()];

const calls = {
  async markup(given) { html = given; },
  async go({ url, tab = 0 }) {
    pages[tab] ??= await context.newPage();
    await pages[tab].goto(url);
  },
  async evaluate({ code, tab = 0 }) { return pages[tab].evaluate(code); },
  async offline(given) { await context.setOffline(given); },
  async complaints() { return complaints; },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { call, given } = JSON.parse(line);
  const answer = await calls[call](given).then((value) => ({ value }), (error) => ({ error: String(error) }));
  console.log(JSON.stringify(answer));
}
await browser.close();
process.exit(0);
