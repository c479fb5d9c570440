import { html, nothing, type TemplateResult } from 'lit';
import { state } from 'lit/decorators.js';
import type { Config } from '../api/client.js';
import '../parts/copy.js';
import { permissionLabel } from '../parts/words.js';
import { Page } from './page.js';

/** What this deployment says of itself: GET /v1/config. */
class SettingsPage extends Page {
  @state() private config?: Config;

  protected override async load(): Promise<number> {
    this.config = await this.client.config();
    return 0;
  }

  override render() {
    const c = this.config;
    return html`<div class="head"><div><h1>Settings</h1><span class="soft">How this deployment is set up. It is changed in the CDK app’s context, not here.</span></div></div>
      ${this.trouble()}
      ${c ? this.all(c) : this.problem ? nothing : html`<p role="status">Loading settings…</p>`}`;
  }

  private all(c: Config): TemplateResult {
    return html`
      <section class="panel"><header><h2>Platform</h2></header><div class="in"><dl class="facts half">
        ${fact('Name', c.platformName)}${fact('AWS account', c.platformAccount, true)}${fact('Partition', c.partition)}
        ${fact('Principal of trust policies', c.principal, true)}${fact('Roles that assume', c.roleArnPattern, true)}
        ${fact('API', this.client.base, true)}${fact('Issuer', this.settings.issuer, true)}
      </dl></div></section>
      <section class="panel"><header><h2>Permission sets</h2></header><div class="in"><ul class="sets">
        ${c.permissionSets.map((p, i) => html`<li><h3>${p.title || permissionLabel(p.name)} ${i === 0 ? html`<span class="chip">Default</span>` : nothing} <code class="soft">${p.name}</code></h3>
          <p>${c.platformName} ${p.description}.</p>${p.warning ? html`<p class="soft small">${p.warning}</p>` : nothing}
          ${p.managedPolicies.length ? html`<p class="small">AWS’s policies: ${p.managedPolicies.map((m) => html`<code class="chip">${m}</code> `)}</p>` : nothing}
          ${p.policyUrl ? html`<p class="small">Its policy: <code>${p.policyUrl}</code> <rolecall-copy compact .text=${p.policyUrl} label="Copy: policy of ${permissionLabel(p.name)}"></rolecall-copy> ${p.policyDigest ? html`<span class="soft">version ${p.policyDigest}</span>` : nothing}</p>` : nothing}
          ${p.deniedActions.length ? html`<details class="small"><summary>${p.deniedActions.length} actions denied all the same</summary><p class="actions-list">${p.deniedActions.map((a) => html`<code>${a}</code> `)}</p></details>` : nothing}</li>`)}
      </ul></div></section>
      <section class="panel"><header><h2>Regions</h2></header><div class="in"><p class="soft">Where customers can create their stack; the first one is Rolecall’s own.</p><div class="chips">${c.regions.map((r) => html`<span class="chip mono">${r}</span>`)}</div></div></section>
      <section class="panel"><header><h2>Sessions</h2></header><div class="in"><dl class="facts">
        ${fact('By default', minutes(c.sessionLimits.defaultSeconds))}${fact('At least', minutes(c.sessionLimits.leastSeconds))}${fact('At most', minutes(c.sessionLimits.longestSeconds))}
      </dl></div></section>
      ${published('CloudFormation template', c.template)}${published('Terraform module', c.terraformModule)}`;
  }
}

function published(title: string, t: Config['template']): TemplateResult {
  return html`<section class="panel"><header><h2>${title}</h2></header><div class="in"><dl class="facts wide">
    ${fact('Version', t.version)}${fact('URL', t.url, true)}${fact('SHA-256', t.sha256, true)}</dl></div></section>`;
}

function minutes(seconds: number): string {
  return seconds % 3600 === 0 ? `${seconds / 3600} h` : `${seconds / 60} min`;
}

function fact(term: string, text: string, copied = false): TemplateResult {
  return html`<div><dt>${term}</dt><dd>${copied ? html`<code>${text}</code><rolecall-copy compact .text=${text} .label=${`Copy: ${term}`}></rolecall-copy>` : text}</dd></div>`;
}

customElements.define('settings-page', SettingsPage);
