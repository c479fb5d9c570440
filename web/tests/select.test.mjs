import assert from 'node:assert/strict';
import { test } from './runner.mjs';
import { accessible, account, api, begin, createStack, embed, makeRole, shoot, unique, until } from './steps.mjs';

/** connected makes an enabled connection by a role. */
async function connected(tenant, name, scopes) {
  const made = (await api('POST', '/v1/connections', { name }, tenant)).body;
  const role = await makeRole(account(), 'Chosen', made.launch.trustPolicy);
  const got = await api('PUT', `/v1/connections/${made.id}/role`, { roleArn: role }, tenant);
  assert.equal(got.body.status, 'enabled');
  if (scopes) assert.equal((await api('PUT', `/v1/connections/${made.id}/scopes`, { scopes }, tenant)).status, 200);
  return made.id;
}

test('select: search, scopes, keyboard, and the form’s value', async ({ page }) => {
  const tenant = unique('select').replace(/\W/g, '-');
  const [alpha, beta] = [await connected(tenant, 'Alpha'), await connected(tenant, 'Beta', [{ level: 'project', id: 'web' }])];
  await api('POST', '/v1/connections', { name: 'Gamma, not enabled' }, tenant);
  await embed(page, tenant, { element: 'rolecall-select', 'a-name': 'connection', 'a-required': '' });
  const value = () => page.evaluate(() => new FormData(document.querySelector('form')).get('connection'));
  const field = page.getByRole('button', { name: /^Account: Choose an account/ });
  await field.waitFor();
  assert.equal(await page.evaluate(() => document.querySelector('form').checkValidity()), false, 'required');
  await field.click();
  await page.getByRole('listbox').getByRole('option').first().waitFor();
  await until('only those that can be used', async () => (await page.getByRole('listbox').getByRole('option').count()) === 2);
  await accessible(page, 'the drop-down');
  await shoot(page, '40-select', { full: false });
  await page.getByRole('combobox', { name: 'Search accounts' }).fill('alph');
  await page.getByRole('listbox').getByRole('option', { name: /Beta/ }).waitFor({ state: 'detached' });
  await page.keyboard.press('Enter');
  await until('Alpha is the value', async () => (await value()) === alpha);
  await page.getByRole('button', { name: 'Account: Alpha' }).click();
  await page.getByRole('combobox', { name: 'Search accounts' }).fill('');
  const asked = page.waitForRequest((r) => new URL(r.url()).searchParams.get('scope') === 'project:web');
  await page.getByRole('combobox', { name: 'Scope' }).selectOption('project:web');
  await asked; // of the API, so that a scope beyond the first page is found as well
  await page.getByRole('listbox').getByRole('option', { name: /Alpha/ }).waitFor({ state: 'detached' });
  await page.getByRole('listbox').getByRole('option', { name: /Beta/ }).click();
  await until('Beta is the value', async () => (await value()) === beta);
  assert.equal(await page.evaluate(() => document.querySelector('form').checkValidity()), true);
  assert.deepEqual(await page.evaluate(() => window.heard.map((h) => [h.event, h.value])), [['change', alpha], ['change', beta]]);
  await page.getByRole('button', { name: 'Account: Beta' }).click();
  await page.getByRole('combobox', { name: 'Scope' }).selectOption('environment');
  await page.getByText('Nothing matches.').waitFor();
  await page.getByRole('combobox', { name: 'Scope' }).selectOption('');
  await page.getByRole('listbox').getByRole('option', { name: /Alpha/ }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('listbox').waitFor({ state: 'detached' });
  await page.evaluate(() => document.querySelector('form').reset());
  await page.getByRole('button', { name: /Choose an account/ }).waitFor();
});

test('select: for one scope, the account that is connected is that scope’s, and there is no second one', async ({ context, page }) => {
  const tenant = unique('one').replace(/\W/g, '-');
  await connected(tenant, 'Elsewhere', [{ level: 'project', id: 'shop' }]);
  await embed(page, tenant, { element: 'rolecall-select', 'a-name': 'connection', 'a-scope': 'project:web' });
  await page.getByRole('button', { name: /Choose an account/ }).click();
  await page.getByText('No account is connected yet.').waitFor();
  await page.getByRole('button', { name: 'Connect a new account' }).click();
  const widget = page.locator('rolecall-connect');
  await begin(widget, 'For web');
  await createStack(context, widget, account());
  await widget.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('button', { name: 'Account: For web' }).click();
  await page.getByRole('option', { name: /For web/ }).waitFor();
  await page.getByRole('option', { name: /Elsewhere/ }).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Connect a new account' }).waitFor({ state: 'detached' });
  const { items } = (await api('GET', '/v1/connections?scope=project:web', undefined, tenant)).body;
  assert.deepEqual(items.map((c) => c.name), ['For web']);
});

test('select: connects a new account and selects it', async ({ context, page }) => {
  const tenant = unique('new').replace(/\W/g, '-');
  await embed(page, tenant, { element: 'rolecall-select', 'a-name': 'connection' });
  await page.getByRole('button', { name: /Choose an account/ }).click();
  await page.getByText('No account is connected yet.').waitFor();
  await page.getByRole('button', { name: 'Connect a new account' }).focus();
  await page.keyboard.press('Enter');
  const widget = page.locator('rolecall-connect');
  await begin(widget, 'First');
  await widget.locator('[data-launch]').waitFor();
  await accessible(page, 'the widget in a dialog');
  await shoot(page, '41-select-connect', { full: false });
  await createStack(context, widget, account());
  await widget.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('button', { name: 'Account: First' }).waitFor();
  assert.match(await page.evaluate(() => new FormData(document.querySelector('form')).get('connection')), /^conn_/);
});
