import assert from 'node:assert/strict';
import { env, test } from './runner.mjs';
import { accessible, account, begin, createIt, createStack, openLink, shoot, signIn, unique, until } from './steps.mjs';

test('journey: two actions, from a name to Enabled', async ({ context, page }) => {
  const id = account();
  const name = unique('Production');
  await page.goto(env.url);
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  await accessible(page, 'the sign-in page');
  await shoot(page, '01-signed-out');
  await signIn(page);
  await page.getByRole('link', { name: 'Connect account' }).first().click();

  const widget = page.locator('rolecall-connect');
  await widget.getByLabel('Name', { exact: true }).fill(name);
  await widget.getByText('This name is free.').waitFor();
  await accessible(page, 'the name');
  await shoot(page, '02-name');
  await begin(widget, name);

  await widget.getByText('I acknowledge that AWS CloudFormation might create IAM resources').waitFor();
  await widget.locator('.what', { hasText: 'Waiting for the stack' }).waitFor();
  await accessible(page, 'the prepared link');
  await shoot(page, '03-link');
  const tab = await openLink(context, widget, id);
  await accessible(tab, 'the quick-create page');
  await shoot(tab, '15-quick-create');
  await createIt(tab);
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
  assert.equal(await widget.locator('.checks .passed').count(), 6);
  await accessible(page, 'Enabled');
  await shoot(page, '04-enabled');
  await tab.locator('#stack-status', { hasText: 'CREATE_COMPLETE' }).waitFor();
  await accessible(tab, 'the stack');
  await shoot(tab, '05-stack');

  await widget.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
  await page.getByText('Role reported').waitFor(); // the stack’s start is no news once its role has come
  await accessible(page, 'the connection');
  await shoot(page, '06-connection');
  await page.getByRole('button', { name: 'Verify now' }).click();
  await page.getByText('As asked for just now').waitFor();

  await page.getByRole('link', { name: '← Connections' }).click();
  await page.getByRole('link', { name }).waitFor();
  await accessible(page, 'the list');
  await shoot(page, '07-list');
});

test('journey: from Continue to Enabled within eight seconds of this machine', async ({ context, page }) => {
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  const began = Date.now();
  await begin(widget, unique('Quick'));
  await widget.locator('[data-launch]').waitFor();
  const linked = Date.now();
  await createStack(context, widget, account());
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
  const took = Date.now() - began;
  console.log(`        Continue to link ${linked - began} ms, to Enabled ${took} ms`);
  assert.ok(took < 8000, `${took} ms from Continue to Enabled`);
}, { alone: true });

test('journey: a taken name is said at once, in another spelling too', async ({ page }) => {
  const name = unique('Taken');
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, name);
  await widget.locator('[data-launch]').waitFor();
  await page.goto(`${env.url}/`);
  await page.evaluate(() => localStorage.clear());
  await page.goto(`${env.url}/connect`);
  await widget.getByLabel('Name', { exact: true }).fill(name.toUpperCase());
  await widget.getByText('This name is taken, or was once; choose another.').waitFor();
  await accessible(page, 'a taken name');
  await shoot(page, '09-name-taken');
  await widget.getByRole('button', { name: 'Continue' }).click();
  await until('the name has the focus again', () => page.evaluate(() => document.activeElement?.shadowRoot?.activeElement?.id === 'name'));
  assert.equal(await widget.locator('[data-launch]').count(), 0);
});

test('journey: taken up after a reload and in another tab', async ({ context, page }) => {
  const name = unique('Resumed');
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, name);
  const link = await widget.locator('[data-launch]').getAttribute('href');
  await page.reload();
  await widget.locator('[data-launch]').waitFor();
  assert.equal(await widget.locator('[data-launch]').getAttribute('href'), link, 'a reload shows the same link');
  await page.close(); // the tab is closed; the stack is created; a new tab tells how it went
  const customer = await context.newPage();
  await customer.goto(link);
  await customer.getByLabel('AWS account ID').fill(account());
  await customer.getByRole('checkbox', { name: /I acknowledge/ }).check();
  await customer.getByRole('button', { name: 'Create stack' }).click();
  await customer.locator('#stack-status', { hasText: 'CREATE_COMPLETE' }).waitFor();
  const again = await context.newPage();
  await signIn(again, 'Ada', '/connect');
  await again.locator('rolecall-connect').getByRole('heading', { name: 'Connected', exact: true }).waitFor();
  await again.locator('rolecall-connect').getByText(name).first().waitFor();
});

test('journey: by keyboard alone', async ({ context, page }) => {
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await widget.getByLabel('Name', { exact: true }).focus();
  await page.keyboard.type(unique('Keyboard'));
  await page.keyboard.press('Enter');
  await widget.locator('[data-launch]').waitFor();
  await until('the link has the focus', async () => {
    await page.keyboard.press('Tab');
    return page.evaluate(() => document.activeElement?.shadowRoot?.activeElement?.hasAttribute('data-launch'));
  });
  const [tab] = await Promise.all([context.waitForEvent('page'), page.keyboard.press('Enter')]);
  await tab.getByRole('heading', { name: 'Quick create stack' }).waitFor();
});
