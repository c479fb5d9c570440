import { html, nothing, type TemplateResult } from 'lit';
import type { Config, Connection, Launch } from '../api/client.js';
import { snippet } from '../parts/fix.js';
import { open, tick } from '../parts/icons.js';
import { exact } from '../parts/time.js';
import type { Method } from './flow.js';

interface Doing {
  busy: boolean;
  config: Config | undefined;
  report: (roleArn: string) => void;
}

/** The words beside the box in the AWS console. The template can give the role a name, so AWS says "with custom names". */
const acknowledgement = 'I acknowledge that AWS CloudFormation might create IAM resources with custom names.';

/** guide tells the customer what to do in AWS, by the method that was chosen. */
export function guide(method: Method, c: Connection, doing: Doing): TemplateResult {
  const l = c.launch;
  if (!l) return html``;
  switch (method) {
    case 'role':
      return byHand(c, l, doing);
    case 'cli':
      return cli(c, l);
    case 'terraform':
      return terraform(c, l, doing);
    default:
      return stack(c, l);
  }
}

/** wanted is which account is to be connected, as far as that is known. */
function wanted(c: Connection): TemplateResult {
  return c.expectedAccountId ? html`account <strong>${c.expectedAccountId}</strong>: any other is refused` : html`the account that you want to connect`;
}

function stack(c: Connection, l: Launch): TemplateResult {
  return html`<h3 tabindex="-1" data-focus>Create the stack in AWS</h3>
    <p class="lead">The link opens the AWS console in a new tab with everything filled in.</p>
    <p><a class="button primary" href=${l.quickCreateUrl} target="_blank" rel="noopener noreferrer" data-launch>Open AWS CloudFormation ${open()}<span class="hidden"> (in a new tab)</span></a></p>
    <ol>
      <li><div><p>Sign in to ${wanted(c)}.</p></div></li>
      <li><div><p>You see <strong>Quick create stack</strong> with the stack <code>${l.stackName}</code> in <code>${l.region}</code>. Change nothing.</p></div></li>
      <li><div><p>At the bottom, tick this box:</p>
        <div class="preview"><span class="box" aria-hidden="true">${tick()}</span><span>${acknowledgement}</span></div></div></li>
      <li><div><p>Press <span class="orange">Create stack</span>, and come back: this page follows by itself.</p></div></li>
    </ol>
    <p class="hint">The link holds until ${exact(l.expiresAt)}. Deleting the stack disconnects the account at any time.</p>`;
}

function byHand(c: Connection, l: Launch, doing: Doing): TemplateResult {
  return html`<h3 tabindex="-1" data-focus>Make a role by hand</h3>
    <ol>
      <li><div><p>Open IAM with the trust pre-filled, choose the permissions, and create the role.</p>
        <p><a class="button" href=${l.createRoleUrl} target="_blank" rel="noopener noreferrer">Create role in IAM ${open()}<span class="hidden"> (in a new tab)</span></a></p>
        <dl class="facts">
          ${fact('Account that may use it', doing.config?.platformAccount ?? '')}
          ${fact('External ID', c.externalId)}
        </dl></div></li>
      <li><div><p>Its trust policy must be exactly this:</p>${snippet('Trust policy', pretty(l.trustPolicy), 'Copy')}
        ${l.cli ? html`<details><summary>Or make the role with the AWS CLI</summary>${snippet('AWS CLI', l.cli, 'Copy')}</details>` : nothing}</div></li>
      <li><div>${pasting(c, doing)}</div></li>
    </ol>`;
}

/** pasting takes the ARN of a role that no stack reports. */
function pasting(c: Connection, doing: Doing): TemplateResult {
  const send = (e: Event) => {
    e.preventDefault();
    const input = (e.target as HTMLFormElement).elements.namedItem('roleArn') as HTMLInputElement;
    if (!doing.busy && input.value.trim()) doing.report(input.value.trim());
    else input.focus();
  };
  return html`${c.expectedAccountId ? html`<p>The role must be of ${wanted(c)}.</p>` : nothing}<form @submit=${send}><label for="role-arn">Paste the role’s ARN</label>
    <input id="role-arn" name="roleArn" autocomplete="off" spellcheck="false" maxlength="2048" placeholder="arn:aws:iam::123456789012:role/Name" .value=${c.status === 'failed' ? (c.roleArn ?? '') : ''}>
    <div class="foot"><button class="primary" aria-disabled=${doing.busy ? 'true' : 'false'}>${doing.busy ? 'Verifying…' : 'Verify role'}</button></div></form>`;
}

function fact(term: string, text: string): TemplateResult {
  return html`<div><dt>${term}</dt><dd><code>${text}</code><rolecall-copy compact .text=${text} .label=${`Copy ${term.toLowerCase()}`}></rolecall-copy></dd></div>`;
}

function cli(c: Connection, l: Launch): TemplateResult {
  return html`<h3 tabindex="-1" data-focus>Create the stack with the AWS CLI</h3>
    <p class="lead">With credentials of ${wanted(c)}. It is the same stack as by the link.</p>
    ${snippet('AWS CLI', l.cliStack ?? '', 'Copy')}
    <p class="hint">The command carries a secret of this launch: whoever has it can connect <em>their</em> account as ${c.name}, once.</p>`;
}

function terraform(c: Connection, l: Launch, doing: Doing): TemplateResult {
  return html`<h3 tabindex="-1" data-focus>Apply with Terraform</h3>
    <ol>
      <li><div><p>Put this into a folder of its own, or beside your configuration:</p>${snippet('main.tf', l.terraform ?? '', 'Copy')}
        ${l.terraformModule ? html`<details><summary>Or call the published module</summary>${snippet('module.tf', l.terraformModule, 'Copy')}</details>` : nothing}</div></li>
      <li><div><p>Run <code>terraform init</code> and <code>terraform apply</code> with credentials of ${wanted(c)}.</p></div></li>
      <li><div>${pasting(c, doing)}<p class="hint">It is the output of <code>terraform apply</code>.</p></div></li>
    </ol>`;
}

function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
