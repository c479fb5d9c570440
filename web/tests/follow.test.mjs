// What a page that waits costs. Time is the page's own here: ten minutes pass in some seconds, every answer is the API's.
import assert from 'node:assert/strict';
import { test } from './runner.mjs';
import { account, api, begin, makeRole, signIn, unique } from './steps.mjs';

/** A meter counts what a page has asked the API of one connection, and the bytes of the answers, headers and bodies. */
function meter(page) {
  const m = { requests: [], bytes: 0, open: 0 };
  const counts = (r) => /\/v1\/connections\/conn_/.test(r.url());
  const done = async (r) => {
    if (!counts(r)) return;
    const sizes = await r.sizes();
    m.bytes += sizes.responseHeadersSize + sizes.responseBodySize;
    m.open--;
  };
  page.on('request', (r) => {
    if (!counts(r)) return;
    m.open++;
    m.requests.push({ at: m.now, path: new URL(r.url()).pathname.replace(/conn_\w+/, 'id'), method: r.method() });
  });
  page.on('requestfinished', done);
  page.on('requestfailed', done);
  m.clear = () => Object.assign(m, { requests: [], bytes: 0 });
  m.of = (end) => m.requests.filter((r) => r.path.endsWith(end));
  return m;
}

/** pass lets seconds of the page's time pass, one by one, each with what it brings about. */
async function pass(page, m, seconds) {
  for (let i = 0; i < seconds; i++) {
    m.now = (m.now ?? 0) + 1;
    await page.clock.runFor(1000);
    do await new Promise((r) => setTimeout(r, 3)); while (m.open > 0);
  }
}

for (const [what, path] of [['the widget', '/connect/'], ['the page of a connection', '/connections/']]) {
  test(`follow: ${what} costs little while nothing happens, looks ever less often, and hears of what does`, async ({ page }) => {
    const made = (await api('POST', '/v1/connections', { name: unique('Left alone') })).body;
    const whole = JSON.stringify(made).length;
    await page.clock.install();
    const m = meter(page);
    await signIn(page, 'Ada', `${path}${made.id}`);
    await page.getByText(made.name).first().waitFor();
    await page.clock.pauseAt(Date.now() + 3000);
    await pass(page, m, 5);
    m.clear();

    await pass(page, m, 60);
    const first = m.of('/status').length;
    assert.ok(first >= 15, `${what} looks ${first} times in the first minute`);
    await pass(page, m, 540);
    const looks = m.of('/status').length;
    console.log(`        ${what} in ten minutes: ${looks} looks, ${m.bytes} bytes; with a whole connection each second it were ${600 * whole}`);
    assert.equal(m.requests.length, looks, `${what} asked for more: ${[...new Set(m.requests.map((r) => r.path))]}`);
    assert.ok(m.bytes < 100_000, `${m.bytes} bytes in ten minutes`);

    m.clear();
    await pass(page, m, 120);
    const times = m.of('/status').map((r) => r.at);
    assert.ok(times.length >= 7 && times.length <= 8, `${times.length} looks in two minutes after ten`);
    assert.ok(times.every((t, i) => !i || t - times[i - 1] >= 15), `looked at ${times}`);

    // What happens is on the page at the next look, with one read of the connection for it.
    await api('PUT', `/v1/connections/${made.id}/role`, { roleArn: await makeRole(account(), 'Late', made.launch.trustPolicy) });
    m.clear();
    await pass(page, m, 16);
    await page.getByText(path === '/connect/' ? 'Connected' : 'Enabled', { exact: true }).first().waitFor();
    assert.equal(m.of('/id').length, 1, `asked for ${m.requests.map((r) => r.path)}`);
  });
}

test('follow: who comes back to the page sees what happens as soon as at first', async ({ page }) => {
  await page.clock.install();
  const m = meter(page);
  await signIn(page, 'Ada', '/connect');
  await begin(page.locator('rolecall-connect'), unique('Back again'));
  await page.clock.pauseAt(Date.now() + 3000);
  await pass(page, m, 3);
  await page.clock.fastForward(11 * 60_000);
  await pass(page, m, 16);
  m.clear();
  await pass(page, m, 10);
  assert.ok(m.of('/status').length <= 1, `${m.of('/status').length} looks in ten seconds after eleven minutes`);
  m.clear();
  await page.evaluate(() => window.dispatchEvent(new Event('focus')));
  await pass(page, m, 10);
  assert.ok(m.of('/status').length >= 9, `${m.of('/status').length} looks in ten seconds`);
});
