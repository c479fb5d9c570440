import { html, nothing, type TemplateResult } from 'lit';
import type { Config } from '../api/client.js';
import { chevron, code, key, person, stack, terminal } from '../parts/icons.js';
import { permissionLabel } from '../parts/words.js';
import type { Method } from './flow.js';

/** What the reader has filled in so far. Keys stay in this page's memory and go out once. */
export interface Draft {
  name: string;
  method: Method;
  region: string;
  permissions: string;
  /** The only account that may be connected; empty for any. */
  account: string;
  keys: { accountId?: string; accessKeyId?: string; secretAccessKey?: string; sessionToken?: string };
}

type Change = (change: Partial<Draft>) => void;

const choices: Record<Method, { icon: () => TemplateResult; title: string; text: string }> = {
  stack: { icon: stack, title: 'CloudFormation stack', text: 'One prepared link, one tick. About a minute.' },
  role: { icon: person, title: 'IAM role by hand', text: 'Make the role in the console with everything pre-filled, and paste its ARN.' },
  cli: { icon: terminal, title: 'AWS CLI', text: 'One command to paste.' },
  terraform: { icon: code, title: 'Terraform', text: 'A module to put beside your own.' },
  keys: { icon: key, title: 'Access keys', text: 'Of an IAM user. Only where a role is not possible.' },
};

/** methodChoices is nothing where there is no choice. */
export function methodChoices(offered: Method[], d: Draft, change: Change): TemplateResult | typeof nothing {
  const keys = d.method === 'keys' ? keyFields(d, change) : nothing;
  if (offered.length < 2) return keys;
  return html`<fieldset>
      <legend>How would you like to connect?</legend>
      <div class="choices">${offered.map((m) => html`<label class="choice">
        <input type="radio" name="method" value=${m} .checked=${d.method === m} @change=${() => change({ method: m })}>
        ${choices[m].icon()}
        <span><strong>${choices[m].title}</strong>${m === 'stack' ? html` <span class="tag">Recommended</span>` : nothing}</span>
        <small>${choices[m].text}</small>
      </label>`)}</div>
    </fieldset>${keys}`;
}

function keyFields(d: Draft, change: Change): TemplateResult {
  const set = (name: keyof Draft['keys']) => (e: Event) => change({ keys: { ...d.keys, [name]: (e.target as HTMLInputElement).value.trim() } });
  const field = (name: keyof Draft['keys'], label: string, type: string, hint: string, required = true) => html`<div class="field">
    <label for=${name}>${label}</label>
    <input id=${name} name=${name} type=${type} autocomplete="off" spellcheck="false" ?required=${required} .value=${filled(d)[name] ?? ''} aria-describedby="${name}-hint" @input=${set(name)}>
    <p class="hint" id="${name}-hint">${hint}</p>
  </div>`;
  return html`<fieldset><legend>Account details</legend>
    <div class="pair">
      ${field('accountId', 'Account ID', 'text', '12 digits; the keys must belong to it.')}
      ${field('accessKeyId', 'Access key ID', 'text', 'Begins with AKIA, or ASIA with a session token.')}
      ${field('secretAccessKey', 'Secret access key', 'password', 'Kept encrypted, and never shown again.')}
      ${field('sessionToken', 'Session token', 'password', 'Only for temporary keys, which end.', false)}
    </div>
    <p class="hint">Use an IAM user made for this and nothing else, never the root user, and rotate its keys regularly.</p>
  </fieldset>`;
}

/** filled is what the fields of keys hold: the account may be known from elsewhere. */
const filled = (d: Draft): Draft['keys'] => ({ accountId: d.account, ...d.keys });

/** keysBody is what access keys add to the request. */
export function keysBody(d: Draft) {
  const { accountId = '', accessKeyId = '', secretAccessKey = '', sessionToken } = filled(d);
  return { method: 'access_key' as const, accountId, accessKey: { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) } };
}

/** details are what most readers need not touch: the Region, the permission set and the account. */
export function details(config: Config, d: Draft, change: Change): TemplateResult {
  const chosen = config.permissionSets.find((p) => p.name === d.permissions);
  return html`<details ?open=${false}>
    <summary>${chevron()} Region, permissions and account<span class="hidden"> (optional)</span></summary>
    <div class="pair">
      <div class="field">
        <label for="region">Region</label>
        <select id="region" name="region" @change=${(e: Event) => change({ region: (e.target as HTMLSelectElement).value })}>
          ${config.regions.map((r) => html`<option value=${r} ?selected=${r === d.region}>${r}</option>`)}
        </select>
        <p class="hint">Where the stack is created. The role works in all Regions.</p>
      </div>
      ${d.method === 'keys' ? nothing : html`<div class="field">
        <label for="permissions">Permissions</label>
        <select id="permissions" name="permissions" @change=${(e: Event) => change({ permissions: (e.target as HTMLSelectElement).value })}>
          ${config.permissionSets.map((p) => html`<option value=${p.name} ?selected=${p.name === d.permissions}>${permissionLabel(p.name)}</option>`)}
        </select>
        <p class="hint">${config.platformName} ${chosen?.description ?? ''}.</p>
      </div>`}
    </div>
    ${d.method === 'keys' ? nothing : html`<div class="field">
      <label for="account">AWS account ID</label>
      <input id="account" name="account" inputmode="numeric" autocomplete="off" spellcheck="false" maxlength="12" placeholder="Any account" .value=${d.account} aria-describedby="account-hint"
        @input=${(e: Event) => change({ account: (e.target as HTMLInputElement).value.trim() })}>
      <p class="hint" id="account-hint">12 digits. With it, no other account can be connected by mistake.</p>
    </div>`}
    ${chosen?.warning && d.method !== 'keys' ? html`<p class="hint">${chosen.warning}</p>` : nothing}
  </details>`;
}
