// A whole organization, from the form to the revoked enrolment, against the real API and the pocket AWS's stack sets.
import assert from 'node:assert/strict';
import { env, test } from './runner.mjs';
import { accessible, account, api, aws, comeBack, createIt, shoot, signIn, until } from './steps.mjs';

/** organization makes an AWS organization with three accounts beside its management account, whose number it answers. */
async function organization(id) {
  const management = String(Math.floor(Number(account()) / 100) * 100);
  const made = await fetch(`${env.url}/_local/organizations`, { method: 'POST', body: JSON.stringify({ id, managementAccount: management, root: 'r-ab12', count: 3 }) });
  assert.equal(made.status, 201, await made.text());
  await aws(management, 'cloudformation', '2010-05-15', 'ActivateOrganizationsAccess', {});
  return management;
}

const organizationId = (mark) => `o-${Date.now().toString(36).slice(-8).padStart(8, '0')}${mark}`;

/** enrol creates the stack of the page's link in the management account. */
async function enrol(page, context, management) {
  const [tab] = await Promise.all([context.waitForEvent('page'), page.getByRole('link', { name: /Open AWS CloudFormation/ }).click()]);
  await tab.waitForLoadState();
  await tab.getByLabel('AWS account ID').fill(management);
  await createIt(tab);
  return tab;
}

test('organizations: enrolled, followed, revoked', async ({ page, context }) => {
  const id = organizationId('ab');
  const management = await organization(id);
  await signIn(page, 'Ada', '/organizations');
  await page.getByLabel('Organization id').fill(id);
  await page.getByLabel('Root or organizational units').fill('r-ab12');
  await accessible(page, 'organizations');
  await shoot(page, '52-organizations');
  await page.getByRole('button', { name: 'Enrol', exact: true }).click();
  await page.getByText('No account has reported yet.').waitFor();
  await accessible(page, 'an enrolment that waits');
  await shoot(page, '57-enrolment-waits');
  await enrol(page, context, management);
  const path = `/v1/enrolments/${new URL(page.url()).pathname.split('/').pop()}`;
  await until('the accounts are enabled', async () => (await api('GET', path)).body.progress.enabled >= 3, 90_000);
  await page.getByRole('link', { name: String(Number(management) + 1) }).waitFor();
  await accessible(page, 'an enrolment with its accounts');
  await shoot(page, '58-enrolment');
  await page.getByRole('button', { name: 'Revoke enrolment' }).click();
  await page.getByRole('dialog').waitFor();
  await accessible(page, 'the question before an enrolment is revoked');
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke', exact: true }).click();
  await page.getByText('Revoked', { exact: true }).waitFor();
  assert.equal((await api('GET', path)).body.status, 'revoked');
});

/** control gives an account a service control policy that denies one action; without one it takes all of them away. */
async function control(account, action) {
  const answer = await fetch(`${env.url}/_local/organizations/accounts/${account}/policy`, {
    method: 'PUT', body: action ? JSON.stringify({ Version: '2012-10-17', Statement: { Effect: 'Deny', Action: action, Resource: '*' } }) : '',
  });
  assert.equal(answer.status, 204, await answer.text());
}

test('organizations: an account that fails says why, and the failures alone are tried again', async ({ page, context }) => {
  const id = organizationId('cd');
  const management = await organization(id);
  const [good, silent] = [1, 2].map((n) => String(Number(management) + n));
  await control(silent, 'organizations:DescribeOrganization');
  const made = (await api('POST', '/v1/enrolments', { organizationId: id, organizationalUnitIds: ['r-ab12'] })).body;
  await signIn(page, 'Ada', `/organizations/${made.id}`);
  const tab = await enrol(page, context, management);
  const status = async (a) => (await api('GET', `/v1/enrolments/${made.id}/accounts`)).body.items.find((i) => i.accountId === a)?.status;
  await until('the verdict', async () => (await status(silent)) === 'failed', 180_000);
  await comeBack(page);
  const row = (a) => page.getByRole('row').filter({ has: page.getByRole('link', { name: a, exact: true }) });
  await row(silent).getByText('Failed', { exact: true }).waitFor();
  await row(silent).getByText('ORG_DENIED').waitFor();
  await row(silent).getByText('What to do').click();
  await row(silent).getByText('How to fix it').waitFor();
  await row(good).getByText('Enabled', { exact: true }).waitFor();
  await page.getByText('3 of 4 accounts ready').waitFor();
  const untouched = (await api('GET', `/v1/enrolments/${made.id}/accounts`)).body.items.find((i) => i.accountId === good);
  await accessible(page, 'an account that failed');
  await shoot(page, '74-account-failed');

  // Mended, and tried again: its stack has rolled back, so the customer deploys that account again, and no other.
  await control(silent);
  await tab.locator('#stack-status', { hasText: /^CREATE_COMPLETE$/ }).waitFor({ timeout: 60_000 });
  await page.getByRole('button', { name: 'Retry failures only' }).click();
  await page.getByText('1 stack rolled back and took the role along').waitFor();
  const command = await page.locator('.note .snippet pre').textContent();
  assert.ok(command.includes(silent) && !command.includes(good), command);
  await accessible(page, 'failures tried again');
  await shoot(page, '75-retried');
  const set = /--stack-set-name '?([\w-]+)/.exec(command)[1];
  const same = ['EnrolmentId', 'ExternalIdPrefix', 'EnrolmentToken', 'PermissionSet'];
  await aws(management, 'cloudformation', '2010-05-15', 'UpdateStackSet', {
    StackSetName: set, UsePreviousTemplate: 'true', 'Regions.member.1': made.launch.region, 'Capabilities.member.1': 'CAPABILITY_IAM',
    ...Object.fromEntries(same.flatMap((p, i) => [[`Parameters.member.${i + 1}.ParameterKey`, p], [`Parameters.member.${i + 1}.UsePreviousValue`, 'true']])),
    'DeploymentTargets.Accounts.member.1': silent, 'DeploymentTargets.OrganizationalUnitIds.member.1': 'r-ab12', 'DeploymentTargets.AccountFilterType': 'INTERSECTION',
  }, made.launch.region);
  await row(silent).getByText('Enabled', { exact: true }).waitFor({ timeout: 60_000 });
  await page.getByText('4 of 4 accounts ready').waitFor();
  await page.getByRole('button', { name: 'Retry failures only' }).waitFor({ state: 'detached' });
  assert.equal((await api('GET', `/v1/enrolments/${made.id}/accounts`)).body.items.find((i) => i.accountId === good).updatedAt, untouched.updatedAt);
}, { slow: true });

test('organizations: none yet, and out of reach', async ({ page, expectErrors }) => {
  expectErrors(/ERR_|Failed to load/);
  await page.route('**/v1/enrolments?*', (r) => r.fulfill({ json: { items: [] } }));
  await signIn(page, 'Ada', '/organizations');
  await page.getByRole('heading', { name: 'No organization is enrolled' }).waitFor();
  await accessible(page, 'no organization');
  await shoot(page, '59-no-organization');
  await page.unroute('**/v1/enrolments?*');
  await page.route('**/v1/enrolments*', (r) => r.abort());
  await page.reload();
  await page.getByText('You are offline, or the API is').waitFor();
  await accessible(page, 'organizations out of reach');
});
