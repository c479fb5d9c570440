// Stacks that come to nothing for a reason of their own, and links that are used up: what AWS says, what the widget and the
// console say, and the way on.
import assert from 'node:assert/strict';
import { env, test } from './runner.mjs';
import { accessible, account, api, aws, begin, comeBack, makeRole, shoot, signIn, unique, until } from './steps.mjs';
import { age, copied, openStack, stackIs, submitStack } from './failing.mjs';

const clipboard = { context: { permissions: ['clipboard-read', 'clipboard-write'] } };

/** newLink presses the button for another link, and answers it. */
async function newLink(widget, old) {
  await widget.getByRole('button', { name: 'Try again with a new link' }).click();
  return until('another link', async () => {
    const href = await widget.locator('[data-launch]').getAttribute('href');
    return href !== old && href;
  });
}

const ownReasons = [
  { what: 'a role of that name exists', make: (id) => makeRole(id, 'Taken', '{"Version":"2012-10-17","Statement":[]}'), fields: () => ({ RoleName: 'Taken' }), aws: /already exists/i },
  { what: 'the boundary is missing', fields: (id) => ({ PermissionsBoundaryArn: `arn:aws:iam::${id}:policy/Gone` }), aws: /not|exist|found|attach/i },
];

for (const r of ownReasons) {
  test(`rollback: ${r.what}: the stack ends before its role, and where AWS says why is said`, async ({ context, page }) => {
    const id = account();
    await r.make?.(id);
    await signIn(page, 'Ada', '/connect');
    const widget = page.locator('rolecall-connect');
    await begin(widget, unique('Rolled back'));
    const link = await widget.locator('[data-launch]').getAttribute('href');
    const tab = await openStack(context, link, id, r.fields(id));
    await submitStack(tab);
    await stackIs(tab, 'ROLLBACK_COMPLETE');
    const why = await tab.locator('#events tr', { hasText: 'CREATE_FAILED' }).last().innerText();
    assert.match(why, r.aws);
    await widget.getByRole('heading', { name: 'The stack was not finished' }).waitFor();
    await widget.getByText(`In account ${id}`).waitFor();
    await widget.getByText('permissions boundary is no policy of that account').waitFor();

    await widget.getByText('Role not made').first().waitFor();
    assert.equal(await widget.getByText('Role reported').count(), 0);

    // The command asks for what AWS answers, of a stack that is no more.
    await widget.getByText('Or ask with the AWS CLI').click();
    const command = await copied(page, widget.locator('.snippet').getByRole('button', { name: 'Copy' }));
    const [, stack] = /--stack-name '(arn:aws:cloudformation:[^']+)'/.exec(command);
    const events = await aws(id, 'cloudformation', '2010-05-15', 'DescribeStackEvents', { StackName: stack }, 'eu-west-1');
    assert.match(events, r.aws);
    if (r.make) {
      await accessible(page, 'a stack that was not finished');
      await shoot(page, '65-not-finished');
    }

    // The console's page says the same, and leads back.
    const { pathname } = new URL(page.url());
    await widget.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('heading', { name: 'The stack was not finished' }).waitFor();
    await page.getByText(`In account ${id}`).waitFor();
    assert.notEqual(new URL(page.url()).pathname, pathname);
    await accessible(page, 'a connection whose stack was not finished');
    await page.getByRole('link', { name: 'Connect again' }).click();

    const fresh = await newLink(widget, link);
    const second = await openStack(context, fresh, id);
    await submitStack(second);
    await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
  }, clipboard);
}

test('rollback: a stack that takes its time says so, and the page follows', async ({ page }) => {
  // A stack that has begun and has not yet made its role cannot be held up in the pocket AWS, which makes roles at once: the
  // answer is the API's own for a connection that waits, with the stack that its record gets when one begins.
  const made = (await api('POST', '/v1/connections', { name: unique('Begun') })).body;
  const { launch: _, launchExpiresAt: __, ...begun } = made;
  const stack = { id: `arn:aws:cloudformation:eu-west-1:222222222222:stack/${made.launch.stackName}/1`, region: 'eu-west-1', templateVersion: '' };
  await page.route(`**/v1/connections/${made.id}`, (r) => r.fulfill({ json: { ...begun, stack } }));
  await signIn(page, 'Ada', `/connect/${made.id}`);
  const widget = page.locator('rolecall-connect');
  await widget.getByRole('heading', { name: 'AWS is creating the role' }).waitFor();
  await widget.getByText('222222222222').first().waitFor();
  await widget.locator('.what', { hasText: 'Stack started' }).waitFor();
  await widget.locator('.what', { hasText: 'Waiting for the role' }).waitFor();
  await accessible(page, 'a stack at work');
  await shoot(page, '66-creating');
});

test('rollback: a link serves one stack; a second one is told so, and the first stays connected', async ({ context, page }) => {
  const id = account();
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, unique('Used'));
  const link = await widget.locator('[data-launch]').getAttribute('href');
  const first = await openStack(context, link, id);
  await submitStack(first);
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
  const second = await openStack(context, link, id, { stackName: 'second' });
  await submitStack(second);
  await stackIs(second, 'ROLLBACK_COMPLETE');
  await second.locator('#events').getByText('LAUNCH_USED').first().waitFor();
  await second.locator('#events').getByText('open a new launch from the platform').first().waitFor();
  await accessible(second, 'a second stack');
  await widget.getByRole('button', { name: 'Done' }).click();
  await page.locator('.head .badge', { hasText: 'Enabled' }).waitFor();

  // Once the first is deleted, the old link still opens nothing, and a new one does.
  await first.bringToFront();
  await first.getByRole('button', { name: 'Delete stack' }).click();
  await first.getByRole('dialog').waitFor();
  await accessible(first, 'the question before a stack is deleted');
  await first.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await stackIs(first, 'DELETE_COMPLETE');
  await comeBack(page);
  await page.locator('.head .badge', { hasText: 'Disconnected' }).waitFor({ timeout: 10_000 });
  await page.getByRole('heading', { name: 'Disconnected' }).waitFor();
  await accessible(page, 'a disconnected connection');
  await shoot(page, '08-disconnected');
  await page.getByRole('link', { name: 'Connect again' }).click();
  const fresh = await newLink(widget, link);
  const third = await openStack(context, link, id, { stackName: 'third' });
  await submitStack(third);
  await stackIs(third, 'ROLLBACK_COMPLETE');
  await third.locator('#events').getByText('LAUNCH_USED').first().waitFor();
  await submitStack(await openStack(context, fresh, id));
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
});

test('rollback: a link that has ended makes no connection, in AWS and here', async ({ context, page }) => {
  const id = account();
  const made = (await api('POST', '/v1/connections', { name: unique('Late') })).body;
  await age(made.id);
  const tab = await openStack(context, made.launch.quickCreateUrl, id);
  await submitStack(tab);
  await stackIs(tab, 'ROLLBACK_COMPLETE');
  await tab.locator('#events').getByText('LAUNCH_EXPIRED').first().waitFor();
  await signIn(page, 'Ada', `/connect/${made.id}`);
  const widget = page.locator('rolecall-connect');
  await widget.getByRole('heading', { name: 'The link has expired' }).waitFor();
  await submitStack(await openStack(context, await newLink(widget, made.launch.quickCreateUrl), id));
  await widget.getByRole('heading', { name: 'Connected', exact: true }).waitFor();
});

test('rollback: in the platform’s own account nothing is connected', async ({ context, page }) => {
  await signIn(page, 'Ada', '/connect');
  const widget = page.locator('rolecall-connect');
  await begin(widget, unique('Own account'));
  const link = await widget.locator('[data-launch]').getAttribute('href');
  const tab = await openStack(context, link, '111111111111');
  await submitStack(tab);
  await stackIs(tab, 'ROLLBACK_COMPLETE');
  await tab.locator('#events').getByText('PLATFORM_ACCOUNT').first().waitFor();
  await widget.getByRole('heading', { name: 'The stack was not finished' }).waitFor();
  await widget.getByText('In account 111111111111').waitFor();
  await newLink(widget, link);
});
