// A connection that is for one account: whoever signs in to another one by mistake is told so, and goes on with the right one.
import assert from 'node:assert/strict';
import { test } from './runner.mjs';
import { accessible, account, api, begin, createStack, embed, shoot, signIn, unique } from './steps.mjs';

test('expected account: another one is refused in words, and the right one connects by the same link', async ({ context, page }) => {
  const [right, wrong, name] = [account(), account(), unique('One account')];
  await embed(page, 'acme', { 'a-expected-account': right });
  const widget = page.locator('rolecall-connect');
  await begin(widget, name);
  await widget.getByText(`AWS account ${right}, to be connected`).waitFor();
  await widget.getByText('any other is refused').waitFor();
  await createStack(context, widget, wrong);
  await widget.getByRole('heading', { name: 'Another account was refused' }).waitFor();
  await widget.getByText(wrong).first().waitFor();
  await widget.getByText('ACCOUNT_MISMATCH').waitFor();
  await accessible(page, 'another account was refused');
  await shoot(page, '72-another-account');
  const found = (await api('GET', `/v1/connections?q=${encodeURIComponent(name)}`)).body.items[0];
  assert.deepEqual([found.status, found.expectedAccountId, found.accountId], ['pending', right, undefined]);

  const seen = await context.newPage();
  await signIn(seen, 'Ada', `/connections/${found.id}`);
  await seen.getByRole('heading', { name: 'Another account was refused' }).waitFor();
  await seen.getByText('Expected account', { exact: true }).waitFor();
  await accessible(seen, 'the page of a connection that refused another account');

  await page.bringToFront();
  await createStack(context, widget, right);
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
  assert.equal((await api('GET', `/v1/connections/${found.id}`)).body.accountId, right);
});

test('expected account: the form takes one, and says what is wrong with it', async ({ page, expectErrors }) => {
  expectErrors(/400/);
  await embed(page, 'acme');
  const widget = page.locator('rolecall-connect');
  await widget.getByText('Region, permissions and account').click();
  await widget.getByLabel('AWS account ID').fill('12345');
  await accessible(page, 'an account in the form');
  await begin(widget, unique('Mistyped'));
  await widget.getByText('ACCOUNT_INVALID').waitFor();
  const id = account();
  await widget.getByLabel('AWS account ID').fill(id);
  await widget.getByRole('button', { name: 'Continue' }).click();
  await widget.getByText(`AWS account ${id}, to be connected`).waitFor();
});
