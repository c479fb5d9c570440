import { LitElement, html, nothing, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import { Client, Problem, asProblem, sentence, type Config, type Connection, type TokenProvider } from '../api/client.js';
import { checkList } from '../parts/checks.js';
import { define } from '../parts/copy.js';
import { remedy, strayed, type Failure } from '../parts/failure.js';
import { fixed } from '../parts/fix.js';
import { cross, tick, warning } from '../parts/icons.js';
import { ago, exact } from '../parts/time.js';
import { isWithheld, lacksWrite } from '../parts/withheld.js';
import { permissionLabel, scopeOf } from '../parts/words.js';
import { Flow, allMethods, isTaken, newKey, type Method } from './flow.js';
import { guide } from './guides.js';
import { details, keysBody, methodChoices, type Draft } from './forms.js';
import { ring, timeline } from './progress.js';
import { layout, theme } from './styles.js';

/**
 * `<rolecall-connect>` connects one customer account, from its name to Enabled.
 *
 * Attributes: `api-base`, `permission-set`, `default-region`, `expected-account`, `name`, `methods` (of stack role cli terraform keys),
 * `connection-id` (take that one up), `scope` (such as "project:web": what it makes applies there), `theme` (light or dark; else the page's). Property `tokenProvider`.
 * Events: `connected` {connection}, `failed` {connection, reason}, `closed` {connection}.
 */
export class RolecallConnect extends LitElement {
  static override styles = [theme, layout];

  @property({ attribute: 'api-base' }) apiBase = '';
  @property({ attribute: 'permission-set' }) permissionSet = '';
  @property({ attribute: 'default-region' }) defaultRegion = '';
  @property({ attribute: 'expected-account' }) expectedAccount = '';
  @property({ attribute: 'connection-id' }) connectionId = '';
  @property() name = '';
  @property() methods = '';
  @property() scope = '';
  @property({ attribute: false }) tokenProvider?: TokenProvider;

  @state() private config?: Config;
  @state() private draft: Draft = { name: '', method: 'stack', region: '', permissions: '', account: '', keys: {} };
  @state() private availability: '' | 'asking' | 'free' | 'taken' = '';
  @state() private problem?: Problem;
  @state() private busy = '';
  @state() private method: Method = 'stack';
  @state() private resumed = false;
  /** The API takes access keys. */

  private client?: Client;
  private flow?: Flow;
  private key = newKey();
  private asking?: AbortController;
  private clock = 0;
  private told = '';
  private readonly woken = () => {
    if (!document.hidden) this.flow?.wake();
  };

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener('visibilitychange', this.woken);
    window.addEventListener('online', this.woken);
    window.addEventListener('focus', this.woken); // back from AWS in another window
    if (this.hasUpdated) void this.begin();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener('visibilitychange', this.woken);
    window.removeEventListener('online', this.woken);
    window.removeEventListener('focus', this.woken);
    this.flow?.close();
    clearInterval(this.clock);
    this.clock = 0;
  }

  protected override updated(changed: Map<string, unknown>): void {
    if (changed.has('tokenProvider') || changed.has('apiBase')) void this.begin();
    else if (changed.has('connectionId') && this.connectionId && this.connectionId !== this.flow?.connection?.id) void this.begin();
  }

  /** connection is the one that is being connected; undefined until it has been created. */
  get connection(): Connection | undefined {
    return this.flow?.connection;
  }

  /** reset begins anew, with a name. */
  reset(): void {
    this.flow?.close();
    this.forget();
    this.connectionId = '';
    this.resumed = false;
    this.told = '';
    this.key = newKey();
    this.problem = undefined;
    this.draft = { ...this.draft, name: '', keys: {} };
    this.forgetDraft();
    this.availability = '';
    if (this.client) this.flow = this.newFlow(this.client);
    this.requestUpdate();
  }

  private newFlow(client: Client): Flow {
    return new Flow(client, (before) => this.moved(before));
  }

  private async begin(): Promise<void> {
    if (!this.tokenProvider) return;
    this.flow?.close();
    const client = (this.client = new Client(this.apiBase, this.tokenProvider));
    const flow = (this.flow = this.newFlow(client));
    this.problem = undefined;
    this.draft = { ...this.draft, name: this.name, ...this.recallDraft(), ...(this.expectedAccount && { account: this.expectedAccount }) };
    this.requestUpdate();
    const kept = this.recall();
    const id = this.connectionId || kept?.id;
    await Promise.all([this.configure(client), id ? this.resume(flow, id, kept) : undefined]);
  }

  private async configure(client: Client): Promise<void> {
    try {
      const config = (this.config = await client.config());
      const kept = this.recallDraft();
      const sets = config.permissionSets.map((p) => p.name as string);
      this.draft = {
        ...this.draft,
        method: first(this.offered(), kept.method) ?? 'stack',
        region: first(config.regions, kept.region, this.defaultRegion) ?? '',
        permissions: first(sets, kept.permissions, this.permissionSet) ?? '',
      };
    } catch (error) {
      this.problem = asProblem(error);
    }
  }

  private async resume(flow: Flow, id: string, kept?: { id: string; method: Method }): Promise<void> {
    this.busy = 'resume';
    if (kept?.id === id) this.method = kept.method;
    try {
      await flow.open(id);
      this.resumed = !this.connectionId;
    } catch (error) {
      if (flow !== this.flow) return;
      this.forget();
      if (this.connectionId) this.problem = asProblem(error);
    }
    this.busy = '';
  }

  /** moved is told whenever there is something new to show. */
  private moved(before?: Connection): void {
    const c = this.flow?.connection;
    if (c && !this.clock) this.clock = window.setInterval(() => this.ticked(), 250);
    if (c?.status === 'enabled') {
      this.forget();
      this.tell(`${c.id} enabled`, 'connected', { connection: c });
    } else if (c) {
      if (c.method === 'role') this.keep(c.id);
      const reason = this.flow?.failure();
      if (reason && (c.status === 'failed' || c.status === 'disconnected')) {
        this.tell(`${c.id} ${reason.code} ${this.flow?.latest('connection.failed')?.id ?? c.version}`, 'failed', { connection: c, reason });
      }
    }
    this.requestUpdate(); // before updateComplete is asked for, which else is that of the last update
    if (before && before.status !== c?.status) void this.updateComplete.then(() => this.showNews());
  }

  /** showNews puts the focus on what is new, unless the reader is busy elsewhere in the page. */
  private showNews(): void {
    const at = (this.getRootNode() as Document | ShadowRoot).activeElement;
    if (at && !at.contains(this)) return;
    this.renderRoot.querySelector<HTMLElement>('[data-focus]')?.focus();
    const covered = Number.parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop) || 0; // by what the page pins to its top
    if (this.getBoundingClientRect().top < covered) this.scrollIntoView({ block: 'start' });
  }

  /** tell tells the host page, once for each thing. */
  private tell(what: string, event: 'connected' | 'failed' | 'closed', detail: object): void {
    if (what && what === this.told) return;
    if (what) this.told = what;
    this.dispatchEvent(new CustomEvent(event, { detail, bubbles: true, composed: true }));
  }

  private ticked(): void {
    if (this.flow?.connection?.verification) this.requestUpdate();
  }

  private get memory(): string {
    return `rolecall-connect:${new URL(this.apiBase || '/', location.href).origin}`;
  }

  /** keep remembers which connection is under way, so that another visit takes it up. The id opens nothing by itself. */
  private keep(id: string): void {
    try {
      localStorage.setItem(this.memory, JSON.stringify({ id, method: this.method }));
    } catch {
      // no storage: then the page cannot resume by itself
    }
  }

  /** A reload keeps what was typed, in this tab alone and never a key. */
  private keepDraft(): void {
    const { name, method, region, permissions, account } = this.draft;
    try {
      sessionStorage.setItem(this.memory, JSON.stringify({ name, method, region, permissions, account }));
    } catch {
      // no storage: then it is typed again
    }
  }

  private recallDraft(): Partial<Draft> {
    try {
      const kept = JSON.parse(sessionStorage.getItem(this.memory) ?? '') as Partial<Draft>;
      return typeof kept.name === 'string' ? kept : {};
    } catch {
      return {};
    }
  }

  private forgetDraft(): void {
    try {
      sessionStorage.removeItem(this.memory);
    } catch {
      // nothing was kept
    }
  }

  private forget(): void {
    try {
      localStorage.removeItem(this.memory);
    } catch {
      // nothing was kept
    }
  }

  private recall(): { id: string; method: Method } | undefined {
    try {
      const kept = JSON.parse(localStorage.getItem(this.memory) ?? '') as { id?: unknown; method?: unknown };
      if (typeof kept.id !== 'string') return undefined;
      return { id: kept.id, method: allMethods.find((m) => m === kept.method) ?? 'stack' };
    } catch {
      return undefined;
    }
  }

  /** offered are the methods that the host page asks for; all without a word. */
  private offered(): Method[] {
    const wanted = this.methods.split(/[\s,]+/).filter(Boolean);
    return allMethods.filter((m) => !wanted.length || wanted.includes(m));
  }

  override render() {
    return html`<section class="card" aria-label="Connect an AWS account">${this.header()}<div class="body">${this.body()}</div></section>`;
  }

  private header(): TemplateResult {
    const c = this.flow?.connection;
    return html`<header>
      <h2>${c ? html`${c.name}<span class="where">${c.accountId ? `AWS account ${c.accountId}` : c.expectedAccountId ? `AWS account ${c.expectedAccountId}, to be connected` : 'AWS account to be connected'}</span>` : 'Connect an AWS account'}</h2>
      <button type="button" class="icon-only" aria-label="Close" title="Close" @click=${this.close}>${cross()}</button>
    </header>`;
  }

  private close(): void {
    this.tell('', 'closed', { connection: this.flow?.connection ?? null });
  }

  private body(): TemplateResult {
    if (!this.tokenProvider) return html`<p class="lead">Waiting for the page to say who is signed in.</p>`;
    const broken = this.flow?.broken ?? (!this.config && !this.flow?.connection ? this.problem : undefined);
    if (broken) return this.brokenView(broken);
    const c = this.flow?.connection;
    if (!c) return this.busy === 'resume' || !this.config ? html`<p class="lead" role="status">Loading…</p>` : this.form();
    return html`${this.flow?.offline ? html`<div class="note busy" role="status"><h3>${warning()} The API cannot be reached</h3><p>Trying again by itself. Nothing is lost: whatever happens in AWS meanwhile is shown once it answers.</p></div>` : nothing}
      ${this.view(c)}`;
  }

  private brokenView(p: Problem): TemplateResult {
    return html`<div class="note bad" role="alert"><h3>${warning()} This cannot be shown</h3><p>${p.message}</p>${p.fix ? html`<p>${p.fix}</p>` : nothing}<span class="code">${p.code}</span></div>
      <div class="foot"><button type="button" class="primary" @click=${() => void this.begin()}>Try again</button>
      ${this.connectionId || this.recall() ? html`<button type="button" @click=${() => { this.reset(); void this.begin(); }}>Start anew</button>` : nothing}</div>`;
  }

  private form(): TemplateResult {
    const d = this.draft;
    const wrong = this.nameProblem();
    return html`<form novalidate @submit=${this.submit}>
      <div class="field">
        <label for="name">Name</label>
        <input id="name" name="name" autocomplete="off" spellcheck="false" maxlength="64" required .value=${d.name} placeholder="Production"
          aria-invalid=${wrong ? 'true' : 'false'} aria-describedby="name-hint" @input=${this.named}>
        <div id="name-hint" aria-live="polite">${wrong ? html`<p class="wrong">${wrong}</p>`
          : this.availability === 'free' ? html`<p class="fine">This name is free.</p>`
          : html`<p class="hint">What you will know this account by. A name is never used twice, not even after deletion.</p>`}</div>
      </div>
      ${methodChoices(this.offered(), d, (change) => this.change(change))}
      ${this.config ? details(this.config, d, (change) => this.change(change)) : nothing}
      ${this.problem && this.problem.code !== 'NAME_TAKEN' ? this.problemNote(this.problem) : nothing}
      <div class="foot"><button class="primary" aria-disabled=${this.busy ? 'true' : 'false'}>${this.busy ? 'One moment…' : d.method === 'keys' ? 'Connect' : 'Continue'}</button></div>
    </form>`;
  }

  private nameProblem(): string {
    if (this.problem?.code === 'NAME_TAKEN') return 'This name is taken, or was once; choose another.';
    if (this.availability === 'taken') return 'This name is taken, or was once; choose another.';
    return this.problem?.code === 'NAME_INVALID' ? this.problem.message : '';
  }

  private problemNote(p: Problem): TemplateResult {
    return html`<div class="note bad" role="alert"><h3>${warning()} ${p.message}</h3>${fixed(p.fix)}<span class="code">${p.code}${p.requestId ? ` · request ${p.requestId}` : ''}</span></div>`;
  }

  private change(change: Partial<Draft>): void {
    this.draft = { ...this.draft, ...change };
    this.problem = undefined;
    this.keepDraft();
  }

  private named(e: Event): void {
    this.change({ name: (e.target as HTMLInputElement).value });
    this.key = newKey();
    this.asking?.abort();
    this.availability = '';
    const name = this.draft.name.trim();
    if (!name || !this.client) return;
    const asking = (this.asking = new AbortController());
    const client = this.client;
    setTimeout(() => {
      if (asking.signal.aborted) return;
      isTaken(client, name, asking.signal).then(
        (taken) => {
          if (!asking.signal.aborted) this.availability = taken ? 'taken' : 'free';
        },
        () => undefined, // creating the connection says it, too
      );
    }, 250);
  }

  private async submit(e: Event): Promise<void> {
    e.preventDefault();
    if (this.busy || !this.flow) return;
    const d = this.draft;
    if (!d.name.trim() || this.availability === 'taken') {
      if (!d.name.trim()) this.problem = new Problem(0, 'NAME_INVALID', 'A connection needs a name.');
      this.renderRoot.querySelector<HTMLInputElement>('#name')?.focus();
      return;
    }
    this.asking?.abort();
    this.method = d.method;
    const flow = this.flow;
    await this.during('create', async () => {
      await flow.create(
        { name: d.name.trim(), defaultRegion: d.region, permissions: d.permissions, ...(d.account && { accountId: d.account }), ...(this.scope && { scopes: [scopeOf(this.scope)] }), ...(d.method === 'keys' && keysBody(d)) },
        d.method === 'keys' ? '' : this.key,
      );
      this.draft = { ...d, keys: {} };
      this.forgetDraft();
    });
    if (!this.problem) void this.updateComplete.then(() => this.showNews());
    else if (this.problem.code === 'NAME_TAKEN') this.renderRoot.querySelector<HTMLInputElement>('#name')?.focus();
  }

  private async during(what: string, act: () => Promise<void>): Promise<void> {
    this.busy = what;
    this.problem = undefined;
    try {
      await act();
    } catch (error) {
      this.problem = asProblem(error);
    }
    this.busy = '';
  }

  private view(c: Connection): TemplateResult {
    if (c.status === 'enabled' && !c.verification) return this.success(c);
    if (c.status === 'deleted') return html`<div class="note"><h3>This connection was deleted</h3><p>Its name and external ID stay reserved.</p></div>${this.anew()}`;
    const failure = this.flow?.failure();
    const waiting = c.status === 'pending' || c.status === 'failed';
    const lapsed = c.status === 'pending' && !c.launchExpiresAt && !c.stack; // the link has ended, and the status follows within minutes
    return html`<div class="columns">
      <div class="guide">
        ${failure ? this.failed(c, failure) : nothing}
        ${!failure && (c.status === 'disconnected' || c.status === 'expired' || lapsed) ? this.ended(c) : nothing}
        ${c.status === 'pending' && !c.launchExpiresAt && c.stack ? this.creating(c.stack.id) : nothing}
        ${c.status === 'verifying' || c.verification ? this.verifying(c) : nothing}
        ${strayed(c) ? this.strayed(c) : nothing}
        ${waiting && c.launch ? this.instructions(c, failure) : nothing}
        ${waiting && isWithheld(c) && !this.flow?.offline ? this.withheld() : nothing}
        ${this.problem ? this.problemNote(this.problem) : nothing}
      </div>
      ${timeline(c, this.flow as Flow, this.method)}
    </div>
    ${this.resumed ? html`<div class="foot"><button type="button" class="plain" @click=${this.reset}>Connect another account instead</button></div>` : nothing}`;
  }

  private instructions(c: Connection, failure?: Failure): TemplateResult {
    const shown = this.offered().filter((m) => m !== 'keys' && (m !== 'terraform' || c.launch?.terraform));
    const redo = failure && (this.method === 'stack' || this.method === 'cli');
    return html`
      ${shown.length > 1 ? html`<div class="tabs" role="group" aria-label="Way of connecting">
        ${shown.map((m) => html`<button type="button" aria-pressed=${m === this.method ? 'true' : 'false'} @click=${() => this.choose(m, c)}>${methodShort[m]}</button>`)}
      </div>` : nothing}
      ${redo ? nothing : guide(this.method, c, {
        busy: this.busy !== '', config: this.config, report: (arn) => void this.during('report', async () => this.flow?.report(arn)),
      })}`;
  }

  private strayed(c: Connection): TemplateResult {
    return html`<div class="note bad" role="alert"><h3>${warning()} Another account was refused</h3><p>${sentence(strayed(c)?.message ?? '')}</p>
      <p>Nothing was connected, and the stack there can be deleted.${c.launchExpiresAt ? ' The link still waits for the right account.' : nothing}</p><span class="code">${strayed(c)?.code}</span></div>`;
  }

  private withheld(): TemplateResult {
    return html`<div class="note"><h3 tabindex="-1" data-focus>The link is not shown to you</h3>${lacksWrite()}</div>`;
  }

  private choose(m: Method, c: Connection): void {
    this.method = m;
    this.keep(c.id);
  }

  private verifying(c: Connection): TemplateResult {
    const v = c.verification;
    if (!v) return html`<p role="status">Verifying…</p>`;
    const now = this.flow?.now() ?? Date.now();
    return html`<h3 tabindex="-1" data-focus>Proving that the role is safe</h3>
      <div class="ringed">${ring(v.deadline, now)}<div>
        <p>${Date.parse(v.deadline) > now ? 'Usually a few seconds. AWS may take up to two minutes to make a new role known everywhere.'
          : c.statusReason && c.statusReason.code !== 'STS_UNAVAILABLE' ? 'The time is over: the last try decides.'
          : 'Longer than usual: AWS itself does not answer as it should. We go on trying every minute; you can leave this page.'}</p>
        <p class="hint">Try ${v.attempt + 1}${Date.parse(v.nextTryAt) > now + 500 ? ` in ${Math.ceil((Date.parse(v.nextTryAt) - now) / 1000)} s` : ' is being made now'}</p>
      </div></div>
      ${c.statusReason ? html`<div class="note busy"><h3>${warning()} Not yet</h3><p>${sentence(c.statusReason.message)}</p></div>` : nothing}`;
  }

  private success(c: Connection): TemplateResult {
    return html`<div class="success">
      <div class="seal">${tick()}</div>
      <h3 tabindex="-1" data-focus>Connected</h3>
      <p role="status">${c.name} is enabled${c.accountId ? html`: AWS account <strong>${c.accountId}</strong>` : nothing}, ${permissionLabel(c.permissions).toLowerCase()}.</p>
      ${checkList(c.checks)}
      <div class="foot"><button type="button" class="primary" @click=${this.close}>Done</button><button type="button" @click=${this.reset}>Connect another account</button></div>
    </div>`;
  }

  private failed(c: Connection, f: Failure): TemplateResult {
    const broken = f.checks.filter((k) => k.verdict === 'failed');
    return html`<div class="note bad" role="alert">
        <h3 tabindex="-1" data-focus>${warning()} ${f.title}</h3>
        <p>${f.message}</p>
        ${broken.length > 1 ? checkList(broken) : nothing}
        ${remedy(f)}
        <span class="code">${f.code}</span>
      </div>
      <div class="foot">${this.retries(c)}</div>`;
  }

  /** retries are the ways on from a failure: with the same role once it is mended, or with another stack. */
  private retries(c: Connection): TemplateResult {
    const again = html`<button type="button" class="primary" aria-disabled=${this.busy ? 'true' : 'false'} @click=${() => this.busy || void this.during('verify', async () => this.flow?.verify())}>${this.busy === 'verify' ? 'Verifying…' : 'Try again'}</button>`;
    if (c.status === 'failed' || c.status === 'degraded') return again;
    if (c.status === 'pending' && c.launchExpiresAt) return html``;
    return html`<button type="button" class="primary" aria-disabled=${this.busy ? 'true' : 'false'} @click=${this.relaunch}>${this.busy === 'launch' ? 'One moment…' : 'Try again with a new link'}</button>`;
  }

  private ended(c: Connection): TemplateResult {
    const expired = c.status !== 'disconnected';
    return html`<div class="note"><h3 tabindex="-1" data-focus>${expired ? 'The link has expired' : 'Disconnected'}</h3>
        <p>${expired ? 'Nobody used it within seven days.' : html`The stack was deleted, <time datetime=${c.updatedAt} title=${exact(c.updatedAt)}>${ago(c.updatedAt)}</time>. Name and external ID are still this connection’s.`}</p></div>
      <div class="foot">${this.retries(c)}</div>`;
  }

  /** creating is while the stack makes its role: there is nothing to do but to wait, or to read AWS's own page. */
  private creating(stack: string): TemplateResult {
    return html`<h3 tabindex="-1" data-focus>AWS is creating the role</h3>
      <p>CloudFormation is at work in account <strong>${stack.split(':')[4]}</strong>, usually for less than a minute. This page follows by itself.</p>
      <p class="hint">If the stack is rolled back, its Events in the AWS console say why; this page then offers a new link.</p>`;
  }

  private relaunch(): void {
    if (this.busy) return;
    void this.during('launch', async () => this.flow?.relaunch());
  }

  private anew(): TemplateResult {
    return html`<div class="foot"><button type="button" class="primary" @click=${this.reset}>Connect another account</button></div>`;
  }
}

/** first is the first of the wishes that is on offer, else the first offer. */
function first<T extends string>(offers: T[], ...wishes: (string | undefined)[]): T | undefined {
  return wishes.map((w) => offers.find((o) => o === w)).find(Boolean) ?? offers[0];
}

const methodShort: Record<Method, string> = { stack: 'CloudFormation', role: 'Role by hand', cli: 'AWS CLI', terraform: 'Terraform', keys: 'Access keys' };

define('rolecall-connect', RolecallConnect);

declare global {
  interface HTMLElementTagNameMap {
    'rolecall-connect': RolecallConnect;
  }
}
