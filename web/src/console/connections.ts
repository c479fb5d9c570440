import { html, nothing, type TemplateResult } from 'lit';
import { state } from 'lit/decorators.js';
import type { Connection } from '../api/client.js';
import { plus, search } from '../parts/icons.js';
import { methodLabel, scopeLevels, scopeText, statusNames, statusWord } from '../parts/words.js';
import { Page, badge, when } from './page.js';

const pageSize = 25;
/** How often the list is read again, in milliseconds: more often while something is under way. */
const again = { busy: 2500, quiet: 20_000 };

/** The list of connections, newest first. */
class ConnectionsPage extends Page {
  @state() private items?: Connection[];
  @state() private cursor = '';
  @state() private q = '';
  @state() private status = '';
  @state() private level = '';
  @state() private within = '';
  @state() private loadingMore = false;
  private wanted = pageSize;
  private typing = 0;
  private round = 0;

  private readonly recalled = () => {
    if (location.pathname === '/') this.recall();
  };

  override connectedCallback(): void {
    super.connectedCallback();
    this.recall();
    window.addEventListener('popstate', this.recalled);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('popstate', this.recalled);
    clearTimeout(this.typing);
  }

  /** recall takes the filters from the address, which keeps them for the way back, a reload and a colleague. */
  private recall(): void {
    const at = new URLSearchParams(location.search);
    const [level = '', ...id] = (at.get('scope') ?? '').split(':');
    const found = { q: at.get('q') ?? '', status: at.get('status') ?? '', level: level in scopeLevels ? level : '', within: id.join(':') };
    if (found.q === this.q && found.status === this.status && found.level === this.level && found.within === this.within) return;
    Object.assign(this, found);
    if (this.hasUpdated) this.filter({});
  }

  private get scope(): string {
    return this.within ? `${this.level}:${this.within}` : this.level;
  }

  protected override async load(): Promise<number> {
    const round = ++this.round;
    let items: Connection[] = [];
    let cursor = '';
    do {
      const page = await this.client.connections({ status: this.status, q: this.q, scope: this.scope, limit: Math.min(100, this.wanted - items.length), cursor });
      items = items.concat(page.items);
      cursor = page.nextCursor ?? '';
    } while (cursor && items.length < this.wanted);
    if (round === this.round) {
      this.items = items;
      this.cursor = cursor;
    }
    return items.some((c) => c.status === 'verifying' || c.status === 'pending') ? again.busy : again.quiet;
  }

  private filter(change: { q?: string; status?: string; level?: string; within?: string }): void {
    Object.assign(this, change);
    if (!this.level || this.level === 'organization') this.within = '';
    const kept = Object.entries({ q: this.q, status: this.status, scope: this.scope }).filter(([, v]) => v);
    history.replaceState(null, '', `/${kept.length ? `?${new URLSearchParams(kept)}` : ''}`);
    this.wanted = pageSize;
    clearTimeout(this.typing);
    const typed = change.q !== undefined || change.within !== undefined;
    this.typing = window.setTimeout(() => void this.refresh(), typed ? 200 : 0);
  }

  private async showMore(): Promise<void> {
    this.wanted += pageSize;
    this.loadingMore = true;
    await this.refresh();
    this.loadingMore = false;
  }

  override render() {
    return html`
      <div class="head">
        <div><h1>Connections</h1><span class="soft">Your customers’ cloud accounts.</span></div>
        <div class="actions"><a class="button primary" href="/connect">${plus()} Connect account</a></div>
      </div>
      ${this.providers()}
      ${this.trouble()}
      <section class="panel" aria-label="List of connections">
        <div class="filters" role="search">
          <div class="search">${search()}<input type="search" aria-label="Search by name" placeholder="Search by name" maxlength="64" .value=${this.q} @input=${(e: Event) => this.filter({ q: (e.target as HTMLInputElement).value.trim() })}></div>
          <select aria-label="Filter by status" @change=${(e: Event) => this.filter({ status: (e.target as HTMLSelectElement).value })}>
            <option value="">All but deleted</option>
            ${statusNames().map((s) => html`<option value=${s} ?selected=${s === this.status}>${statusWord(s).label}</option>`)}
          </select>
          <select aria-label="Filter by scope" @change=${(e: Event) => this.filter({ level: (e.target as HTMLSelectElement).value, within: '' })}>
            <option value="">Any scope</option>
            ${Object.entries(scopeLevels).map(([level, label]) => html`<option value=${level} ?selected=${level === this.level}>${label}</option>`)}
          </select>
          ${this.level && this.level !== 'organization' ? html`<input class="id" aria-label="Id of the ${this.level}" placeholder="Any ${this.level}, or its id" maxlength="128" autocomplete="off" spellcheck="false"
            .value=${this.within} @input=${(e: Event) => this.filter({ within: (e.target as HTMLInputElement).value.trim() })}>` : nothing}
        </div>
        ${this.list()}
      </section>`;
  }

  private providers(): TemplateResult {
    return html`<ul class="providers" aria-label="Providers">
      <li class="provider live"><span class="logo" aria-hidden="true">aws</span><strong>Amazon Web Services</strong><small>By stack, role or keys</small><span class="buttons"><a class="button small-button" href="/connect" aria-label="Connect an Amazon Web Services account">Connect</a></span></li>
      <li class="provider later"><span class="logo" aria-hidden="true">GC</span><strong>Google Cloud</strong><small>Not available yet</small></li>
      <li class="provider later"><span class="logo" aria-hidden="true">Az</span><strong>Microsoft Azure</strong><small>Not available yet</small></li>
    </ul>`;
  }

  private list(): TemplateResult | typeof nothing {
    if (!this.items) return this.problem ? nothing : html`<p class="bones" role="status">Loading connections…</p>`;
    if (!this.items.length) return this.empty();
    return html`<table class="rows">
      <thead><tr><th scope="col">Name</th><th scope="col">Status</th><th scope="col">Account</th><th scope="col">Region</th><th scope="col">Scopes</th><th scope="col">Last verified</th></tr></thead>
      <tbody>${this.items.map((c) => html`<tr>
        <td class="name"><a href="/connections/${c.id}">${c.name}</a><small>${methodLabel(c)}</small></td>
        <td>${badge(c.status)}</td>
        <td class="mono" data-label="Account">${c.accountId ?? '–'}</td>
        <td class="mono" data-label="Region">${c.defaultRegion}</td>
        <td data-label="Scopes">${scopesText(c)}</td>
        <td data-label="Verified">${when(c.lastVerifiedAt, 'Never')}</td>
      </tr>`)}</tbody>
    </table>
    <div class="more">${this.cursor
      ? html`<button type="button" class="small-button" aria-disabled=${this.loadingMore ? 'true' : 'false'} @click=${this.showMore}>${this.loadingMore ? 'Loading…' : 'Show more'}</button> ${this.items.length} shown`
      : html`${this.items.length} ${this.items.length === 1 ? 'connection' : 'connections'}`}</div>`;
  }

  private empty(): TemplateResult {
    const asked = [this.q && `has “${this.q}” in its name`, this.status && `is ${statusWord(this.status).label.toLowerCase()}`, this.scope && `applies to ${this.within ? this.scope : `any ${this.level}`}`].filter(Boolean);
    if (asked.length) {
      return html`<div class="empty"><h2>Nothing matches</h2><p>No connection ${asked.join(' and ')}.</p>
        <div class="buttons"><button type="button" @click=${() => this.filter({ q: '', status: '', level: '' })}>Show all connections</button></div></div>`;
    }
    return html`<div class="empty"><h2>Connect the first account</h2>
      <p>Your customer presses one prepared link and ticks one box. Rolecall proves that the role is safe to use, and goes on checking.</p>
      <div class="buttons"><a class="button primary" href="/connect">${plus()} Connect account</a><a class="button" href="/docs/embed">Embed the widget instead</a></div></div>`;
  }
}

function scopesText(c: Connection): TemplateResult | string {
  if (!c.scopes.length) return '–';
  const [first, ...rest] = c.scopes.map(scopeText);
  return html`<span class="chip">${first}</span>${rest.length ? html` <span class="soft small">+${rest.length}</span>` : nothing}`;
}

customElements.define('connections-page', ConnectionsPage);
