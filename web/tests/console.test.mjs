import assert from 'node:assert/strict';
import { env, test } from './runner.mjs';
import { accessible, api, shoot, signIn, unique } from './steps.mjs';

test('console: two tenants cannot see each other', async ({ page, expectErrors }) => {
  expectErrors(/404/);
  const name = unique('Private');
  const theirs = (await api('POST', '/v1/connections', { name }, 'globex')).body;
  await signIn(page, 'Ada');
  await page.getByRole('searchbox').fill(name);
  await page.getByText('Nothing matches').waitFor();
  await accessible(page, 'nothing matches');
  await shoot(page, '20-nothing-matches');
  await page.goto(`${env.url}/connections/${theirs.id}`);
  await page.getByRole('heading', { name: 'No such connection' }).waitFor();
  await accessible(page, 'no such connection');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  await signIn(page, 'Grace', `/connections/${theirs.id}`);
  await page.getByRole('heading', { name, level: 1 }).waitFor();
});

test('console: search, filter, paging', async ({ page }) => {
  const mark = unique('page');
  await Promise.all(Array.from({ length: 27 }, (_, i) => api('POST', '/v1/connections', { name: `${mark} ${i}` })));
  await signIn(page);
  await page.getByRole('searchbox').fill(mark);
  await page.getByText('25 shown').waitFor();
  await page.getByRole('button', { name: 'Show more' }).click();
  await page.getByText('27 connections').waitFor();
  await page.getByLabel('Filter by status').selectOption('enabled');
  await page.getByText('Nothing matches').waitFor();
  await page.getByLabel('Filter by status').selectOption('pending');
  await page.getByText('25 shown').waitFor();
});

test('console: filtered by scope, over the pages, and found again on the way back', async ({ page }) => {
  const [mark, project] = [unique('scope'), unique('p').replace(/\W/g, '')];
  const make = async (i, scopes) => (await api('POST', '/v1/connections', { name: `${mark} ${i}`, scopes })).body;
  const last = await make('one', [{ level: 'project', id: project }]);
  await Promise.all(Array.from({ length: 27 }, (_, i) => make(i, i < 26 ? [{ level: 'environment', id: `${project}-${i}` }] : [])));
  await signIn(page);
  await page.getByRole('searchbox').fill(mark);
  await page.getByLabel('Filter by scope').selectOption('environment');
  await page.getByText('25 shown').waitFor();
  await page.getByRole('button', { name: 'Show more' }).click();
  await page.getByText('26 connections').waitFor();
  await accessible(page, 'a filtered list');
  await page.getByLabel('Filter by scope').selectOption('project');
  await page.getByText('1 connection', { exact: true }).waitFor();
  await page.getByLabel('Id of the project').fill('none');
  await page.getByText(`No connection has “${mark}” in its name and applies to project:none.`).waitFor();
  await page.getByLabel('Id of the project').fill(project);
  await page.getByRole('link', { name: last.name }).click();
  await page.getByRole('heading', { name: last.name, level: 1 }).waitFor();
  await page.goBack();
  await page.getByText('1 connection', { exact: true }).waitFor();
  assert.equal(await page.getByLabel('Id of the project').inputValue(), project);
  await page.reload();
  await page.getByText('1 connection', { exact: true }).waitFor();
  assert.equal(await page.getByRole('searchbox').inputValue(), mark);
  await page.getByRole('link', { name: 'Connections' }).click(); // begins anew
  await page.getByText('25 shown').waitFor();
});

test('console: an empty list invites', async ({ page }) => {
  await page.route('**/v1/connections?*', (r) => r.fulfill({ json: { items: [] } }));
  await signIn(page, 'Grace');
  await page.getByRole('heading', { name: 'Connect the first account' }).waitFor();
  await accessible(page, 'an empty list');
  await shoot(page, '21-empty');
});

test('console: delete asks for the name', async ({ page }) => {
  const name = unique('Unwanted');
  const c = (await api('POST', '/v1/connections', { name })).body;
  await signIn(page, 'Ada', `/connections/${c.id}`);
  await page.getByRole('button', { name: 'Delete connection' }).click();
  const dialog = page.getByRole('dialog');
  assert.ok(await dialog.getByRole('button', { name: 'Delete for good' }).isDisabled());
  await dialog.getByRole('textbox').fill(name);
  await accessible(page, 'deletion');
  await shoot(page, '22-delete', { full: false });
  await dialog.getByRole('button', { name: 'Delete for good' }).click();
  await page.getByRole('heading', { name: 'Connections', level: 1 }).waitFor();
  assert.equal((await api('GET', `/v1/connections/${c.id}`)).body.status, 'deleted');
  await page.goto(`${env.url}/connections/${c.id}`);
  await page.locator('.head .badge', { hasText: 'Deleted' }).waitFor();
  await accessible(page, 'a deleted connection');
  await page.goto(`${env.url}/connect/${c.id}`);
  await page.getByRole('heading', { name: 'This connection was deleted' }).waitFor();
  await accessible(page, 'the widget for a deleted connection');
});

/** leaves are the texts of a document; numbers are shown in other units. */
function leaves(value) {
  if (typeof value === 'string') return [value];
  return value && typeof value === 'object' ? Object.values(value).flatMap(leaves) : [];
}

test('console: settings, documentation, and a path that is none', async ({ page }) => {
  await signIn(page, 'Ada', '/settings');
  await page.getByText('arn:aws:iam::111111111111:role/rolecall/*').waitFor();
  // All that config says is there, to the letter.
  const config = (await api('GET', '/v1/config')).body;
  const shown = await page.locator('main').textContent();
  for (const text of leaves(config)) assert.ok(shown.includes(text), `settings lack ${text}`);
  await accessible(page, 'settings');
  await shoot(page, '23-settings');
  await page.getByRole('link', { name: 'Docs' }).click();
  await page.locator('summary').filter({ hasText: 'Create a connection' }).click();
  const operation = page.locator('details.op[open]');
  await operation.getByText('Idempotency-Key').first().waitFor();
  await operation.locator('pre', { hasText: /curl -sS -X POST .*'http.*\/v1\/connections'/ }).waitFor();
  assert.equal(await page.getByText('| Code |').count(), 0, 'Markdown as it is written');
  await page.getByText(/^\d+ codes, each with what it means$/).click();
  await page.getByRole('cell', { name: 'NAME_TAKEN' }).waitFor();
  await page.getByText(/^\d+ codes, each with what it means$/).click();
  await accessible(page, 'the HTTP API');
  await shoot(page, '24-api');
  await page.getByRole('link', { name: 'Embed the widget' }).click();
  await page.getByRole('button', { name: 'Show the widget' }).click();
  await page.locator('rolecall-connect').getByLabel('Name', { exact: true }).waitFor();
  await page.locator('rolecall-select').getByRole('button', { name: /^Account: Choose an account/ }).waitFor();
  await accessible(page, 'embedding');
  await shoot(page, '25-embed');
  await page.goto(`${env.url}/nowhere/at/all`);
  await page.getByRole('heading', { name: 'There is nothing here' }).waitFor();
  await accessible(page, 'nothing');
});
