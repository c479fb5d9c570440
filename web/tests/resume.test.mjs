// A reload in each stage, and how the countdown is for those who hear it, or want nothing to move.
import assert from 'node:assert/strict';
import { test } from './runner.mjs';
import { account, api, begin, careless, makeKeys, makeRole, signIn, trustRole, unique, until } from './steps.mjs';
import { clock } from './failing.mjs';

test('resume: what was typed is there after a reload, and no key is', async ({ page }) => {
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  const name = unique('Typed');
  await widget.getByLabel('Name', { exact: true }).fill(name);
  await widget.getByRole('radio', { name: /Terraform/ }).check();
  await widget.locator('summary').click();
  await widget.getByLabel('Permissions').selectOption('power-user');
  await page.reload();
  await widget.getByRole('radio', { name: /Terraform/, checked: true }).waitFor();
  assert.equal(await widget.getByLabel('Name', { exact: true }).inputValue(), name);
  await widget.locator('summary').click();
  assert.equal(await widget.getByLabel('Permissions').inputValue(), 'power-user');

  const keys = await makeKeys(account());
  await widget.getByRole('radio', { name: /Access keys/ }).check();
  await widget.getByLabel('Account ID').fill('222222222222');
  await widget.getByLabel('Access key ID').fill(keys.id);
  await widget.getByLabel('Secret access key').fill(keys.secret);
  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  assert.ok(!stored.includes(keys.secret) && !stored.includes(keys.id), 'a key is stored in the browser');
  await page.reload();
  await widget.getByRole('radio', { name: /Access keys/, checked: true }).waitFor();
  assert.equal(await widget.getByLabel('Name', { exact: true }).inputValue(), name);
  assert.equal(await widget.getByLabel('Secret access key').inputValue(), '');

  // What was connected is not typed any more.
  await widget.getByRole('radio', { name: /CloudFormation/ }).check();
  await widget.getByRole('button', { name: 'Continue' }).click();
  await widget.locator('[data-launch]').waitFor();
  await page.reload();
  await widget.getByRole('button', { name: 'Connect another account instead' }).click();
  assert.equal(await widget.getByLabel('Name', { exact: true }).inputValue(), '');
});

test('resume: while it is being verified, and when it is connected', async ({ page }) => {
  const id = account();
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, unique('Reloaded'), 'IAM role by hand');
  const trust = await widget.locator('.snippet pre').first().innerText();
  await widget.getByLabel('Paste the role’s ARN').fill(await makeRole(id, 'Reloaded', careless));
  await widget.getByRole('button', { name: 'Verify role' }).click();
  const ring = widget.getByRole('img', { name: /minutes left/ });
  await ring.waitFor();
  const before = await clock(widget);
  await page.reload();
  await ring.waitFor();
  const after = await clock(widget);
  assert.ok(after <= before + 1 && after > before - 60, `${before} s left, after the reload ${after} s`);

  // Nothing but news is said aloud: the seconds and the tries are not.
  await page.evaluate(() => {
    window.aloud = [];
    const shadow = document.querySelector('rolecall-connect').shadowRoot;
    new MutationObserver((changes) => {
      for (const c of changes) {
        const node = c.target.nodeType === Node.TEXT_NODE ? c.target.parentElement : c.target;
        const live = node?.closest?.('[role=status],[role=alert],[aria-live]');
        if (live) window.aloud.push(live.textContent.trim());
      }
    }).observe(shadow, { subtree: true, childList: true, characterData: true });
  });
  await until('three seconds of the ring', async () => (await clock(widget)) <= after - 3, 20_000);
  const aloud = await page.evaluate(() => window.aloud);
  assert.ok(aloud.length <= 2 && !aloud.some((t) => /\d:\d\d|Try \d/.test(t)), `said aloud: ${aloud.join(' | ')}`);

  // Who wants nothing to move gets a ring that jumps.
  const motion = () => page.evaluate(() => {
    const shadow = document.querySelector('rolecall-connect').shadowRoot;
    return [getComputedStyle(shadow.querySelector('.ring .left')).transitionDuration, getComputedStyle(shadow.querySelector('.steps .now .dot'), '::after').animationName];
  });
  assert.deepEqual(await motion(), ['0.3s', 'pulse']);
  await page.emulateMedia({ reducedMotion: 'reduce' });
  assert.deepEqual(await motion(), ['0s', 'none']);
  await page.emulateMedia({ reducedMotion: null });
  await page.setViewportSize({ width: 360, height: 740 });
  const box = await ring.boundingBox();
  assert.ok(box.x >= 0 && box.x + box.width <= 360 && box.width >= 48, `the ring at 360 px: ${JSON.stringify(box)}`);

  await trustRole(id, 'Reloaded', trust);
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor({ timeout: 90_000 });
  await page.reload();
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
});

test('resume: by keyboard alone through a refusal at once, and the way on', async ({ page, expectErrors }) => {
  expectErrors(/400/);
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, unique('Keys only'), 'IAM role by hand');
  const made = (await until('the connection', async () => page.evaluate(() => localStorage.getItem(`rolecall-connect:${location.origin}`))));
  const c = (await api('GET', `/v1/connections/${JSON.parse(made).id}`)).body;
  await widget.getByLabel('Paste the role’s ARN').focus();
  await page.keyboard.type('no role');
  await page.keyboard.press('Enter');
  await widget.getByText('ROLE_ARN_INVALID').waitFor();
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type(await makeRole(account(), 'Typed', c.launch.trustPolicy));
  await page.keyboard.press('Enter');
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
  const focused = () => page.evaluate(() => document.activeElement?.shadowRoot?.activeElement?.textContent?.trim());
  await until('the news has the focus', async () => (await focused()) === 'Connected');
  await until('Done by the keyboard', async () => {
    await page.keyboard.press('Tab');
    return (await focused()) === 'Done';
  });
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: c.name, level: 1 }).waitFor();
});
