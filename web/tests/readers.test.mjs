// Who may read and not write: launches are not shown to them, and the pages say what they lack.
import assert from 'node:assert/strict';
import { test } from './runner.mjs';
import { accessible, api, embed, shoot, signIn, token, unique } from './steps.mjs';

const lacks = 'connections:write';
const reads = 'connections:read';

/** reading lets a page ask the API with the token of somebody who may only read, whoever has signed in. */
async function reading(page) {
  const reader = await token('acme', reads);
  await page.route('**/v1/**', (r) => r.continue({ headers: { ...r.request().headers(), authorization: `Bearer ${reader}` } }));
}

test('readers: the widget says that it may not show the link, and does not call it expired', async ({ page }) => {
  const made = (await api('POST', '/v1/connections', { name: unique('Read only') })).body;
  await embed(page, 'acme', { token: await token('acme', reads), 'a-connection-id': made.id });
  const widget = page.locator('rolecall-connect');
  await widget.getByRole('heading', { name: 'The link is not shown to you' }).waitFor();
  await widget.getByText(lacks).waitFor();
  await widget.getByText('Waiting for the stack').first().waitFor();
  assert.equal(await widget.getByText('expired').count(), 0);
  assert.equal(await widget.locator('[data-launch]').count(), 0);
  assert.ok(!(await widget.innerHTML()).includes('CallbackToken'));
  await accessible(page, 'the widget of somebody who may only read');
  await shoot(page, '70-widget-reader');
  await page.reload();
  await widget.getByRole('heading', { name: 'The link is not shown to you' }).waitFor();
});

test('readers: what they try to create is refused in words', async ({ page, expectErrors }) => {
  expectErrors(/403/);
  await embed(page, 'acme', { token: await token('acme', reads) });
  const widget = page.locator('rolecall-connect');
  await widget.getByLabel('Name', { exact: true }).fill(unique('Refused'));
  await widget.getByRole('button', { name: 'Continue' }).click();
  await widget.getByText(`without the scope ${lacks}`).waitFor();
  await widget.getByText('SCOPE_MISSING').waitFor();
});

test('readers: the console says what the sign-in lacks', async ({ page }) => {
  const made = (await api('POST', '/v1/connections', { name: unique('Read in the console') })).body;
  const enrolled = (await api('POST', '/v1/enrolments', { organizationId: `o-${Date.now().toString(36).slice(-8)}rd`, organizationalUnitIds: ['r-ab12'] })).body;
  await signIn(page, 'Ada');
  await reading(page);
  await page.goto(page.url().replace(/\/$/, '') + `/organizations/${enrolled.id}`);
  await page.getByText(lacks).waitFor();
  assert.equal(await page.getByRole('link', { name: /Open AWS CloudFormation/ }).count(), 0);
  await accessible(page, 'an enrolment of somebody who may only read');
  await shoot(page, '71-enrolment-reader');
  await page.goto(new URL(`/connections/${made.id}`, page.url()).href);
  await page.getByRole('link', { name: 'Continue connecting' }).click();
  await page.locator('rolecall-connect').getByRole('heading', { name: 'The link is not shown to you' }).waitFor();
});
