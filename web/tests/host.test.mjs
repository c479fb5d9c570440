import assert from 'node:assert/strict';
import { env, test } from './runner.mjs';
import { accessible, account, begin, createStack, embed, shoot, unique, until } from './steps.mjs';

test('host page: another origin embeds the widget, with one script', async ({ context, page }) => {
  assert.notEqual(new URL(env.host).origin, new URL(env.url).origin);
  await embed(page, 'initech');
  const widget = page.locator('rolecall-connect');
  await begin(widget, unique('Embedded'));
  await widget.locator('[data-launch]').waitFor();
  await accessible(page, 'the host page');
  await shoot(page, '30-host');
  await createStack(context, widget, account());
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
  await widget.getByRole('button', { name: 'Done' }).click();
  const heard = () => page.evaluate(() => window.heard.map((h) => [h.event, h.detail.connection.status]));
  await until('both events', async () => (await heard()).length === 2);
  assert.deepEqual(await heard(), [['connected', 'enabled'], ['closed', 'enabled']]);
});

test('host page: an origin that is not configured gets nothing', async ({ page, expectErrors }) => {
  expectErrors(/CORS|ERR_FAILED|Failed to fetch/);
  const other = env.host.replace('127.0.0.1', 'localhost'); // the same server, but another origin
  const failed = page.waitForEvent('requestfailed', (r) => r.url().endsWith('/rolecall-connect.js'));
  page.on('pageerror', () => undefined);
  const query = new URLSearchParams({ widget: `${env.url}/rolecall-connect.js`, api: env.url, token: 'none' });
  await page.goto(`${other}/?${query}`);
  await failed;
  const told = await page.evaluate((url) => fetch(`${url}/v1/config`, { headers: { Authorization: 'Bearer x' } }).then(() => 'answered', () => 'refused'), env.url);
  assert.equal(told, 'refused');
}, { pageErrors: true });

test('host page: the methods that are offered are the page’s to choose', async ({ page }) => {
  await embed(page, 'initrode', { 'a-methods': 'role', 'a-permission-set': 'power-user', 'a-default-region': 'us-east-1' });
  const widget = page.locator('rolecall-connect');
  await widget.getByLabel('Name', { exact: true }).waitFor();
  await widget.locator('summary').click();
  await until('the Region', async () => (await widget.getByLabel('Region').inputValue()) === 'us-east-1');
  await until('the permissions', async () => (await widget.getByLabel('Permissions').inputValue()) === 'power-user');
  assert.equal(await widget.getByRole('radio').count(), 0);
  await begin(widget, unique('Chosen'));
  await until('the role', () => widget.getByText('Make a role by hand').isVisible());
});
