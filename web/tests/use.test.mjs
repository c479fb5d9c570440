// What a connection's page offers to those who use it: ways to its credentials, newer templates, keys and their end.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { env, test } from './runner.mjs';
import { accessible, account, api, comeBack, createIt, makeKeys, makeRole, shoot, signIn, token, unique, until } from './steps.mjs';

const old = readFileSync(new URL('../../infra/local/laptop/testdata/connection-1.1.0.yaml', import.meta.url), 'utf8');

test('credentials: every way is this connection’s, and what is pasted works', async ({ page }) => {
  const name = unique('Use it');
  const made = (await api('POST', '/v1/connections', { name })).body;
  const id = account();
  await api('PUT', `/v1/connections/${made.id}/role`, { roleArn: await makeRole(id, 'Used', made.launch.trustPolicy) });
  await signIn(page, 'Ada', `/connections/${made.id}`);
  const url = `${env.url}/v1/connections/${made.id}/credentials`;
  const shown = async (way) => {
    await page.getByRole('tab', { name: way, exact: true }).click();
    await page.locator(`#way pre[aria-label="${way}"]`).waitFor();
    return page.locator('#way pre').textContent();
  };
  for (const way of ['Any SDK', 'Python', 'JavaScript', 'Go', 'Shell', 'HTTP']) assert.ok((await shown(way)).includes(url), way);
  assert.ok((await shown('rolecall')).includes(`rolecall exec '${name}' --region ${made.defaultRegion} -- aws`));
  assert.match(await shown('Profile'), new RegExp(`^\\[profile use-it-\\w+\\]\ncredential_process = rolecall credential-process "${name}"\nregion = ${made.defaultRegion}$`));
  await page.getByLabel('Read only').check();
  await page.getByText('cannot ask for less than the role may do').waitFor();
  await page.getByLabel('Region', { exact: true }).selectOption('us-east-1');
  await accessible(page, 'ways to use a connection');
  await shoot(page, '54-use');
  const shell = async (command) => (await promisify(execFile)('bash', ['-c', command], { env: { ...process.env, TOKEN: await token() } })).stdout;
  const narrowed = await shown('HTTP');
  assert.match(narrowed, /"readOnly":true,"region":"us-east-1"/);
  assert.match(JSON.parse(await shell(narrowed)).AccessKeyId, /^ASIA/);
  const [lines] = (await shown('Shell')).split('\naws sts');
  assert.match(await shell(`${lines}\necho "$AWS_ACCESS_KEY_ID $AWS_REGION"`), /^ASIA\w+ us-east-1$/m);
});

test('template: a stack that is older is told what changes, and how', async ({ page }) => {
  const made = (await api('POST', '/v1/connections', { name: unique('Older') })).body;
  const l = made.launch;
  const form = new URLSearchParams({ Action: 'CreateStack', Version: '2010-05-15', StackName: l.stackName, TemplateBody: old, 'Capabilities.member.1': 'CAPABILITY_NAMED_IAM' });
  Object.entries(l.parameters).forEach(([key, value], i) => {
    form.set(`Parameters.member.${i + 1}.ParameterKey`, key);
    form.set(`Parameters.member.${i + 1}.ParameterValue`, value);
  });
  await cloudFormation(account(), l.region, form);
  await until('enabled', async () => (await api('GET', `/v1/connections/${made.id}`)).body.status === 'enabled', 60_000);
  await signIn(page, 'Ada', `/connections/${made.id}`);
  const panel = page.locator('section').filter({ has: page.getByRole('heading', { name: 'A newer template' }) });
  await panel.waitFor();
  const { update } = (await api('GET', `/v1/connections/${made.id}`)).body.stack;
  await panel.getByText(`${update.from} → ${update.to}`).waitFor();
  for (const change of update.changes) await panel.getByText(change).waitFor();
  assert.equal(await panel.getByRole('link', { name: /Update the stack in AWS/ }).getAttribute('href'), update.updateUrl);
  await accessible(page, 'a newer template');
  await shoot(page, '55-template');
});

test('access keys: a rotation that fails keeps the old pair, and a role takes their place', async ({ context, page, expectErrors }) => {
  expectErrors(/4\d\d/);
  const id = account();
  const keys = await makeKeys(id);
  const made = (await api('POST', '/v1/connections', {
    name: unique('Old keys'), method: 'access_key', accountId: id, accessKey: { accessKeyId: keys.id, secretAccessKey: keys.secret },
  })).body;
  await page.route(`**/v1/connections/${made.id}`, async (route) => { // a hundred days pass in nobody's test
    const answer = await route.fetch();
    const c = await answer.json();
    if (c.accessKey) c.accessKey.ageDays = 100;
    await route.fulfill({ response: answer, json: c });
  });
  await signIn(page, 'Ada', `/connections/${made.id}`);
  await page.getByRole('heading', { name: 'This key is old' }).waitFor();
  const next = await makeKeys(id);
  await page.getByLabel('Access key ID').fill(next.id);
  await page.getByLabel('Secret access key').fill('wrong/wrong/wrong/wrong/wrong/wrong/wron');
  await page.getByRole('button', { name: 'Rotate keys' }).click();
  await page.getByText('Nothing has changed').waitFor();
  await accessible(page, 'a rotation that failed');
  await shoot(page, '56-keys-not-rotated');
  assert.equal((await api('GET', `/v1/connections/${made.id}`)).body.accessKey.accessKeyId, keys.id);
  await page.getByRole('button', { name: 'Prepare the link' }).click();
  await page.getByRole('link', { name: /Open AWS CloudFormation/ }).waitFor();
  await accessible(page, 'a key that is to become a role');

  // To its end: the same connection by its name and external ID, enabled by a role; the key is gone, from the page as well.
  const [tab] = await Promise.all([context.waitForEvent('page'), page.getByRole('link', { name: /Open AWS CloudFormation/ }).click()]);
  await tab.getByLabel('AWS account ID').fill(id);
  await createIt(tab);
  await tab.locator('#stack-status', { hasText: /^CREATE_COMPLETE$/ }).waitFor({ timeout: 60_000 });
  await comeBack(page);
  await page.getByText('Moved from access keys to a role').waitFor();
  await page.getByText('CloudFormation stack · AWS account').waitFor();
  await page.locator('.head .badge', { hasText: 'Enabled' }).waitFor();
  await page.getByRole('heading', { name: made.name, level: 1 }).waitFor();
  await page.getByRole('heading', { name: 'Access key', exact: true }).waitFor({ state: 'detached' });
  await accessible(page, 'a role in the place of keys');
  await shoot(page, '73-role-for-keys');
  const after = (await api('GET', `/v1/connections/${made.id}`)).body;
  assert.deepEqual([after.id, after.name, after.externalId, after.status, after.method, after.accountId, after.accessKey],
    [made.id, made.name, made.externalId, 'enabled', 'role', id, undefined]);
});

/** cloudFormation asks for something as the root of an account. */
async function cloudFormation(id, region, form) {
  const day = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const answer = await fetch(env.aws, {
    method: 'POST', body: form.toString(),
    headers: {
      'Content-Type': 'application/x-www-form-urlencoded', 'X-Amz-Date': day,
      Authorization: `AWS4-HMAC-SHA256 Credential=${id}/${day.slice(0, 8)}/${region}/cloudformation/aws4_request, SignedHeaders=host;x-amz-date, Signature=00`,
    },
  });
  assert.equal(answer.status, 200, await answer.text());
}
