import { html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import { asProblem, sentence, type Config, type EnrolledAccount, type EnrolledAccounts, type Enrolment, type Enrolments, type Problem, type RetriedAccounts } from '../api/client.js';
import { fixed, snippet } from '../parts/fix.js';
import { open } from '../parts/icons.js';
import { permissionLabel } from '../parts/words.js';
import { lacksWrite } from '../parts/withheld.js';
import { Page, badge, problemNote, when } from './page.js';
import { navigate } from './router.js';

/** How often an enrolment's progress is read again, in milliseconds. */
const again = 4000;

/** Whole organizations: the enrolments of the tenant, and one of them with its accounts. */
class OrganizationsPage extends Page {
  @property() enrolmentId = '';
  @state() private list?: Enrolment[];
  @state() private one?: Enrolment | undefined;
  @state() private accounts: EnrolledAccount[] = [];
  @state() private cursor = '';
  @state() private config?: Config;
  @state() private failed?: Problem | undefined;
  @state() private busy = '';
  @state() private retried?: RetriedAccounts | undefined;
  @state() private older = '';

  protected override willUpdate(changed: PropertyValues): void {
    if (!changed.has('enrolmentId') || changed.get('enrolmentId') === undefined) return;
    this.one = this.failed = this.retried = undefined;
    this.accounts = [];
    void this.refresh();
  }

  protected override async load(): Promise<number> {
    this.config ??= await this.client.config();
    if (!this.enrolmentId) {
      const page = await this.client.ask<Enrolments>('GET', '/v1/enrolments', { query: { limit: 50 } });
      this.list = page.items;
      this.older = page.nextCursor ?? '';
      return 0;
    }
    const path = `/v1/enrolments/${encodeURIComponent(this.enrolmentId)}`;
    const [one, page] = await Promise.all([
      this.client.ask<Enrolment>('GET', path),
      this.client.ask<EnrolledAccounts>('GET', `${path}/accounts`, { query: { limit: 100 } }),
    ]);
    this.one = one;
    if (this.accounts.length <= 100) {
      this.accounts = page.items;
      this.cursor = page.nextCursor ?? '';
    }
    return again;
  }

  override render() {
    if (this.enrolmentId) return this.detail();
    return html`<div class="head"><div><h1>Organizations</h1><span class="soft">All accounts of an AWS organization, by one stack in its management account.</span></div></div>
      ${this.trouble()}${this.failed ? problemNote(this.failed) : nothing}
      ${this.list ? html`${this.listing(this.list)}${this.form()}` : this.problem ? nothing : html`<p role="status">Loading enrolments…</p>`}`;
  }

  private listing(list: Enrolment[]): TemplateResult {
    if (!list.length) return html`<div class="panel empty"><h2>No organization is enrolled</h2><p>One stack puts the role into every account that you choose, and into those that join later. Each account is proven by itself.</p></div>`;
    return html`<section class="panel" aria-label="Enrolments"><table class="rows"><thead><tr><th scope="col">Organization</th><th scope="col">Status</th><th scope="col">Permissions</th><th scope="col">Created</th></tr></thead>
      <tbody>${list.map((e) => html`<tr><td class="name"><a href="/organizations/${e.id}">${e.organizationId}</a><small>${e.organizationalUnitIds.join(', ')}</small></td>
        <td>${this.word(e)}</td><td data-label="Permissions">${permissionLabel(e.permissions)}</td><td data-label="Created">${when(e.createdAt)}</td></tr>`)}</tbody></table>
      ${this.older ? html`<div class="more"><button type="button" class="small-button" @click=${() => void this.showOlder(list)}>Show more</button></div>` : nothing}</section>`;
  }

  private showOlder(list: Enrolment[]): Promise<void> {
    return this.during('older', async () => {
      const page = await this.client.ask<Enrolments>('GET', '/v1/enrolments', { query: { limit: 50, cursor: this.older } });
      this.list = list.concat(page.items);
      this.older = page.nextCursor ?? '';
    });
  }

  private word(e: Enrolment): TemplateResult {
    return html`<span class="badge ${e.status === 'active' ? 'good' : ''}">${e.status === 'active' ? 'Active' : 'Revoked'}</span>`;
  }

  private form(): TemplateResult {
    const c = this.config;
    return html`<section class="panel"><header><h2>Enrol an organization</h2></header><div class="in">
      <form class="row" @submit=${this.create}>
        <div class="grow"><label for="org">Organization id</label><input id="org" name="organizationId" required placeholder="o-exampleorgid" autocomplete="off" spellcheck="false"></div>
        <div class="grow"><label for="units">Root or organizational units</label><input id="units" name="units" required placeholder="r-examplerootid" autocomplete="off" spellcheck="false" aria-describedby="units-hint"></div>
        <div><label for="set">Permissions</label><select id="set" name="permissions">${c?.permissionSets.map((p) => html`<option value=${p.name}>${permissionLabel(p.name)}</option>`)}</select></div>
        <div><label for="where">Region</label><select id="where" name="defaultRegion">${c?.regions.map((r) => html`<option value=${r}>${r}</option>`)}</select></div>
        <button class="primary">${this.busy === 'create' ? 'One moment…' : 'Enrol'}</button>
      </form><p class="hint" id="units-hint">The root (r-…) for all accounts, or units (ou-…) with commas between them.</p></div></section>`;
  }

  private async during(what: string, act: () => Promise<void>): Promise<void> {
    if (this.busy) return;
    this.busy = what;
    this.failed = undefined;
    try {
      await act();
    } catch (error) {
      this.failed = asProblem(error);
    }
    this.busy = '';
  }

  private create(e: Event): void {
    e.preventDefault();
    const data = new FormData(e.target as HTMLFormElement);
    const text = (name: string) => String(data.get(name) ?? '').trim();
    void this.during('create', async () => {
      const made = await this.client.ask<Enrolment>('POST', '/v1/enrolments', {
        body: { organizationId: text('organizationId'), organizationalUnitIds: text('units').split(/[\s,]+/).filter(Boolean), permissions: text('permissions'), defaultRegion: text('defaultRegion') },
      });
      navigate(`/organizations/${made.id}`);
    });
  }

  private detail(): TemplateResult | typeof nothing {
    const e = this.one;
    if (!e) {
      if (this.problem?.status === 404) return html`<div class="panel empty"><h1>No such enrolment</h1><p>It does not exist, or it belongs to another tenant.</p><div class="buttons"><a class="button" href="/organizations">Go to the organizations</a></div></div>`;
      return this.problem ? this.trouble() : html`<p role="status">Loading the enrolment…</p>`;
    }
    return html`<a class="crumb" href="/organizations">← Organizations</a>
      <div class="head"><div><h1>${e.organizationId}</h1><div class="chips">${this.word(e)}<span class="soft">${e.organizationalUnitIds.join(', ')} · ${permissionLabel(e.permissions)} · ${e.defaultRegion} · created ${when(e.createdAt)} by ${e.createdBy}${e.revokedAt ? html` · revoked ${when(e.revokedAt)}` : nothing}</span></div></div>
        <div class="actions">${e.progress && (e.progress.failed || e.progress.degraded) ? html`<button type="button" @click=${() => void this.retry(e)}>${this.busy === 'retry' ? 'One moment…' : 'Retry failures only'}</button>` : nothing}</div></div>
      ${this.trouble()}${this.failed ? problemNote(this.failed) : nothing}
      ${this.retried ? html`<div class="note" role="status"><h2>${this.retried.verifying.length || !this.retried.redeploy.length ? `${counted(this.retried.verifying.length, 'account is', 'accounts are')} tried again` : `${counted(this.retried.redeploy.length, 'account has', 'accounts have')} to be deployed again`}</h2>${this.retried.more ? html`<p>There are more failures than one request takes: press once more when these are done.</p>` : nothing}${this.retried.cli ? html`<p>${counted(this.retried.redeploy.length, 'stack', 'stacks')} rolled back and took the role along; the customer deploys those again, and no other:</p>${snippet('AWS CLI', this.retried.cli)}` : nothing}</div>` : nothing}
      ${this.progress(e)}${this.launch(e)}${this.table()}${e.status === 'active' ? this.ending(e) : nothing}`;
  }

  private ending(e: Enrolment): TemplateResult {
    const dialog = () => this.querySelector<HTMLDialogElement>('#revoke-dialog');
    return html`<section class="panel"><header><h2>Stop taking accounts</h2></header><div class="in">
      <p>A revoked enrolment takes no further account. Those that it has connected stay.</p>
      <button type="button" class="danger" @click=${() => dialog()?.showModal()}>Revoke enrolment</button>
      <dialog id="revoke-dialog" aria-labelledby="revoke-title"><form method="dialog"><h2 id="revoke-title">Revoke the enrolment of ${e.organizationId}?</h2>
        <p>This cannot be undone: accounts that join the organization later, or are deployed again, are refused. Accounts that are connected go on as they are.</p>
        <div class="buttons"><button>Cancel</button><button class="danger primary" @click=${() => void this.revoke(e)}>Revoke</button></div></form></dialog>
    </div></section>`;
  }

  private progress(e: Enrolment): TemplateResult | typeof nothing {
    const p = e.progress;
    if (!p) return nothing;
    const ready = p.enabled + p.linked;
    const shown: [string, number, string?][] = [['Reported', p.accounts], ['Enabled', p.enabled, 'good'], ['Connecting', p.connecting, 'busy'], ['Failed', p.failed, 'bad']];
    const rare: [string, number, string?][] = [['Linked', p.linked, 'good'], ['Degraded', p.degraded, 'bad'], ['Disconnected', p.disconnected], ['Deleted', p.deleted]];
    return html`<section class="panel"><header><h2>Progress</h2><span class="soft small">${p.accounts ? `${ready} of ${counted(p.accounts, 'account', 'accounts')} ready` : 'Waiting for the first account'}</span></header><div class="in">
      <label class="hidden" for="done">Accounts that are ready</label><progress id="done" max=${Math.max(1, p.accounts)} value=${ready}></progress>
      <dl class="facts numbers">${[...shown, ...rare.filter(([, n]) => n)].map(([k, n, tone]) => html`<div><dt>${k}</dt><dd class=${n && tone ? tone : nothing}>${n}</dd></div>`)}</dl></div></section>`;
  }

  private launch(e: Enrolment): TemplateResult | typeof nothing {
    const l = e.launch;
    if (e.status !== 'active') return nothing;
    if (!l) return html`<section class="panel"><header><h2>The stack</h2></header><div class="in">${lacksWrite()}</div></section>`;
    return html`<section class="panel"><header><h2>The stack</h2></header><div class="in">
      ${l.prerequisites.length ? html`<p>What must be so in the organization before:</p><ul>${l.prerequisites.map((t) => html`<li>${sentence(t)}</li>`)}</ul>` : nothing}
      <p class="buttons"><a class="button primary" href=${l.quickCreateUrl} target="_blank" rel="noopener noreferrer">Open AWS CloudFormation ${open()}<span class="hidden"> (in a new tab)</span></a></p>
      <p class="soft">In the management account, or a delegated administrator. Change nothing, tick the boxes, and press Create stack.</p>
      <details><summary>With the AWS CLI</summary>${snippet('AWS CLI', l.cli)}</details></div></section>`;
  }

  private table(): TemplateResult {
    return html`<section class="panel"><header><h2>Accounts</h2></header>
      ${this.accounts.length ? html`<table class="rows top"><thead><tr><th scope="col">Account</th><th scope="col">Status</th><th scope="col">Why</th><th scope="col">Updated</th></tr></thead>
        <tbody>${this.accounts.map((a) => html`<tr><td class="name">${a.connectionId ? html`<a href="/connections/${a.connectionId}">${a.accountId}</a>` : a.accountId}</td><td>${badge(a.status)}</td>
          <td class="wide">${a.reason ? html`<p>${sentence(a.reason.message)}</p>${a.reason.fix ? html`<details><summary>What to do</summary>${fixed(a.reason.fix)}</details>` : nothing}<span class="code">${a.reason.code}</span>` : nothing}</td><td data-label="Updated">${when(a.updatedAt)}</td></tr>`)}</tbody></table>
        ${this.cursor ? html`<div class="more"><button type="button" class="small-button" @click=${() => void this.showMore()}>Show more</button></div>` : nothing}`
      : html`<div class="in"><p class="soft">No account has reported yet.</p></div>`}</section>`;
  }

  private showMore(): Promise<void> {
    return this.during('more', async () => {
      const page = await this.client.ask<EnrolledAccounts>('GET', `/v1/enrolments/${this.enrolmentId}/accounts`, { query: { limit: 100, cursor: this.cursor } });
      this.accounts = this.accounts.concat(page.items);
      this.cursor = page.nextCursor ?? '';
    });
  }

  private retry(e: Enrolment): Promise<void> {
    return this.during('retry', async () => {
      this.retried = await this.client.ask<RetriedAccounts>('POST', `/v1/enrolments/${e.id}/retry`);
    });
  }

  private revoke(e: Enrolment): Promise<void> {
    return this.during('revoke', async () => {
      await this.client.ask<void>('DELETE', `/v1/enrolments/${e.id}`);
      void this.refresh();
    });
  }
}

function counted(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}

customElements.define('organizations-page', OrganizationsPage);
