// Verdicts that take their time: IAM gets 105 seconds to spread a role before a refusal is for good. All these tests wait
// at the same time, beside the others.
import assert from 'node:assert/strict';
import { env, test } from './runner.mjs';
import { accessible, account, api, begin, makeRole, shoot, signIn, trustRole, unique, until } from './steps.mjs';
import { age, clock, copied, iam, allow, openStack, rights, stackIs, strike, submitStack, trusting } from './failing.mjs';

const slow = { slow: true, context: { permissions: ['clipboard-read', 'clipboard-write'] } };
const verdict = { timeout: 150_000 };

test('waiting: a role that stays wrong is refused when the ring is empty, mended, and tried again', async ({ page }) => {
  const [id, name] = [account(), unique('Stays wrong')];
  const made = (await api('POST', '/v1/connections', { name })).body;
  const role = await makeRole(id, 'Stays', trusting({ Bool: { 'aws:MultiFactorAuthPresent': 'true' } }));
  void api('PUT', `/v1/connections/${made.id}/role`, { roleArn: role }); // it waits with us for some time
  await signIn(page, 'Ada', `/connect/${made.id}`);
  const widget = page.locator('rolecall-connect');
  await widget.getByRole('img', { name: /minutes left/ }).waitFor();

  // The ring goes down to the end and never up again, and nothing is called final before that.
  const said = [];
  await until('the verdict', async () => {
    if (await widget.getByRole('heading', { name: 'The role was refused' }).isVisible()) return true;
    const left = await clock(widget).catch(() => undefined);
    if (left !== undefined) said.push(left);
    await page.waitForTimeout(400);
    return false;
  }, 150_000);
  assert.ok(said.every((s, i) => !i || s <= said[i - 1] + 1), `the ring went up: ${said.join(' ')}`);
  assert.ok(said[0] > 60 && said[0] <= 106 && said.at(-1) <= 10, `the ring went from ${said[0]} s to ${said.at(-1)} s`);

  await widget.getByText('ROLE_NOT_ASSUMABLE').waitFor();
  await widget.getByText('How to fix it').waitFor();
  assert.equal(await until('the heading has the focus', () => page.evaluate(() => document.activeElement?.shadowRoot?.activeElement?.textContent?.trim())), 'The role was refused');
  await accessible(page, 'a definitive refusal');
  await shoot(page, '60-refused');
  const fix = JSON.parse(await copied(page, widget.locator('.fix').getByRole('button', { name: 'Copy the policy' })));
  assert.ok(JSON.stringify(fix).includes('sts:ExternalId'));

  // Mended and tried again: the same connection, name and external ID.
  await trustRole(id, 'Stays', made.launch.trustPolicy);
  await widget.getByRole('button', { name: 'Try again' }).click();
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
  const after = (await api('GET', `/v1/connections/${made.id}`)).body;
  assert.deepEqual([after.name, after.externalId, after.status], [name, made.externalId, 'enabled']);
}, slow);

test('waiting: a boundary that is too narrow has the stack rolled back with the reason, and a new link connects', async ({ context, page }) => {
  const id = account();
  await iam(id, 'CreatePolicy', { PolicyName: 'Narrow', PolicyDocument: allow('iam:GetRole', 's3:ListAllMyBuckets') });
  const made = (await api('POST', '/v1/connections', { name: unique('Narrow') })).body;
  const link = made.launch.quickCreateUrl;
  const tab = await openStack(context, link, id, { PermissionsBoundaryArn: `arn:aws:iam::${id}:policy/Narrow` });
  await submitStack(tab);
  await signIn(page, 'Ada', `/connect/${made.id}`);
  const widget = page.locator('rolecall-connect');
  // Until CloudFormation has taken the verdict, nothing of the role is kept or shown.
  await widget.getByRole('heading', { name: 'AWS is creating the role' }).waitFor();
  await widget.getByText('Stack started').first().waitFor();
  await stackIs(tab, 'ROLLBACK_COMPLETE', 150_000);
  await tab.locator('#events').getByText('REGIONS_DENIED').first().waitFor(); // the customer reads the same in AWS
  await widget.getByRole('button', { name: 'Try again with a new link' }).waitFor();
  await widget.getByText('REGIONS_DENIED').first().waitFor();
  await widget.getByText('permissions boundary').first().waitFor();
  await accessible(page, 'a stack that was rolled back');
  await shoot(page, '61-boundary');
  await widget.getByRole('button', { name: 'Try again with a new link' }).click();
  const fresh = await until('another link', async () => {
    const href = await widget.locator('[data-launch]').getAttribute('href');
    return href !== link && href;
  });
  await submitStack(await openStack(context, fresh, id));
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
}, slow);

/** Roles that are wrong in one way each, and what the widget must say about it. */
const wrong = [
  { code: 'ROLE_NOT_ASSUMABLE', trust: () => trusting({ StringEquals: { 'sts:ExternalId': 'another-vendors-external-id' } }), says: 'cannot be assumed', copies: 'sts:ExternalId' },
  { code: 'EXTERNAL_ID_NOT_REQUIRED', trust: () => trusting(), says: 'without an external ID', copies: 'sts:ExternalId' },
  { code: 'EXTERNAL_ID_IGNORED', trust: () => trusting({ StringLike: { 'sts:ExternalId': '*' } }), says: 'with a wrong external ID', copies: 'sts:ExternalId' },
  { code: 'TRUST_TOO_BROAD', trust: (external) => trusting({ StringEquals: { 'sts:ExternalId': external } }, '*'), says: 'admits any principal', copies: 'sts:ExternalId' },
  { code: 'REGIONS_DENIED', actions: ['iam:GetRole'], says: 'may not list', copies: 'ec2:DescribeRegions' },
  { code: 'PERMISSIONS_MISSING', actions: ['ec2:DescribeRegions', 'iam:GetRole', 'iam:SimulatePrincipalPolicy'], says: 'cloudformation:DescribeStacks' },
];

test('waiting: each way in which a role is wrong is named with its fix', async ({ page }) => {
  const tried = await Promise.all(wrong.map(async (w) => {
    const [id, made] = [account(), (await api('POST', '/v1/connections', { name: unique(w.code) })).body];
    const role = await makeRole(id, 'Wrong', w.trust ? w.trust(made.externalId) : made.launch.trustPolicy);
    if (w.actions) await rights(id, 'Wrong', ...w.actions);
    void api('PUT', `/v1/connections/${made.id}/role`, { roleArn: role }); // it waits with us for some time
    return { ...w, id: made.id };
  }));
  await signIn(page, 'Ada', `/connect/${tried[0].id}`);
  const widget = page.locator('rolecall-connect');
  for (const w of tried) {
    await until(`${w.code} is final`, async () => (await api('GET', `/v1/connections/${w.id}`)).body.status === 'failed', 150_000);
  }
  for (const w of tried) {
    await page.goto(`${env.url}/connect/${w.id}`);
    const note = widget.getByRole('alert');
    await note.getByText(w.code, { exact: true }).waitFor();
    await note.getByText(w.says).first().waitFor();
    await note.getByText('How to fix it').waitFor();
    const button = note.locator('.fix').getByRole('button', { name: /^Copy the (policy|fix)$/ }).first();
    const text = await copied(page, button);
    if (w.copies) assert.ok(JSON.stringify(JSON.parse(text)).includes(w.copies), `${w.code} copies ${text}`);
    await widget.getByRole('button', { name: 'Try again' }).waitFor();
  }
  const last = tried.at(-1);
  await accessible(page, last.code);
  await page.goto(`${env.url}/connections/${last.id}`);
  await page.locator('.note').getByText(last.code, { exact: true }).waitFor();
  await page.locator('.note').getByText('How to fix it').waitFor();
  await shoot(page, '62-failed-connection');
}, slow);

test('waiting: while AWS itself fails nothing is refused, and it is said', async ({ page }) => {
  const [id, role] = [account(), unique('Outage').replace(/\W/g, '')];
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, unique('Outage'), 'IAM role by hand');
  const arn = await makeRole(id, role, await widget.locator('.snippet pre').first().innerText());
  const over = await strike('ec2', `${role}/rolecall-verify`);
  try {
    await widget.getByLabel('Paste the role’s ARN').fill(arn);
    await widget.getByRole('button', { name: 'Verify role' }).click();
    await widget.getByText('this says nothing about the role').first().waitFor();
    await accessible(page, 'AWS does not answer');
    await widget.getByText('AWS itself does not answer as it should').waitFor(verdict);
    assert.equal(await clock(widget), 0);
    await shoot(page, '63-outage');
    await page.reload(); // the reader may leave meanwhile
    await widget.getByText('AWS itself does not answer as it should').waitFor();
  } finally {
    await over();
  }
}, slow);

test('waiting: a link that nobody used expires, and another one is had for the same connection', async ({ page }) => {
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, unique('Expired'));
  const link = await widget.locator('[data-launch]').getAttribute('href');
  const { items } = (await api('GET', '/v1/connections?limit=100&status=pending')).body;
  const c = items.find((i) => link.includes(i.id));
  await age(c.id);
  await page.reload(); // the link has ended, and the schedule has not looked yet
  await widget.getByRole('heading', { name: 'The link has expired' }).waitFor();
  await accessible(page, 'an expired link');
  await shoot(page, '64-expired');
  await until('expired', async () => (await api('GET', `/v1/connections/${c.id}`)).body.status === 'expired', 150_000);
  await page.goto(`${env.url}/connections/${c.id}`);
  await page.getByRole('heading', { name: 'The link has expired' }).waitFor();
  await page.getByText('LAUNCH_EXPIRED').waitFor();
  await accessible(page, 'an expired connection');
  await page.getByRole('link', { name: 'Connect again' }).click();
  await widget.getByRole('heading', { name: 'The link has expired' }).waitFor();
  await widget.getByRole('button', { name: 'Try again with a new link' }).click();
  await widget.locator('[data-launch]').waitFor();
  const again = (await api('GET', `/v1/connections/${c.id}`)).body;
  assert.equal(again.status, 'pending');
  assert.equal(again.externalId, c.externalId);
}, slow);
