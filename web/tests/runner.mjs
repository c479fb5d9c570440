// A small test runner on playwright-core: each test has a browser context of its own, and fails on any console error, on any
// request to a host that is not ours, and on what it throws. The last line says how many have passed.
import { chromium } from 'playwright-core';
import { mkdirSync } from 'node:fs';
import { join, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
export const env = {
  url: need('ROLECALL_URL'), aws: need('ROLECALL_AWS_URL'), host: need('ROLECALL_HOST_URL'), chromium: need('ROLECALL_CHROMIUM'),
  only: process.env.ONLY ?? '', screenshots: process.env.ROLECALL_SCREENSHOTS || join(here, '..', 'screenshots'),
};
mkdirSync(env.screenshots, { recursive: true });

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these tests by make test-web`);
  return value;
}

const tests = [];

/**
 * test registers a test; run gets {context, page, expectErrors}. Options: `alone` is measured on a quiet machine, before all
 * others; `slow` waits for a verdict in real time: all such tests run side by side, and beside the others.
 */
export function test(name, run, options = {}) {
  tests.push({ name, run, options });
}

/**
 * At most so many tests may need a second try, and each that does is named: a browser on a loaded machine is late now and
 * then. Those that wait have time enough.
 */
const lateOnes = 2;

/** runAll runs the tests, some at a time, and answers the exit code. */
export async function runAll({ workers = 2 } = {}) {
  const began = Date.now();
  const browser = await chromium.launch({
    executablePath: env.chromium, headless: true,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
      '--force-prefers-reduced-motion'], // where a page says nothing else: without a graphics card, each pulse costs the processor
  });
  const queue = tests.filter((t) => t.name.includes(env.only));
  let passed = 0;
  let failed = [];
  const alone = queue.filter((t) => t.options.alone);
  const slow = queue.filter((t) => t.options.slow);
  const together = queue.filter((t) => !t.options.alone && !t.options.slow);
  const work = async (list) => {
    for (let t = list.shift(); t; t = list.shift()) {
      const from = Date.now();
      const error = await one(browser, t);
      const took = ((Date.now() - from) / 1000).toFixed(1);
      if (!error) passed++;
      else failed.push(t);
      console.log(`${error ? 'FAIL' : ' ok '} ${took.padStart(5)}s  ${t.name}`);
      if (error) console.log(indent(error.stack ?? String(error)));
    }
  };
  await work(alone); // what is measured is measured on a quiet machine
  await Promise.all([...slow.map((t) => work([t])), ...Array.from({ length: workers }, () => work(together))]);
  const again = failed;
  if (again.length && again.length <= lateOnes && !again.some((t) => t.options.slow)) {
    console.log(`\ntried once more: ${names(again)}`);
    failed = [];
    await work([...again]);
  }
  await browser.close();
  const took = ((Date.now() - began) / 1000).toFixed(1);
  const late = again.filter((t) => !failed.includes(t));
  console.log(`\n${passed} passed${late.length ? `, of them at the second try: ${names(late)}` : ''}${failed.length ? `, ${failed.length} FAILED: ${names(failed)}` : ''} (${took}s)`);
  return failed.length || !passed ? 1 : 0;
}

const names = (list) => list.map((t) => t.name).join('; ');

async function one(browser, t) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, locale: 'en-GB', timezoneId: 'Europe/Berlin',
    reducedMotion: t.options.slow ? 'reduce' : 'no-preference', ...t.options.context,
  });
  context.setDefaultTimeout(20_000);
  const wrong = [];
  const expected = [];
  const ours = [env.url, env.aws, env.host].flatMap((u) => [`localhost:${new URL(u).port}`, `127.0.0.1:${new URL(u).port}`]);
  context.on('request', (r) => {
    const u = new URL(r.url());
    if (/^https?:|^wss?:/.test(u.protocol) && !ours.includes(u.host)) wrong.push(`request to another host: ${r.url()}`);
  });
  context.on('console', (m) => {
    if (m.type() === 'error' && !expected.some((e) => e.test(m.text() + ' ' + (m.location().url ?? '')))) wrong.push(`console: ${m.text()} (${m.location().url})`);
  });
  if (!t.options.pageErrors) context.on('weberror', (e) => wrong.push(`page: ${e.error().stack ?? e.error()}`));
  try {
    const page = await context.newPage();
    await t.run({ context, page, expectErrors: (...patterns) => expected.push(...patterns) });
    if (wrong.length) throw new Error(wrong.join('\n'));
    return undefined;
  } catch (error) {
    for (const [i, p] of context.pages().entries()) {
      await p.screenshot({ path: join(env.screenshots, `failed-${t.name.replace(/\W+/g, '-').slice(0, 60)}-${i}.png`), fullPage: true }).catch(() => undefined);
    }
    if (wrong.length) error.message += `\n${wrong.join('\n')}`;
    return error;
  } finally {
    await context.close();
  }
}

function indent(text) {
  return text.split('\n').map((l) => `        ${l}`).join('\n');
}
