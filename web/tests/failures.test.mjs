import { env, test } from './runner.mjs';
import { accessible, account, api, begin, careless, makeRole, shoot, signIn, trustRole, unique, until } from './steps.mjs';
import { clock } from './failing.mjs';

/** pasting a role shows the guide for it, and gives the ARN. */
async function paste(widget, arn) {
  await widget.getByLabel('Paste the role’s ARN').fill(arn);
  await widget.getByRole('button', { name: 'Verify role' }).click();
}

test('failures: a role that forgets the external ID is refused with the fix, mended, and tried again', async ({ page }) => {
  const id = account();
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, unique('Careless'), 'IAM role by hand');
  await widget.getByText('Make a role by hand').waitFor();
  await accessible(page, 'a role by hand');
  await shoot(page, '10-role-by-hand');
  const trust = await widget.locator('.snippet pre').first().innerText();
  await paste(widget, await makeRole(id, 'Careless', careless));

  // IAM may take its time to spread a trust policy, so the verdict waits; what is wrong is said at once.
  await widget.getByRole('img', { name: /At most 1:\d\d minutes left/ }).waitFor();
  const first = await clock(widget);
  await widget.getByText('can be assumed without an external ID').first().waitFor();
  await widget.getByText(/^Try \d+( in \d+ s| is being made now)$/).waitFor();
  await accessible(page, 'verifying');
  await shoot(page, '11-verifying');
  await until('the ring counts down', async () => (await clock(widget)) < first);

  // Mended while it is being verified: the next try passes, and nothing was started over.
  await trustRole(id, 'Careless', trust);
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor({ timeout: 60_000 });
});

test('failures: what is no ARN, and a role of the platform itself', async ({ page, expectErrors }) => {
  expectErrors(/400/);
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, unique('Wrong'), 'IAM role by hand');
  await paste(widget, 'my role');
  await widget.getByText('ROLE_ARN_INVALID').waitFor();
  await shoot(page, '12-no-arn');
  await paste(widget, 'arn:aws:iam::111111111111:role/rolecall/Own');
  await widget.getByRole('alert').getByText('PLATFORM_ACCOUNT').waitFor();
  await accessible(page, 'a refused ARN');
});

test('failures: a connection that was enabled, and whose role is spoiled afterwards', async ({ page }) => {
  const id = account();
  const made = await api('POST', '/v1/connections', { name: unique('Spoiled') });
  const arn = await makeRole(id, 'Spoiled', made.body.launch.trustPolicy);
  await api('PUT', `/v1/connections/${made.body.id}/role`, { roleArn: arn });
  await trustRole(id, 'Spoiled', careless);
  await signIn(page, 'Ada', `/connections/${made.body.id}`);
  await page.getByRole('button', { name: 'Verify now' }).click();
  await page.getByRole('heading', { name: 'The last check was denied' }).waitFor();
  await page.getByText('EXTERNAL_ID_NOT_REQUIRED').first().waitFor();
  await page.getByText('How to fix it').first().waitFor();
  await page.locator('rolecall-copy', { hasText: 'Copy the policy' }).first().waitFor();
  await accessible(page, 'a denied check');
  await shoot(page, '13-denied');
  await trustRole(id, 'Spoiled', made.body.launch.trustPolicy);
  await page.getByRole('button', { name: 'Verify now' }).click();
  await page.getByRole('heading', { name: 'The last check was denied' }).waitFor({ state: 'detached' });
});

test('failures: the API cannot be reached, and is reached again', async ({ context, page, expectErrors }) => {
  expectErrors(/ERR_INTERNET_DISCONNECTED|ERR_FAILED/);
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, unique('Offline'));
  await widget.locator('[data-launch]').waitFor();
  await context.setOffline(true);
  await widget.getByText('The API cannot be reached').waitFor();
  await accessible(page, 'the widget offline');
  await shoot(page, '14-offline');
  await context.setOffline(false);
  await widget.getByText('The API cannot be reached').waitFor({ state: 'detached' });
  await page.goto(env.url);
  await page.locator('.rows').waitFor();
  await context.setOffline(true);
  await page.getByRole('searchbox').fill('Offline');
  await page.getByText('You are offline, or the API is').waitFor();
  await accessible(page, 'offline');
  await context.setOffline(false);
  await page.getByText('You are offline, or the API is').waitFor({ state: 'detached' });
});

test('failures: a session that has ended asks to sign in again, and comes back', async ({ page, expectErrors }) => {
  expectErrors(/401/);
  await signIn(page, 'Ada', '/settings');
  await page.route('**/v1/**', (r) => r.fulfill({ status: 401, contentType: 'application/json', body: '{"message":"Unauthorized"}' }));
  await page.route('**/oidc/token', (r) => r.fulfill({ status: 400, contentType: 'application/json', body: '{"error":"invalid_grant"}' }));
  expectErrors(/400/);
  await page.getByRole('link', { name: 'Connections' }).click();
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  await page.getByRole('heading', { name: 'Your session has ended' }).waitFor();
  await accessible(page, 'a session that has ended');
  await shoot(page, '19-session-ended');
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: /Ada/ }).click();
  await page.getByRole('heading', { name: 'Connections', level: 1 }).waitFor();
});
