// What a connection's page says when the platform's own permission set has changed, or a temporary key is about to end. Both
// take a deployment or hours in truth, so the API's answer is changed on its way; what the page then asks for is real.
import assert from 'node:assert/strict';
import { test } from './runner.mjs';
import { accessible, account, api, makeKeys, makeRole, shoot, signIn, unique } from './steps.mjs';

/** changed has a connection read as change makes it. */
async function changed(page, id, change) {
  await page.route(`**/v1/connections/${id}`, async (route) => {
    const answer = await route.fetch();
    const c = await answer.json();
    change(c);
    await route.fulfill({ response: answer, json: c });
  });
}

const news = 'With custom, the platform may also call ce:GetCostForecast.';

test('newer permissions: a stack is updated under the same version, a role made by hand is checked again', async ({ page }) => {
  const made = (await api('POST', '/v1/connections', { name: unique('By hand') })).body;
  const roleArn = await makeRole(account(), 'Newer', made.launch.trustPolicy);
  await api('PUT', `/v1/connections/${made.id}/role`, { roleArn });
  let update;
  await changed(page, made.id, (c) => Object.assign(c, update));
  update = { policyUpdate: { changes: [news], policyUrl: 'https://example.com/policy.json', cli: 'aws iam put-role-policy' } };
  await signIn(page, 'Ada', `/connections/${made.id}`);
  const panel = page.locator('section').filter({ has: page.getByRole('heading', { name: 'Newer permissions' }) });
  await panel.getByText(news).waitFor();
  await panel.getByText('With the AWS CLI').click();
  await panel.getByText('aws iam put-role-policy').waitFor();
  await accessible(page, 'newer permissions');
  await shoot(page, '56-permissions');
  const asked = page.waitForRequest((r) => r.method() === 'PUT' && r.url().endsWith(`/v1/connections/${made.id}/role`));
  await panel.getByRole('button', { name: 'Check the role' }).click();
  assert.deepEqual((await asked).postDataJSON(), { roleArn });

  update = { stack: { id: 'arn:aws:cloudformation:eu-west-1:222222222222:stack/one/1', region: 'eu-west-1', templateVersion: '1.3.0', update: {
    from: '1.3.0', to: '1.3.0', changes: [news], templateUrl: 'https://example.com/t.yaml', updateUrl: 'https://example.com/update', cli: 'aws cloudformation update-stack',
  } } };
  await page.reload();
  await panel.getByRole('link', { name: /Update the stack in AWS/ }).waitFor();
  await panel.getByText(news).waitFor();
});

test('access keys: a temporary key that is about to end says so', async ({ page }) => {
  const id = account();
  const keys = await makeKeys(id);
  const made = (await api('POST', '/v1/connections', {
    name: unique('Ending'), method: 'access_key', accountId: id, accessKey: { accessKeyId: keys.id, secretAccessKey: keys.secret },
  })).body;
  const expiresAt = new Date(Date.now() + 600_000).toISOString();
  await changed(page, made.id, (c) => {
    Object.assign(c.accessKey, { expiresAt, warning: { code: 'KEYS_ENDING', message: 'it ends', fix: 'Give a new one.' } });
  });
  await signIn(page, 'Ada', `/connections/${made.id}`);
  await page.getByRole('heading', { name: /This key ends/ }).waitFor();
  await accessible(page, 'a key that ends');
  await shoot(page, '57-ending');
});
