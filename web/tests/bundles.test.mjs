import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { env, test } from './runner.mjs';
import { signIn, token } from './steps.mjs';

const built = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'build', 'web');
const limits = { widget: 30 * 1024, console: 120 * 1024 };
const zipped = (file) => gzipSync(readFileSync(join(built, file))).length;

test('bundles: the widget has at most 30 KB', async () => {
  const size = zipped('rolecall-connect.js');
  console.log(`        rolecall-connect.js: ${(size / 1024).toFixed(1)} KB`);
  assert.ok(size <= limits.widget, `${size} bytes`);
});

test('bundles: nothing inline, nothing from elsewhere', async () => {
  const index = readFileSync(join(built, 'index.html'), 'utf8');
  for (const [tag] of index.matchAll(/<script[^>]*>/g)) assert.match(tag, /\ssrc="\/assets\/[^"]+"/);
  assert.doesNotMatch(index, /<style|\sstyle=|\son[a-z]+=|https?:\/\//);
  for (const file of readdirSync(join(built, 'assets'))) {
    if (file.endsWith('.css')) assert.doesNotMatch(readFileSync(join(built, 'assets', file), 'utf8'), /@import|url\((?!["']?data:)/);
  }
});

test('bundles: the first load has at most 120 KB, and the list can be used within a second', async ({ page }) => {
  await signIn(page);
  const loaded = new Set();
  page.on('response', (r) => {
    const path = new URL(r.url()).pathname;
    if (path.startsWith('/assets/')) loaded.add(path.slice(1));
  });
  await page.getByRole('searchbox').waitFor();
  const times = [];
  for (let i = 0; i < 3; i++) {
    const from = Date.now();
    await page.reload({ waitUntil: 'commit' });
    await page.locator('.rows, .empty').waitFor();
    await page.getByRole('searchbox').fill('x');
    times.push(Date.now() - from);
  }
  const size = [...loaded].reduce((sum, f) => sum + zipped(f), 0) + zipped('index.html');
  const best = Math.min(...times);
  console.log(`        first load: ${(size / 1024).toFixed(1)} KB; list can be used after ${times.join(', ')} ms`);
  assert.ok(loaded.size > 1 && size <= limits.console, `${size} bytes of ${[...loaded].join(' ')}`);
  assert.ok(best <= 1000, `${best} ms`);
}, { alone: true });

test('bundles: the headers are strict', async () => {
  const page = await fetch(`${env.url}/`);
  assert.doesNotMatch(page.headers.get('Content-Security-Policy') ?? 'unsafe', /unsafe|\*/);
  const answer = await fetch(`${env.url}/v1/config`, { headers: { Authorization: `Bearer ${await token()}`, Origin: 'https://elsewhere.example' } });
  assert.equal(answer.headers.get('Access-Control-Allow-Origin'), null);
});
