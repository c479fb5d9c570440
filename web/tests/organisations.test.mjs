// A whole organisation, from the form to the revoked enrolment, against the real API and the pocket AWS's stack sets.
import assert from 'node:assert/strict';
import { env, test } from './runner.mjs';
import { accessible, account, api, aws, shoot, signIn, until } from './steps.mjs';

test('organisations: enrolled, followed, revoked', async ({ page, context }) => {
  const management = String(Math.floor(Number(account()) / 100) * 100);
  const id = `o-${Date.now().toString(36).slice(-8).padStart(8, '0')}ab`;
  const made = await fetch(`${env.url}/_local/organizations`, { method: 'POST', body: JSON.stringify({ id, managementAccount: management, root: 'r-ab12', count: 3 }) });
  assert.equal(made.status, 201, await made.text());
  await aws(management, 'cloudformation', '2010-05-15', 'ActivateOrganizationsAccess', {});
  await signIn(page, 'Ada', '/organisations');
  await page.getByLabel('Organisation id').fill(id);
  await page.getByLabel('Root or organisational units').fill('r-ab12');
  await accessible(page, 'organisations');
  await shoot(page, '52-organisations');
  await page.getByRole('button', { name: 'Enrol', exact: true }).click();
  await page.getByText('No account has reported yet.').waitFor();
  await accessible(page, 'an enrolment that waits');
  await shoot(page, '57-enrolment-waits');
  const [tab] = await Promise.all([context.waitForEvent('page'), page.getByRole('link', { name: /Open AWS CloudFormation/ }).click()]);
  await tab.waitForLoadState();
  await tab.getByLabel('AWS account ID').fill(management);
  await tab.getByRole('checkbox', { name: /I acknowledge that AWS CloudFormation might create IAM resources/ }).check();
  await tab.getByRole('button', { name: 'Create stack' }).click();
  const path = `/v1/enrolments/${new URL(page.url()).pathname.split('/').pop()}`;
  await until('the accounts are enabled', async () => (await api('GET', path)).body.progress.enabled >= 3, 90_000);
  await page.getByRole('link', { name: String(Number(management) + 1) }).waitFor();
  await accessible(page, 'an enrolment with its accounts');
  await shoot(page, '58-enrolment');
  await page.getByRole('button', { name: 'Revoke enrolment' }).click();
  await page.getByText('Revoked', { exact: true }).waitFor();
  assert.equal((await api('GET', path)).body.status, 'revoked');
});

test('organisations: none yet, and out of reach', async ({ page, expectErrors }) => {
  expectErrors(/ERR_|Failed to load/);
  await page.route('**/v1/enrolments?*', (r) => r.fulfill({ json: { items: [] } }));
  await signIn(page, 'Ada', '/organisations');
  await page.getByRole('heading', { name: 'No organisation is enrolled' }).waitFor();
  await accessible(page, 'no organisation');
  await shoot(page, '59-no-organisation');
  await page.unroute('**/v1/enrolments?*');
  await page.route('**/v1/enrolments*', (r) => r.abort());
  await page.reload();
  await page.getByText('You are offline, or the API is').waitFor();
  await accessible(page, 'organisations out of reach');
});
