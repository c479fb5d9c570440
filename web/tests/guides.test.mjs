// The guides for those who would rather not press a link: what they show is this connection's, to the letter, and the role that
// it makes connects.
import assert from 'node:assert/strict';
import { test } from './runner.mjs';
import { accessible, account, api, aws, begin, shoot, signIn, unique } from './steps.mjs';
import { copied, iam } from './failing.mjs';

const clipboard = { context: { permissions: ['clipboard-read', 'clipboard-write'] } };

/** guided begins a connection by a method and answers the API's own word of its launch. */
async function guided(page, name, method) {
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, name, method);
  await widget.locator('.snippet pre').first().waitFor();
  const { items } = (await api('GET', `/v1/connections?q=${encodeURIComponent(name)}`)).body;
  return { widget, c: (await api('GET', `/v1/connections/${items[0].id}`)).body };
}

/** same checks that a snippet shows and copies a text. */
async function same(page, widget, title, text) {
  const snippet = widget.locator('.snippet').filter({ has: page.getByRole('group', { name: title, exact: true }) }).first();
  assert.equal(await snippet.locator('pre').textContent(), text);
  assert.equal(await copied(page, snippet.getByRole('button', { name: 'Copy' })), text);
}

test('guides: the AWS CLI command is the API’s, and its stack connects', async ({ page }) => {
  const { widget, c } = await guided(page, unique('By CLI'), 'AWS CLI');
  await same(page, widget, 'AWS CLI', c.launch.cliStack);
  await accessible(page, 'the CLI guide');
  await shoot(page, '70-cli');
  const command = c.launch.cliStack;
  const word = (flag) => new RegExp(`${flag} '([^']*)'`).exec(command)[1];
  const parameters = JSON.parse(word('--parameters'));
  assert.equal(parameters.find((p) => p.ParameterKey === 'ExternalId').ParameterValue, c.externalId);
  await aws(account(), 'cloudformation', '2010-05-15', 'CreateStack', {
    StackName: word('--stack-name'), TemplateURL: word('--template-url'), 'Capabilities.member.1': /--capabilities (\w+)/.exec(command)[1],
    ...Object.fromEntries(parameters.flatMap((p, i) => [[`Parameters.member.${i + 1}.ParameterKey`, p.ParameterKey], [`Parameters.member.${i + 1}.ParameterValue`, p.ParameterValue]])),
  }, word('--region'));
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
}, clipboard);

/** applied makes what the Terraform text says: its role, its inline policies and what is attached to it. */
async function applied(text, account) {
  const blocks = [...text.matchAll(/^resource "(\w+)" "\w+" \{\n([\s\S]*?)\n\}$/gm)].map(([, type, body]) => ({ type, body }));
  const value = (body, name) => new RegExp(`^  ${name}\\s*= "?([^"\n]*)"?$`, 'm').exec(body)?.[1];
  const document = (body) => /<<-?JSON\n([\s\S]*?)\n\s*JSON/.exec(body)[1];
  const role = blocks.find((b) => b.type === 'aws_iam_role').body;
  const RoleName = value(role, 'name');
  await iam(account, 'CreateRole', { RoleName, AssumeRolePolicyDocument: document(role), MaxSessionDuration: value(role, 'max_session_duration'), Description: value(role, 'description') });
  const arn = `arn:aws:iam::${account}:role/${RoleName}`;
  for (const { type, body } of blocks) {
    if (type === 'aws_iam_role_policy') {
      await iam(account, 'PutRolePolicy', { RoleName, PolicyName: value(body, 'name'), PolicyDocument: document(body).replaceAll(/\$\{aws_iam_role\.\w+\.arn\}/g, arn) });
    }
    if (type === 'aws_iam_role_policy_attachment') await iam(account, 'AttachRolePolicy', { RoleName, PolicyArn: value(body, 'policy_arn') });
  }
  return arn;
}

test('guides: the Terraform text is the API’s, and its role connects', async ({ page }) => {
  const { widget, c } = await guided(page, unique('By Terraform'), 'Terraform');
  await same(page, widget, 'main.tf', c.launch.terraform);
  assert.ok(c.launch.terraform.includes(c.externalId));
  await widget.getByText('Or call the published module').click();
  await same(page, widget, 'module.tf', c.launch.terraformModule);
  await accessible(page, 'the Terraform guide');
  await shoot(page, '71-terraform');
  const arn = await applied(c.launch.terraform, account());
  await widget.getByLabel('Paste the role’s ARN').fill(arn);
  await widget.getByRole('button', { name: 'Verify role' }).click();
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
}, clipboard);

test('guides: a role by hand has each of its values to copy, and another way can be chosen at any time', async ({ page }) => {
  const { widget, c } = await guided(page, unique('By hand'), 'IAM role by hand');
  assert.deepEqual(JSON.parse(await copied(page, widget.locator('.snippet').first().getByRole('button', { name: 'Copy' }))), JSON.parse(c.launch.trustPolicy));
  assert.equal(await copied(page, widget.getByRole('button', { name: 'Copy external id' })), c.externalId);
  assert.equal(await copied(page, widget.getByRole('button', { name: 'Copy account that may use it' })), '111111111111');
  assert.equal(await widget.getByRole('link', { name: /Create role in IAM/ }).getAttribute('href'), c.launch.createRoleUrl);
  await widget.getByText('Or make the role with the AWS CLI').click();
  await same(page, widget, 'AWS CLI', c.launch.cli);
  for (const [tab, title, text] of [['AWS CLI', 'AWS CLI', c.launch.cliStack], ['Terraform', 'main.tf', c.launch.terraform]]) {
    await widget.getByRole('group', { name: 'Way of connecting' }).getByRole('button', { name: tab }).click();
    await same(page, widget, title, text);
  }
  await widget.getByRole('group', { name: 'Way of connecting' }).getByRole('button', { name: 'CloudFormation' }).click();
  assert.equal(await widget.locator('[data-launch]').getAttribute('href'), c.launch.quickCreateUrl);
  await page.reload(); // the way that was chosen last is kept
  assert.equal(await widget.locator('[data-launch]').getAttribute('href'), c.launch.quickCreateUrl);
}, clipboard);
