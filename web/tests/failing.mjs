// What goes wrong in customers' accounts, and how it is brought about in the pocket AWS.
import assert from 'node:assert/strict';
import { env } from './runner.mjs';
import { api, aws, makeRole, until } from './steps.mjs';

const platform = '111111111111';
const root = { AWS: `arn:aws:iam::${platform}:root` };

/** allow is a policy document that allows actions on everything. */
export const allow = (...actions) => JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: actions, Resource: '*' }] });

/** trusting is a trust policy with a condition, and perhaps another principal than the platform. */
export const trusting = (condition, principal = root) => JSON.stringify({
  Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: principal, Action: 'sts:AssumeRole', ...(condition && { Condition: condition }) }],
});

export const iam = (account, action, parameters) => aws(account, 'iam', '2010-05-08', action, parameters);

/** rights gives a role that was made by hand other permissions than it had. */
export const rights = (account, name, ...actions) => iam(account, 'PutRolePolicy', { RoleName: name, PolicyName: 'rolecall', PolicyDocument: allow(...actions) });

/** connectRole makes a connection and its role, and waits until it is enabled. */
export async function connectRole(account, name, tenant = 'acme') {
  const made = (await api('POST', '/v1/connections', { name }, tenant)).body;
  const arn = await makeRole(account, 'Connected', made.launch.trustPolicy);
  assert.equal((await api('PUT', `/v1/connections/${made.id}/role`, { roleArn: arn }, tenant)).body.status, 'enabled');
  return { ...made, arn };
}

/** openStack opens a prepared link and fills in its form: the account, and what the customer changes in it. */
export async function openStack(context, link, account, { stackName, ...parameters } = {}) {
  const tab = await context.newPage();
  await tab.goto(link);
  await tab.getByRole('heading', { name: 'Quick create stack' }).waitFor();
  await tab.getByRole('checkbox', { name: /I acknowledge/ }).waitFor();
  await tab.getByLabel('AWS account ID').fill(account);
  if (stackName) await tab.locator('#stack-name').fill(stackName);
  for (const [name, value] of Object.entries(parameters)) await tab.locator(`[data-parameter="${name}"]`).fill(value);
  return tab;
}

/** submitStack ticks the box and presses the button. */
export async function submitStack(tab) {
  await tab.getByRole('checkbox', { name: /I acknowledge/ }).check();
  await tab.getByRole('button', { name: 'Create stack' }).click();
}

export async function stackIs(tab, status, timeout = 30_000) {
  await tab.locator('#stack-status', { hasText: new RegExp(`^${status}$`) }).waitFor({ timeout });
}

/** strike lets a share of a service's calls fail for callers whose ARN ends so; the answer ends it. */
export async function strike(service, caller, kind = 'error500') {
  const answer = await fetch(`${env.url}/_local/faults`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ service, kind, caller }),
  });
  assert.equal(answer.status, 201, await answer.text());
  const path = answer.headers.get('Location');
  return () => fetch(env.url + path, { method: 'DELETE' });
}

/** dynamodb calls the platform's own table. */
async function dynamodb(action, input) {
  const day = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const answer = await fetch(env.aws, {
    method: 'POST', body: JSON.stringify(input),
    headers: {
      'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Target': `DynamoDB_20120810.${action}`, 'X-Amz-Date': day,
      Authorization: `AWS4-HMAC-SHA256 Credential=${platform}/${day.slice(0, 8)}/eu-west-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=00`,
    },
  });
  const text = await answer.text();
  assert.equal(answer.status, 200, `${action}: ${text}`);
  return JSON.parse(text);
}

/**
 * age lets a pending connection's link have ended a moment ago. The functions have no clock to be put forward, so the record is put
 * back, as if it had been written a week earlier; everything after that is the real thing.
 */
export async function age(id) {
  const { TableNames: tables } = await dynamodb('ListTables', {});
  const due = new Date(Date.now() + 60_000).toISOString().slice(0, 16); // the next minute that the schedule looks at
  await dynamodb('UpdateItem', {
    TableName: tables.find((name) => /rolecall/i.test(name)) ?? tables[0], Key: { PK: { S: `CONN#${id}` }, SK: { S: 'META' } },
    UpdateExpression: 'SET launches[0].expiresAt = :ended, duePK = :due', ConditionExpression: 'attribute_exists(duePK)',
    ExpressionAttributeValues: { ':ended': { S: new Date(Date.now() - 1000).toISOString() }, ':due': { S: `DUE#${due}` } },
  });
}

let clipboard = Promise.resolve(); // there is one for all contexts of the browser

/** copied is what a copy button puts on the clipboard. */
export function copied(page, button) {
  const text = clipboard.then(async () => {
    await page.evaluate(() => navigator.clipboard.writeText(''));
    await button.click();
    return until('something is copied', () => page.evaluate(() => navigator.clipboard.readText()));
  });
  clipboard = text.catch(() => undefined);
  return text;
}

/** clock is what a ring says, in seconds. */
export async function clock(widget) {
  const [, minutes, seconds] = /(\d+):(\d\d)/.exec(await widget.getByRole('img', { name: /minutes left/ }).getAttribute('aria-label'));
  return Number(minutes) * 60 + Number(seconds);
}
