// Codes that a reader of the browser can meet, each through the real API: what the API says is what is shown, with the fix and
// something to copy it by. Verdicts that take 105 seconds are in waiting.test.mjs.
import assert from 'node:assert/strict';
import { test } from './runner.mjs';
import { accessible, account, api, begin, makeKeys, makeRole, shoot, signIn, unique, until } from './steps.mjs';
import { connectRole, copied, iam, strike } from './failing.mjs';

const clipboard = { context: { permissions: ['clipboard-read', 'clipboard-write'] } };
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** shows compares what is shown with the API's own answer to the same request. */
async function shows(page, widget, code, answer) {
  assert.ok(answer.status >= 400 && answer.body.code === code, `${code}: the API says ${answer.status} ${JSON.stringify(answer.body)}`);
  const note = widget.getByRole('alert').filter({ hasText: code });
  await note.waitFor();
  await note.getByText(sentence(answer.body.detail)).waitFor();
  if (!answer.body.fix) return;
  await note.getByText('How to fix it').waitFor();
  const text = await copied(page, note.locator('.fix').getByRole('button', { name: /^Copy the (policy|fix)$/ }));
  if (!answer.body.fix.includes('{')) assert.equal(text, answer.body.fix);
  else assert.ok(answer.body.fix.replaceAll(/\s/g, '').includes(text.replaceAll(/\s/g, '')), `${code} copies ${text}`);
}

const random = (alphabet, length) => Array.from({ length }, () => alphabet[Math.floor(Math.random() * alphabet.length)]).join('');

test('codes: access keys that are refused say why and what to do', async ({ page, expectErrors }) => {
  expectErrors(/40[039]|503/);
  const [id, other] = [account(), account()];
  const good = await makeKeys(id);
  const blind = await makeKeys(id, 's3:ListAllMyBuckets');
  const unlucky = await makeKeys(id);
  const text = await iam(id, 'CreateAccessKey', {}); // of the root user
  const root = { id: /<AccessKeyId>([^<]+)/.exec(text)[1], secret: /<SecretAccessKey>([^<]+)/.exec(text)[1] };
  const over = await strike('sts', `user/${unlucky.user}`);
  const rows = [
    ['ACCOUNT_INVALID', '12345', good],
    ['KEYS_INVALID', id, { id: `AKIA${random('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16)}`, secret: random('abcdefgh', 40) }],
    ['KEYS_INVALID', id, { ...good, secret: random('abcdefgh', 40) }],
    ['KEYS_ACCOUNT_MISMATCH', other, good],
    ['ROOT_KEYS_REFUSED', id, root],
    ['REGIONS_DENIED', id, blind],
    ['PLATFORM_ACCOUNT', '111111111111', good],
    ['STS_UNAVAILABLE', id, unlucky],
  ];
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  const name = unique('Codes of keys');
  await widget.getByLabel('Name', { exact: true }).fill(name);
  await widget.getByRole('radio', { name: /Access keys/ }).check();
  try {
    for (const [code, accountId, keys] of rows) {
      await widget.getByLabel('Account ID').fill(accountId);
      await widget.getByLabel('Access key ID').fill(keys.id);
      await widget.getByLabel('Secret access key').fill(keys.secret);
      const answer = await api('POST', '/v1/connections', { name, method: 'access_key', accountId, accessKey: { accessKeyId: keys.id, secretAccessKey: keys.secret } });
      await widget.getByRole('button', { name: 'Connect', exact: true }).click();
      await shows(page, widget, code, answer);
    }
    await accessible(page, 'refused keys');
    await shoot(page, '67-keys-refused');
  } finally {
    await over();
  }
  // Nothing of it was kept: the same form, with the right keys, connects under the same name.
  await widget.getByLabel('Account ID').fill(id);
  await widget.getByLabel('Access key ID').fill(good.id);
  await widget.getByLabel('Secret access key').fill(good.secret);
  await widget.getByRole('button', { name: 'Connect', exact: true }).click();
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
}, clipboard);

test('codes: roles that are refused at once say why and what to do', async ({ page, expectErrors }) => {
  expectErrors(/40[039]/);
  const [id, other] = [account(), account()];
  const taken = await connectRole(id, unique('Holder'));
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, unique('Codes of roles'), 'IAM role by hand');
  const field = widget.getByLabel('Paste the role’s ARN');
  await field.waitFor();
  const kept = await page.evaluate(() => JSON.parse(localStorage.getItem(`rolecall-connect:${location.origin}`)).id);
  const paste = async (code, arn) => {
    await field.fill(arn);
    await widget.getByRole('button', { name: 'Verify role' }).click();
    await shows(page, widget, code, await api('PUT', `/v1/connections/${kept}/role`, { roleArn: arn }));
  };
  await paste('ROLE_ARN_INVALID', 'the role');
  await paste('PLATFORM_ACCOUNT', 'arn:aws:iam::111111111111:role/rolecall/Own');
  await paste('PARTITION_MISMATCH', `arn:aws-cn:iam::${id}:role/Elsewhere`);
  await paste('ROLE_IN_USE', taken.arn);
  await accessible(page, 'refused roles');

  // Of another account than the connection has: it was enabled a moment ago by somebody else, and this page has not yet heard.
  await page.route(`**/v1/connections/${kept}{,/status}`, () => undefined);
  const trust = await widget.locator('.snippet pre').first().innerText();
  const arn = await makeRole(id, 'Quick', trust);
  assert.equal((await api('PUT', `/v1/connections/${kept}/role`, { roleArn: arn })).body.status, 'enabled');
  await paste('ACCOUNT_MISMATCH', `arn:aws:iam::${other}:role/Other`);
}, clipboard);

test('codes: who asks too often is told when to go on, and a page that looks too often goes on by itself', async ({ page, expectErrors }) => {
  expectErrors(/429/);
  // A tenant may have 300 verifications a minute, too many to use up here: the answers are written in the API's own form, as
  // shared/httpapi's tests have it, and the gateway's own.
  const limited = {
    status: 429, headers: { 'Retry-After': '17' }, contentType: 'application/problem+json',
    body: JSON.stringify({ title: 'Too Many Requests', status: 429, code: 'TOO_MANY_REQUESTS', detail: 'this tenant asks for verifications too often', fix: 'Let verifications that are under way end, and try again after the time in Retry-After.', requestId: 'r-1' }),
  };
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, unique('Too often'), 'IAM role by hand');
  const field = widget.getByLabel('Paste the role’s ARN');
  await field.fill(`arn:aws:iam::${account()}:role/Any`);
  await page.route('**/role', (r) => r.fulfill(limited));
  await widget.getByRole('button', { name: 'Verify role' }).click();
  const note = widget.getByRole('alert');
  await note.getByText('TOO_MANY_REQUESTS').waitFor();
  await note.getByText('Try again in 17 s.').waitFor();
  await note.getByText('How to fix it').waitFor();
  await accessible(page, 'too many requests');
  await shoot(page, '68-too-often');

  let refusals = 0;
  await page.route('**/v1/connections/conn_*/status', (r) => {
    if (refusals++ < 2) return r.fulfill({ status: 429, contentType: 'application/json', body: '{"message":"Too Many Requests"}' });
    return r.continue();
  });
  await until('two refusals, and a look after them', () => refusals > 2, 20_000);
  assert.equal(await widget.getByText('This cannot be shown').count(), 0);
  await field.waitFor();
}, clipboard);
