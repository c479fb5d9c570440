import { html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import { asProblem, sentence, type Check, type Config, type Connection, type Event as Entry, type Problem } from '../api/client.js';
import '../parts/copy.js';
import { failureOf, remedy, strayed } from '../parts/failure.js';
import { fixed, snippet } from '../parts/fix.js';
import { patience } from '../parts/patience.js';
import { cross, question, refresh, tick, warning } from '../parts/icons.js';
import { exact } from '../parts/time.js';
import { checkLabel, eventLabel, eventTone, methodLabel, permissionLabel, verdictWord } from '../parts/words.js';
import { Page, badge, problemNote, when } from './page.js';
import './panels.js';
import './place.js';
import { navigate } from './router.js';

/** How often a connection is looked at again at most, in milliseconds. */
const again = { busy: 1000, waiting: 3000, quiet: 15_000 };

/** One connection: how it is, why, what happened, and all that can be done with it. */
class ConnectionPage extends Page {
  @property() connectionId = '';
  @state() private connection?: Connection | undefined;
  @state() private config?: Config;
  @state() private events: Entry[] = [];
  @state() private cursor = '';
  @state() private busy = '';
  @state() private failed?: Problem | undefined;
  @state() private typed = '';
  private seen = 0;
  /** The ETag of the connection's status as it is shown, and since when that has not moved. */
  private tag = '';
  private since = Date.now();
  /** Checks that were made for the reader just now, which a single denial does not make the connection's own. */
  @state() private fresh?: Check[] | undefined;

  protected override willUpdate(changed: PropertyValues): void {
    if (!changed.has('connectionId') || changed.get('connectionId') === undefined) return;
    this.connection = undefined;
    this.events = [];
    this.seen = 0;
    this.tag = '';
    this.fresh = undefined;
    void this.refresh();
  }

  protected override async load(): Promise<number> {
    const id = this.connectionId;
    const told = await this.client.status(id, this.tag);
    if (told) {
      const [c, config] = await Promise.all([this.client.connection(id), this.config ?? this.client.config()]);
      this.config = config;
      await this.take(c);
      this.tag = told.tag;
      this.since = Date.now();
    } else if (this.connection?.status === 'enabled') {
      await this.take(this.connection); // what is handed out changes nothing, and is in the timeline
    }
    const c = this.connection;
    if (!c || c.status === 'deleted') return 0;
    if (c.verification || c.status === 'verifying') return patience(again.busy, Date.now() - this.since);
    return c.status === 'pending' ? patience(again.waiting, Date.now() - this.since) : again.quiet;
  }

  protected override cameBack(): void {
    this.since = Date.now();
  }

  private async take(c: Connection): Promise<void> {
    this.connection = c;
    document.title = `${c.name} · Rolecall`;
    const page = await this.client.events(c.id, { limit: 20 });
    const known = page.items[0]?.id === this.events[0]?.id && c.version === this.seen;
    this.seen = c.version;
    if (known) return;
    this.events = page.items;
    this.cursor = page.nextCursor ?? '';
  }

  /** act does something to the connection, and shows what it brought or why it did not work. */
  readonly act = async (what: string, ask: (c: Connection) => Promise<Connection | void>): Promise<boolean> => {
    if (this.busy || !this.connection) return false;
    this.busy = what;
    this.failed = undefined;
    try {
      const answer = await ask(this.connection);
      if (answer) await this.take(answer);
      return true;
    } catch (error) {
      this.failed = asProblem(error);
      return false;
    } finally {
      this.busy = '';
      void this.refresh();
    }
  };

  private async verify(): Promise<void> {
    await this.act('verify', async (c) => {
      const checked = await this.client.verify(c.id);
      this.fresh = checked.status === 'verifying' ? undefined : checked.checks;
      return checked;
    });
  }

  override render() {
    const c = this.connection;
    if (!c) {
      if (this.problem?.status === 404) {
        return html`<div class="panel empty"><h1>No such connection</h1><p>It does not exist, or it belongs to another tenant.</p><div class="buttons"><a class="button" href="/">Go to the connections</a></div></div>`;
      }
      return this.problem ? this.trouble() : html`<p role="status">Loading the connection…</p>`;
    }
    return html`
      <a class="crumb" href="/">← Connections</a>
      <div class="head">
        <div><h1>${c.name}</h1><div class="chips">${badge(c.status)}<span class="soft">${methodLabel(c)}${c.accountId ? html` · AWS account <span class="mono">${c.accountId}</span>` : nothing}</span></div></div>
        <div class="actions">${this.actions(c)}</div>
      </div>
      ${this.trouble()}
      ${this.failed ? problemNote(this.failed) : nothing}
      ${this.state(c)}
      <div class="split">
        <div>
          ${this.facts(c)}
          ${this.checks(c)}
          <connection-panels .client=${this.client} .settings=${this.settings} .connection=${c} .config=${this.config} .act=${this.act} busy=${this.busy}></connection-panels>
        </div>
        <div>${this.timeline()}
          <connection-place .client=${this.client} .connection=${c} .config=${this.config} .act=${this.act} busy=${this.busy}></connection-place>
          ${this.ending(c)}</div>
      </div>`;
  }

  private actions(c: Connection): TemplateResult {
    const open = ['pending', 'verifying', 'failed', 'disconnected', 'expired'].includes(c.status);
    return html`
      ${open ? html`<a class="button primary" href="/connect/${c.id}">${c.status === 'failed' ? 'Mend and try again' : c.status === 'disconnected' || c.status === 'expired' ? 'Connect again' : 'Continue connecting'}</a>` : nothing}
      ${c.status === 'enabled' || c.status === 'degraded' || (c.status === 'failed' && c.roleArn)
        ? html`<button type="button" aria-disabled=${this.busy ? 'true' : 'false'} @click=${() => void this.verify()}>${refresh()} ${this.busy === 'verify' ? 'Verifying…' : 'Verify now'}</button>` : nothing}`;
  }

  private state(c: Connection): TemplateResult | typeof nothing {
    if (c.status === 'failed' || c.status === 'degraded' || (c.status === 'enabled' && c.statusReason)) {
      const r = c.statusReason;
      const title = c.status === 'failed' ? 'The role was refused' : c.status === 'degraded' ? 'The account refuses us; no credentials are issued' : 'The last check was denied';
      return html`<div class="note ${c.status === 'enabled' ? 'busy' : 'bad'}" role="status"><h2>${warning()} ${title}</h2>
        ${r ? html`<p>${sentence(r.message)}</p>${fixed(r.fix ?? '')}<span class="code">${r.code}</span>` : nothing}
        ${c.status === 'enabled' ? html`<p class="soft small">Credentials are still issued: it takes three denials, at least five minutes apart, to end that.</p>` : nothing}</div>`;
    }
    const other = strayed(c);
    if (other) {
      return html`<div class="note bad" role="status"><h2>${warning()} Another account was refused</h2><p>${sentence(other.message)}</p>${fixed(other.fix ?? '')}<span class="code">${other.code}</span></div>`;
    }
    if (c.status === 'disconnected' || c.status === 'expired') {
      const f = failureOf(c, this.events);
      const r = f ?? c.statusReason;
      return r ? html`<div class="note ${f ? 'bad' : ''}" role="status"><h2>${f ? html`${warning()} ${f.title}` : c.status === 'expired' ? 'The link has expired' : 'Disconnected'}</h2>
        <p>${sentence(r.message)}</p>${f ? remedy(f) : html`<p>${r.fix ?? ''}</p>`}<span class="code">${r.code}</span></div>` : nothing;
    }
    if (c.verification && c.status !== 'verifying') {
      return html`<div class="note busy" role="status"><h2>${warning()} A new role is on trial</h2><p><code>${c.verification.roleArn}</code></p><p>The old role goes on serving until the new one has passed.</p></div>`;
    }
    return nothing;
  }

  private facts(c: Connection): TemplateResult {
    const current = this.config?.template.version;
    const old = Boolean(c.stack?.templateVersion && current && c.stack.templateVersion !== current);
    return html`<section class="panel"><header><h2>Account</h2></header><div class="in"><dl class="facts">
      ${fact('Account', c.accountId, true)}
      ${c.accountId ? nothing : fact('Expected account', c.expectedAccountId, true)}
      ${fact('Default Region', c.defaultRegion)}
      ${fact('Permissions', html`${permissionLabel(c.permissions)}${c.requestedPermissions && c.requestedPermissions !== c.permissions ? html` <span class="soft small">(asked for: ${permissionLabel(c.requestedPermissions)})</span>` : nothing}`)}
      ${c.stack?.templateVersion ? fact('Template', html`${c.stack.templateVersion} ${old ? html`<span class="soft">(newest: ${current})</span>` : html`<span class="soft">(newest)</span>`}`) : nothing}
      ${fact('Created', html`${when(c.createdAt)} <span class="soft">by ${c.createdBy}</span>`)}
      ${fact('Enabled', when(c.enabledAt, 'Not yet'))}
      ${fact('Last verified', when(c.lastVerifiedAt, 'Never'))}
      ${c.nextVerificationAt ? fact('Next verification', when(c.nextVerificationAt)) : nothing}
      ${c.regions.length ? fact('Regions in the account', `${c.regions.length}`) : nothing}
      ${fact('External ID', c.externalId, true, 'long')}
      ${fact('Role', c.roleArn, true, 'long')}
      ${c.stack ? fact('Stack', c.stack.id, true, 'long') : nothing}
    </dl></div></section>`;
  }

  private checks(c: Connection): TemplateResult {
    const list = this.fresh ?? c.checks;
    return html`<section class="panel"><header><h2>Checks</h2>${this.fresh ? html`<span class="soft small">As asked for just now</span>` : nothing}</header><div class="in">
      ${list.length ? html`<ul class="checks">${list.map((k) => html`<li class=${k.verdict === 'passed' && k.code ? 'warned' : k.verdict}>
          ${k.verdict === 'passed' ? (k.code ? warning() : tick()) : k.verdict === 'failed' ? cross() : question()}
          <span>${checkLabel(k.name)}<span class="hidden">: ${verdictWord(k)}</span></span>
          <time class="soft small" datetime=${k.at} title=${exact(k.at)}>${verdictWord(k)}</time>
          ${k.message ? html`<div class="why"><p>${sentence(k.message)}</p>${k.fix ? html`<details><summary>What to do</summary>${fixed(k.fix)}</details>` : nothing}<span class="code">${k.code}</span></div>` : nothing}
        </li>`)}</ul>` : html`<p class="soft">Nothing has been checked yet: no role has been reported.</p>`}
    </div></section>`;
  }

  private timeline(): TemplateResult {
    return html`<section class="panel"><header><h2>Timeline</h2></header><div class="in">
      <ol class="events">${this.events.map((e) => html`<li class=${eventTone(e)}>
        <span class="what">${eventLabel(e.type)}</span>
        <span class="meta">${when(e.at)} · ${actor(e.actor)}</span>
        ${Object.keys(e.data ?? {}).length ? html`<details><summary>Details</summary><pre>${JSON.stringify(e.data, null, 2)}</pre></details>` : nothing}
      </li>`)}</ol>
      ${this.cursor ? html`<button type="button" class="small-button" @click=${this.older}>Show older</button>` : nothing}
    </div></section>`;
  }

  private async older(): Promise<void> {
    try {
      const page = await this.client.events(this.connectionId, { limit: 50, cursor: this.cursor });
      this.events = this.events.concat(page.items);
      this.cursor = page.nextCursor ?? '';
    } catch (error) {
      this.failed = asProblem(error);
    }
  }

  private ending(c: Connection): TemplateResult | typeof nothing {
    if (c.status === 'deleted') return nothing;
    return html`<section class="panel"><header><h2>End this connection</h2></header><div class="in">
      ${c.stack && c.status !== 'disconnected' ? html`<p><strong>Disconnect:</strong> the customer deletes the stack in their account. The role goes with it, and this connection follows by itself; it can be connected again.</p>
        <details class="small"><summary>With the AWS CLI, in the customer’s account</summary>${snippet('AWS CLI', `aws cloudformation delete-stack --region ${c.stack.region} --stack-name '${c.stack.id}'`)}</details>` : nothing}
      <p><strong>Delete:</strong> ends it at once and for good. No credentials are issued any more; name and external ID stay reserved for ever. The role in the customer’s account is theirs to remove; until it refuses us, we go on checking.</p>
      <button type="button" class="danger" @click=${() => this.dialog?.showModal()}>Delete connection</button>
      <dialog id="delete-dialog" aria-labelledby="delete-title" @close=${() => (this.typed = '')}>
        <form method="dialog" @submit=${this.erase}>
          <h2 id="delete-title">Delete ${c.name}?</h2>
          <p>This cannot be undone. Services that use this connection lose access as their present credentials end.</p>
          <label for="typed">Type <strong>${c.name}</strong> to confirm</label>
          <input id="typed" autocomplete="off" spellcheck="false" .value=${this.typed} @input=${(e: Event) => (this.typed = (e.target as HTMLInputElement).value)}>
          <div class="buttons"><button type="button" @click=${() => this.dialog?.close()}>Cancel</button><button class="danger primary" ?disabled=${this.typed !== c.name}>${this.busy === 'delete' ? 'Deleting…' : 'Delete for good'}</button></div>
        </form>
      </dialog>
    </div></section>`;
  }

  private get dialog(): HTMLDialogElement | null {
    return this.querySelector('#delete-dialog');
  }

  private async erase(e: Event): Promise<void> {
    e.preventDefault();
    const done = await this.act('delete', (c) => this.client.remove(c.id, c.version));
    this.dialog?.close();
    if (done) navigate('/');
  }
}

function fact(term: string, text: TemplateResult | string | undefined, copied = false, size = ''): TemplateResult | typeof nothing {
  if (!text) return nothing;
  return html`<div class=${size}><dt>${term}</dt><dd>${copied ? html`<code>${text}</code><rolecall-copy compact .text=${text as string} .label=${`Copy: ${term}`}></rolecall-copy>` : html`<span>${text}</span>`}</dd></div>`;
}

function actor(name: string): string {
  if (name === 'stack') return 'the customer’s stack';
  return name === 'rolecall' ? 'Rolecall' : name;
}

customElements.define('connection-page', ConnectionPage);
