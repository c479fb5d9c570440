/** Why a connection is not as it should be, in words for the widget and the console. */
import { html, nothing, type TemplateResult } from 'lit';
import { sentence, type Check, type Connection, type Event } from '../api/client.js';
import { fixed, snippet } from './fix.js';

/** Why a connection is not as it should be, from its own words or its timeline's. */
export interface Failure {
  title: string;
  code: string;
  message: string;
  fix: string;
  checks: Check[];
  /** The stack ended before its role was there. */
  unmade?: boolean;
  /** A command that finds out more, in the customer's account. */
  command?: string;
}

/** failureOf is why the last try to connect did not work; undefined while nothing has failed. Events come newest first. */
export function failureOf(c: Connection, events: Event[]): Failure | undefined {
  if ((c.status === 'failed' || c.status === 'degraded') && c.statusReason) {
    return { title: refused(c), code: c.statusReason.code, message: sentence(c.statusReason.message), fix: c.statusReason.fix ?? '', checks: c.checks };
  }
  if (!['disconnected', 'pending', 'expired'].includes(c.status)) return undefined;
  const last = events.find((e) => ['connection.failed', 'connection.enabled', 'connection.launched'].includes(e.type));
  if (last?.type === 'connection.failed') {
    const d = last.data as { code?: string; message?: string; fix?: string; checks?: Check[] };
    return { title: refused(c), code: d.code ?? '', message: sentence(d.message ?? ''), fix: d.fix ?? '', checks: Array.isArray(d.checks) ? d.checks : [] };
  }
  return c.status === 'disconnected' ? unfinished(c, events) : undefined;
}

/** strayed is why the stack of another account was refused, while the right one is still awaited. */
export function strayed(c: Connection): Connection['statusReason'] {
  return c.status === 'pending' && c.statusReason?.code === 'ACCOUNT_MISMATCH' ? c.statusReason : undefined;
}

const refused = (c: Connection) => (c.method === 'role' ? 'The role was refused' : 'The access keys were refused');

/** unfinished tells of a stack that ended before it could report its role: only AWS knows why. */
function unfinished(c: Connection, events: Event[]): Failure | undefined {
  const begun = events.findIndex((e) => e.type === 'connection.launched' || e.type === 'connection.created');
  if (begun < 0 || !c.stack || events.slice(0, begun).some((e) => e.type === 'connection.role_reported')) return undefined;
  const [, , , region = '', account = ''] = c.stack.id.split(':');
  const name = c.stack.id.split('/')[1] ?? '';
  return {
    title: 'The stack was not finished',
    code: c.statusReason?.code ?? '',
    message: `The stack ${name} ended before its role was there: AWS rolled it back, or somebody deleted it.`,
    fix: `AWS says why. In account ${account} and Region ${region}, open CloudFormation, the stack ${name} and its Events: the first one that FAILED has the reason. `
      + 'Mostly a role of the chosen name exists already (leave the role name empty), the permissions boundary is no policy of that account, or whoever created the stack may not create IAM roles. Then try again with a new link.',
    checks: [],
    unmade: true,
    command: `aws cloudformation describe-stack-events --region ${region} --stack-name '${c.stack.id}' \\\n`
      + '  --query "StackEvents[?ends_with(ResourceStatus, \'_FAILED\')].[LogicalResourceId, ResourceStatusReason]" --output text',
  };
}

/** remedy is what to do about a failure. */
export function remedy(f: Failure): TemplateResult {
  return html`${fixed(f.fix)}${f.command ? html`<details><summary>Or ask with the AWS CLI</summary>${snippet('AWS CLI', f.command)}</details>` : nothing}`;
}
