// Signing in, staying so, and what is said when that ends; the ways that browsers lead through the console.
import assert from 'node:assert/strict';
import { env, test } from './runner.mjs';
import { accessible, api, shoot, signIn, unique } from './steps.mjs';

test('session: a token that has ended is renewed, and nobody notices', async ({ page, expectErrors }) => {
  expectErrors(/401/);
  await signIn(page, 'Ada', '/settings');
  let refused = 0;
  await page.route('**/v1/connections?*', (r) => (refused++ ? r.continue() : r.fulfill({ status: 401, contentType: 'application/json', body: '{"message":"Unauthorized"}' })));
  const renewed = page.waitForRequest((r) => r.url().endsWith('/oidc/token') && r.postData()?.includes('grant_type=refresh_token'));
  await page.getByRole('link', { name: 'Connections' }).click();
  await renewed;
  await page.locator('.rows, .empty').waitFor();

  // A token that has ended while the tab was away, too.
  await page.evaluate(() => {
    for (const [k, v] of Object.entries(sessionStorage)) {
      if (k.startsWith('oidc.user:')) sessionStorage.setItem(k, JSON.stringify({ ...JSON.parse(v), expires_at: 1 }));
    }
  });
  await page.reload();
  await page.locator('.rows, .empty').waitFor();
});

test('session: a sign-in that is cancelled, unreachable, or of another tab', async ({ page, expectErrors }) => {
  expectErrors(/ERR_FAILED|Failed to load/);
  await page.goto(`${env.url}/settings`);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: /Ada/ }).waitFor();
  await accessible(page, 'the demo tenants');
  await shoot(page, '16-demo-tenants');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByText('The sign-in was cancelled.').waitFor();
  await accessible(page, 'a cancelled sign-in');
  await shoot(page, '17-cancelled');
  await page.goto(`${env.url}/callback?code=x&state=y`);
  await page.getByText('This sign-in was begun in another tab, or is over.').waitFor();
  await page.route('**/.well-known/openid-configuration', (r) => r.abort());
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('The sign-in page cannot be reached.').waitFor();
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: /Ada/ }).click();
  await page.getByRole('heading', { name: 'Connections', level: 1 }).waitFor();
});

test('session: the console’s settings out of reach, a page that is gone, and a token that may not', async ({ page, expectErrors }) => {
  expectErrors(/ERR_FAILED|Failed to (load|fetch)|403|preload/);
  await page.route('**/config.json', (r) => r.abort());
  await page.goto(env.url);
  await page.getByRole('button', { name: 'Try again' }).waitFor();
  await accessible(page, 'settings out of reach');
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Try again' }).click();
  await signIn(page, 'Ada');
  await page.route('**/v1/config', (r) => r.fulfill({
    status: 403, contentType: 'application/problem+json',
    body: JSON.stringify({ title: 'Forbidden', status: 403, code: 'SCOPE_MISSING', detail: 'the token lacks the scope connections:read', fix: 'Ask for a token with the scope connections:read.', requestId: 'r-1' }),
  }));
  await page.getByRole('link', { name: 'Settings' }).click();
  await page.getByText('SCOPE_MISSING').waitFor();
  await page.getByText('How to fix it').waitFor();
  await accessible(page, 'what the token may not');
  await shoot(page, '18-may-not');
  await page.route('**/assets/docs-*.js', (r) => r.abort()); // as after a deployment
  await page.getByRole('link', { name: 'Docs' }).click();
  await page.getByRole('heading', { name: 'This page could not be loaded' }).waitFor();
  await accessible(page, 'a page that is gone');
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Reload' }).click();
  await page.getByRole('heading', { name: 'Documentation' }).waitFor();
});

test('session: back, forward, and titles', async ({ page }) => {
  const c = (await api('POST', '/v1/connections', { name: unique('History') })).body;
  await signIn(page, 'Ada', `/connections/${c.id}`); // the way that a link in a mail takes
  await page.getByRole('heading', { name: c.name, level: 1 }).waitFor();
  await page.getByRole('link', { name: 'Settings' }).click();
  await page.getByRole('heading', { name: 'Settings', level: 1 }).waitFor();
  assert.equal(await page.title(), 'Settings · Rolecall');
  await page.getByRole('link', { name: 'Docs' }).click();
  await page.getByRole('link', { name: 'Embed the widget' }).click();
  await page.getByRole('heading', { name: 'Connect an account from your own page' }).waitFor();
  await page.goBack();
  await page.locator('summary').filter({ hasText: 'Create a connection' }).waitFor();
  await page.goBack();
  await page.getByRole('heading', { name: 'Settings', level: 1 }).waitFor();
  await page.goBack();
  await page.getByRole('heading', { name: c.name, level: 1 }).waitFor();
  await page.goForward();
  await page.getByRole('heading', { name: 'Settings', level: 1 }).waitFor();
  await page.goBack();
  await page.getByRole('link', { name: 'Continue connecting' }).click();
  await page.locator('rolecall-connect [data-launch]').waitFor();
  await page.goBack();
  await page.getByRole('heading', { name: c.name, level: 1 }).waitFor();
});
