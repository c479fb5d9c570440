import assert from 'node:assert/strict';
import { test } from './runner.mjs';
import { accessible, account, api, makeKeys, makeRole, shoot, signIn, unique } from './steps.mjs';

async function enabled(name) {
  const made = (await api('POST', '/v1/connections', { name })).body;
  await api('PUT', `/v1/connections/${made.id}/role`, { roleArn: await makeRole(account(), 'Featured', made.launch.trustPolicy) });
  return made.id;
}

test('connection: scopes are set, and taken over only when asked', async ({ page, expectErrors }) => {
  expectErrors(/409/);
  const project = unique('p').replace(/\W/g, '');
  const other = await enabled(unique('Other'));
  await api('PUT', `/v1/connections/${other}/scopes`, { scopes: [{ level: 'project', id: project }] });
  const id = await enabled(unique('Scoped'));
  await signIn(page, 'Ada', `/connections/${id}`);
  await page.getByLabel('Level').selectOption('project');
  await page.getByLabel(/^Id/).fill(project);
  await page.getByRole('button', { name: 'Add' }).click();
  await page.getByRole('button', { name: 'Save scopes' }).click();
  await page.getByText('SCOPE_TAKEN').waitFor();
  await accessible(page, 'a scope that is taken');
  await shoot(page, '50-scopes');
  await page.getByRole('button', { name: 'Take it over' }).click();
  await page.getByText('Scopes changed').waitFor(); // on the timeline, so it is done
  assert.deepEqual((await api('GET', `/v1/connections/${id}`)).body.scopes, [{ level: 'project', id: project }]);
  assert.deepEqual((await api('GET', `/v1/connections/${other}`)).body.scopes, []);
});

test('connection: renamed', async ({ page }) => {
  const id = await enabled(unique('Before'));
  await signIn(page, 'Ada', `/connections/${id}`);
  const name = unique('After');
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill(name);
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
});

test('connection: sign-in links, sessions, and their end', async ({ page }) => {
  const id = await enabled(unique('Sessions'));
  await api('GET', `/v1/connections/${id}/credentials`);
  await signIn(page, 'Ada', `/connections/${id}`);
  await page.getByRole('button', { name: 'Sign in to AWS, read only' }).click();
  const link = page.getByRole('link', { name: /Open the AWS console/ });
  await link.waitFor();
  assert.match(await link.getAttribute('href'), /^https?:\/\//);
  await page.getByText('ada@acme.example').first().waitFor();
  await accessible(page, 'sessions');
  await shoot(page, '51-sessions');
  await page.getByRole('button', { name: 'Revoke sessions' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke sessions' }).waitFor();
  await accessible(page, 'the question before a revocation');
  await shoot(page, '72-revoke', { full: false });
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke sessions' }).click();
  await page.getByRole('heading', { name: /Older sessions are denied|Nothing older is handed out/ }).waitFor();
  await accessible(page, 'revoked sessions');
});

test('access keys: connected with them, and rotated', async ({ page, expectErrors }) => {
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  expectErrors(/40[039]/);
  const id = account();
  const keys = await makeKeys(id);
  await widget.getByLabel('Name', { exact: true }).fill(unique('Keys'));
  await widget.getByRole('radio', { name: /Access keys/ }).check();
  await widget.getByLabel('Account ID').fill('999999999999');
  await widget.getByLabel('Access key ID').fill(keys.id);
  await widget.getByLabel('Secret access key').fill(keys.secret);
  await accessible(page, 'access keys');
  await shoot(page, '53-keys');
  await widget.getByRole('button', { name: 'Connect', exact: true }).click();
  await widget.getByText('KEYS_ACCOUNT_MISMATCH').waitFor();
  await accessible(page, 'keys of another account');
  await widget.getByLabel('Account ID').fill(id);
  await widget.getByRole('button', { name: 'Connect', exact: true }).click();
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
  await widget.getByRole('button', { name: 'Done' }).click();
  const second = await makeKeys(id);
  await page.getByRole('heading', { name: 'Access key', exact: true }).waitFor();
  await page.getByLabel('Access key ID').fill(second.id);
  await page.getByLabel('Secret access key').fill(second.secret);
  await page.getByRole('button', { name: 'Rotate keys' }).click();
  await page.getByText(second.id).first().waitFor();
  await accessible(page, 'a connection by keys');
});
