// What people do, in words that the tests use.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { env } from './runner.mjs';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let serial = 0;
/** unique is a name that no other test has used. */
export const unique = (text) => `${text} ${Date.now().toString(36)}${(serial++).toString(36)}`;

/** account is an AWS account of a test's own. */
export const account = () => String(300000000000 + Math.floor(Math.random() * 600000000000));

/** signIn signs in at the laptop's issuer as a person of one of its two tenants. */
export async function signIn(page, person = 'Ada Lovelace', path = '/') {
  await page.goto(env.url + path);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: new RegExp(person) }).click();
  await page.waitForURL((u) => u.pathname === path);
  await page.getByRole('navigation', { name: 'Main' }).waitFor();
}

/** token is a machine's token for a tenant, with all scopes or with those that are named. */
export async function token(tenant = 'acme', scope = '') {
  const answer = await fetch(`${env.url}/oidc/token`, {
    method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', client_id: tenant, client_secret: 'local', ...(scope && { scope }) }),
  });
  return (await answer.json()).access_token;
}

/** api calls the HTTP API as a tenant's backend would. */
export async function api(method, path, body, tenant = 'acme') {
  const answer = await fetch(env.url + path, {
    method, headers: { Authorization: `Bearer ${await token(tenant)}`, 'Content-Type': 'application/json' }, ...(body && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : undefined };
}

/** aws calls the pocket AWS's query services (IAM, CloudFormation) as the root of an account. */
export async function aws(account, service, version, action, parameters, region = 'us-east-1') {
  const day = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const answer = await fetch(env.aws, {
    method: 'POST', body: new URLSearchParams({ Action: action, Version: version, ...parameters }).toString(),
    headers: {
      'Content-Type': 'application/x-www-form-urlencoded', 'X-Amz-Date': day,
      Authorization: `AWS4-HMAC-SHA256 Credential=${account}/${day.slice(0, 8)}/${region}/${service}/aws4_request, SignedHeaders=host;x-amz-date, Signature=00`,
    },
  });
  const text = await answer.text();
  assert.equal(answer.status, 200, `${action}: ${text}`);
  return text;
}

/** makeRole makes a role by hand in a customer's account and answers its ARN. */
export async function makeRole(account, name, trust) {
  await aws(account, 'iam', '2010-05-08', 'CreateRole', { RoleName: name, AssumeRolePolicyDocument: trust });
  await aws(account, 'iam', '2010-05-08', 'PutRolePolicy', {
    RoleName: name, PolicyName: 'rolecall',
    PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: ['ec2:DescribeRegions', 'iam:GetRole'], Resource: '*' }] }),
  });
  return `arn:aws:iam::${account}:role/${name}`;
}

export async function trustRole(account, name, trust) {
  await aws(account, 'iam', '2010-05-08', 'UpdateAssumeRolePolicy', { RoleName: name, PolicyDocument: trust });
}

/** A trust policy that forgets the external ID. */
export const careless = JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { AWS: '111111111111' }, Action: 'sts:AssumeRole' }] });

/** name fills in the widget's first page and goes on. */
export async function begin(scope, name, method) {
  await scope.getByLabel('Name', { exact: true }).fill(name);
  if (method) await scope.getByRole('radio', { name: new RegExp(method) }).check();
  await scope.getByRole('button', { name: 'Continue' }).click();
}

/** createStack is the customer's part: follow the link, tick the box, press the button. */
export async function createStack(context, scope, id) {
  const tab = await openLink(context, scope, id);
  await createIt(tab);
  return tab;
}

/** openLink follows the prepared link, into an account of the test's own. */
export async function openLink(context, scope, id) {
  const [tab] = await Promise.all([context.waitForEvent('page'), scope.locator('[data-launch]').click()]);
  await tab.waitForLoadState();
  await tab.getByLabel('AWS account ID').fill(id);
  await tab.getByRole('checkbox', { name: /I acknowledge/ }).waitFor();
  return tab;
}

/** createIt ticks the box and presses the button. */
export async function createIt(tab) {
  await tab.getByRole('checkbox', { name: /I acknowledge that AWS CloudFormation might create IAM resources/ }).check();
  await tab.getByRole('button', { name: 'Create stack' }).click();
}

/**
 * accessible runs axe on a page in both colour schemes and fails on any violation. Of the second scheme only the contrasts are
 * asked, since nothing else differs. Nothing moves meanwhile: a colour that is on its way to another has any contrast.
 */
export async function accessible(page, what) {
  if (!(await page.evaluate(() => Boolean(window.axe)))) {
    await page.evaluate(`(() => { const module = undefined, exports = undefined, define = undefined; ${axeSource} })()`).catch(async () => page.evaluate(axeSource));
  }
  const violations = async (colorScheme, options) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const result = await page.evaluate((o) => window.axe.run(document, { resultTypes: ['violations'], ...o }), options);
    return result.violations.map((v) => `${colorScheme}, ${v.id}: ${v.help}\n   ${v.nodes.slice(0, 4).map((n) => `${n.target.join(' ')} – ${n.failureSummary?.replace(/\s+/g, ' ')}`).join('\n   ')}`);
  };
  const found = [...await violations('light', {}), ...await violations('dark', { runOnly: ['color-contrast'] })];
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  assert.equal(found.length, 0, `axe on ${what}:\n${found.join('\n')}`);
}

/** shoot takes a screenshot in light, dark and at 360 px, and checks there that nothing is wider than the window. */
export async function shoot(page, name, { full = true } = {}) {
  const size = page.viewportSize();
  for (const [suffix, scheme, width, height] of [['light', 'light', 1280, 860], ['dark', 'dark', 1280, 860], ['360', 'light', 360, 740]]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' }); // no colour on its way to another
    await page.setViewportSize({ width, height });
    if (full) await page.evaluate(() => window.scrollTo(0, 0)); // else what is sticky stands in the middle
    await page.waitForTimeout(60); // a frame or two, for the new size
    if (width === 360) {
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name} at 360 px is ${wide} px too wide`);
      assert.deepEqual(await page.evaluate(cut), [], `${name} at 360 px is cut off`);
    }
    await page.screenshot({ path: join(env.screenshots, `${name}-${suffix}.png`), fullPage: full });
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  await page.setViewportSize(size);
}

/**
 * cut names what is drawn where nobody sees it: the widget beyond its card, which clips so that the page itself stays narrow,
 * and the end of the navigation.
 */
function cut() {
  const nav = document.querySelector('.top nav');
  if (nav && nav.scrollWidth > nav.clientWidth) return [`the navigation, by ${nav.scrollWidth - nav.clientWidth} px`];
  const card = document.querySelector('rolecall-connect')?.shadowRoot?.querySelector('.card');
  if (!card) return [];
  const edge = card.getBoundingClientRect().right + 1;
  const scrolled = (e) => e && e !== card && (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX) || scrolled(e.parentElement));
  return [...card.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > edge && !scrolled(e.parentElement) && !scrolled(e)).map((e) => `${e.localName}.${e.getAttribute('class') ?? ''}`);
}

/** until asks until it is so. */
export async function until(what, ask, ms = 15_000) {
  const end = Date.now() + ms;
  for (;;) {
    const got = await ask();
    if (got) return got;
    assert.ok(Date.now() < end, `not within ${ms} ms: ${what}`);
    await new Promise((r) => setTimeout(r, 100));
  }
}

/** comeBack returns to a page from another window or tab: what the browser then tells the page makes it look at once. */
export async function comeBack(page) {
  await page.bringToFront();
  await page.evaluate(() => window.dispatchEvent(new Event('focus'))); // without a screen, no window has the focus
}

/** embed opens the host page, which is of another origin than the API. */
export async function embed(page, tenant, more = {}) {
  const query = new URLSearchParams({ widget: `${env.url}/rolecall-connect.js`, api: env.url, token: await token(tenant), ...more });
  await page.goto(`${env.host}/?${query}`);
}

/** makeKeys makes access keys of an IAM user in a customer's account; the user may list Regions, or what else is said. */
export async function makeKeys(account, action = 'ec2:DescribeRegions') {
  const name = unique('user').replace(/\W/g, '');
  const iam = (action, parameters) => aws(account, 'iam', '2010-05-08', action, { UserName: name, ...parameters });
  await iam('CreateUser');
  await iam('PutUserPolicy', { PolicyName: 'regions', PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: action, Resource: '*' }] }) });
  const text = await iam('CreateAccessKey');
  return { id: /<AccessKeyId>([^<]+)/.exec(text)[1], secret: /<SecretAccessKey>([^<]+)/.exec(text)[1], user: name };
}
