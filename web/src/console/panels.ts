/** The parts of a connection's page that are there only when they apply. */
import { html, nothing, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import { asProblem, type Config, type Connection, type Problem, type RevokedSessions, type Session, type Sessions, type SignInLink } from '../api/client.js';
import { fixed, snippet } from '../parts/fix.js';
import { open, warning } from '../parts/icons.js';
import { exact } from '../parts/time.js';
import { isWithheld, lacksWrite } from '../parts/withheld.js';
import { Page, problemNote, when } from './page.js';
import './snippets.js';

/** From how many days on a key is called old. */
const oldKey = 90;

export type Act = (what: string, ask: (c: Connection) => Promise<Connection | void>) => Promise<boolean>;

class ConnectionPanels extends Page {
  @property({ attribute: false }) connection!: Connection;
  @property({ attribute: false }) config?: Config;
  @property({ attribute: false }) act!: Act;
  @property() busy = '';
  @state() private sessions?: Session[];
  @state() private link?: SignInLink | undefined;
  @state() private revoked?: RevokedSessions | undefined;
  @state() private unrotated?: Problem | undefined;
  @state() private note?: Problem | undefined;

  protected override async load(): Promise<number> {
    if (this.connection.enabledAt) { // else there can be no session
      const page = await this.client.ask<Sessions>('GET', this.client.path(this.connection.id, '/sessions'), { query: { limit: 20 } });
      this.sessions = page.items;
    }
    return 20_000;
  }

  override render() {
    const c = this.connection;
    if (c.status === 'deleted') return nothing;
    return html`${this.note ? problemNote(this.note) : nothing}
      ${this.updatePanel(c)}
      ${this.policyPanel(c)}
      <credential-snippets .connection=${c} .base=${this.client.base}></credential-snippets>
      ${this.sessionsPanel(c)}
      ${c.method === 'access_key' ? this.keysPanel(c) : nothing}`;
  }

  /** ask does something that does not answer with the connection, and shows what went wrong. */
  private async ask<T>(method: string, path: string, body?: unknown): Promise<T | undefined> {
    this.note = undefined;
    try {
      return await this.client.ask<T>(method, this.client.path(this.connection.id, path), body === undefined ? {} : { body });
    } catch (error) {
      this.note = asProblem(error);
      return undefined;
    }
  }

  private updatePanel(c: Connection): TemplateResult | typeof nothing {
    const u = c.stack?.update;
    if (!u) return nothing;
    return html`<section class="panel"><header><h2>${u.from === u.to ? 'Newer permissions' : 'A newer template'}</h2>${u.from === u.to ? nothing : html`<span class="chip">${u.from} → ${u.to}</span>`}</header><div class="in">
      <p>What changes for this connection:</p><ul>${u.changes.map((t) => html`<li>${t}</li>`)}</ul>
      ${u.updateUrl ? html`<p class="buttons"><a class="button" href=${u.updateUrl} target="_blank" rel="noopener noreferrer">Update the stack in AWS ${open()}<span class="hidden"> (in a new tab)</span></a></p>`
        : html`<p>The organization’s stack brings it to all accounts: update that one with <code>${u.templateUrl}</code>.</p>`}
      ${u.cli ? html`<details><summary>With the AWS CLI</summary>${snippet('AWS CLI', u.cli)}</details>` : nothing}
    </div></section>`;
  }

  /** policyPanel is of a role that was made by hand, when the platform's own permission set has changed since. */
  private policyPanel(c: Connection): TemplateResult | typeof nothing {
    const u = c.policyUpdate;
    if (!u) return nothing;
    return html`<section class="panel"><header><h2>Newer permissions</h2></header><div class="in">
      <p>What changes for this connection:</p><ul>${u.changes.map((t) => html`<li>${t}</li>`)}</ul>
      <p>Your customer puts <a href=${u.policyUrl} target="_blank" rel="noopener noreferrer">the platform’s policy<span class="hidden"> (in a new tab)</span></a> in the place of the role’s inline policy <code>RolecallCustom</code>; then have the role checked once more.</p>
      ${u.cli ? html`<details><summary>With the AWS CLI</summary>${snippet('AWS CLI', u.cli)}</details>` : nothing}
      <p class="buttons"><button type="button" @click=${() => void this.act('policy', () => this.client.ask<Connection>('PUT', this.client.path(c.id, '/role'), { body: { roleArn: c.roleArn } }))}>${this.busy === 'policy' ? 'Checking…' : 'Check the role'}</button></p>
    </div></section>`;
  }

  private sessionsPanel(c: Connection): TemplateResult {
    const usable = c.status === 'enabled';
    const now = Date.now();
    const live = (this.sessions ?? []).filter((s) => Date.parse(s.expiresAt) > now);
    return html`<section class="panel"><header><h2>Sessions</h2></header><div class="in">
      <p class="buttons">
        <button type="button" ?disabled=${!usable} @click=${() => void this.signIn(true)}>Sign in to AWS, read only</button><button type="button" ?disabled=${!usable} @click=${() => void this.signIn(false)}>Sign in to AWS</button>
        <button type="button" class="danger" ?disabled=${!usable && c.status !== 'degraded'} @click=${() => this.querySelector('dialog')?.showModal()}>Revoke sessions</button>
      </p>
      ${this.link ? html`<div class="note" role="status"><h2>The link is ready</h2><p><a class="button primary" href=${this.link.url} target="_blank" rel="noopener noreferrer" @click=${() => (this.link = undefined)}>Open the AWS console ${open()}<span class="hidden"> (in a new tab)</span></a></p>
        <p class="soft small">It opens until ${exact(this.link.expiresAt)}; the session ends ${exact(this.link.sessionExpiresAt)}. Whoever has the link has the session: do not hand it on.</p></div>` : nothing}
      ${this.revoked ? html`<div class="note ${this.revoked.denied ? '' : 'busy'}" role="status"><h2>${this.revoked.denied ? 'Older sessions are denied' : 'Nothing older is handed out any more'}</h2>
        <p>${this.revoked.denied ? 'IAM takes some seconds to spread that in the customer’s account.' : (this.revoked.message ?? '')}</p>${fixed(this.revoked.fix ?? '')}${this.revoked.validUntil ? html`<p>None of them works after ${exact(this.revoked.validUntil)}.</p>` : nothing}</div>` : nothing}
      ${live.length ? html`<ul class="sessions" aria-label="Sessions that have not ended">${live.map((s) => html`<li><span><strong>${s.caller}</strong>${s.purpose === 'console' ? ' · console' : nothing}${s.denied ? ' · denied' : nothing}</span><span class="soft small">ends ${when(s.expiresAt)}</span>
          <span class="why"><code>${s.accessKeyId}</code> as <code>${s.sessionName}</code>${s.reason ? html` · ${s.reason}` : nothing}</span></li>`)}</ul>`
        : this.sessions ? html`<p class="soft">No session is out.</p>` : nothing}
      <dialog aria-labelledby="revoke-title"><form method="dialog"><h2 id="revoke-title">Revoke all sessions?</h2>
        <p>Credentials handed out before now are not handed out again. Where the role may give itself a policy, AWS denies them as well, within seconds; where it may not, they remain valid until they end, and the answer says when that is. New credentials can be had at once.</p>
        <div class="buttons"><button>Cancel</button><button class="danger primary" @click=${() => void this.revoke()}>Revoke sessions</button></div></form></dialog>
    </div></section>`;
  }

  private async signIn(readOnly: boolean): Promise<void> {
    this.link = await this.ask<SignInLink>('POST', '/sign-in', { readOnly });
    if (this.link) void this.refresh();
  }

  private async revoke(): Promise<void> {
    this.revoked = await this.ask<RevokedSessions>('POST', '/revoke-sessions');
    void this.refresh();
    void this.act('revoke', (c) => this.client.connection(c.id));
  }

  private keysPanel(c: Connection): TemplateResult {
    const k = c.accessKey;
    const old = k?.warning?.code === 'KEYS_OLD' || (k?.ageDays ?? 0) >= oldKey;
    return html`<section class="panel"><header><h2>Access key</h2></header><div class="in">
      ${k ? html`<dl class="facts"><div><dt>Access key ID</dt><dd><code>${k.accessKeyId}</code></dd></div><div><dt>Given</dt><dd>${when(k.setAt)}</dd></div><div><dt>Age</dt><dd>${k.ageDays === 1 ? '1 day' : `${k.ageDays} days`} at least</dd></div>${k.expiresAt ? html`<div><dt>Ends</dt><dd>${when(k.expiresAt)}</dd></div>` : nothing}</dl>` : nothing}
      ${k?.warning?.code === 'KEYS_ENDING' ? html`<div class="note busy" role="status"><h3>${warning()} This key ends ${when(k.expiresAt ?? '')}</h3><p>The connection stops working then. Give a new key before, or move to a role, which does not end.</p></div>` : nothing}
      ${old ? html`<div class="note busy" role="status"><h3>${warning()} This key is old</h3><p>A key that works for years is a key that leaks one day. Rotate it, or better, move to a role, which has no secret to keep.</p></div>` : nothing}
      <h3 class="spaced">Rotate</h3>
      <p class="soft">Make a second key for the same user, give it here, and delete the first one once this has worked. The new key is proven before the old one is let go.</p>
      <form class="row" autocomplete="off" @submit=${this.rotate}>
        <div class="grow"><label for="new-id">Access key ID</label><input id="new-id" name="accessKeyId" required autocomplete="off" spellcheck="false"></div>
        <div class="grow"><label for="new-secret">Secret access key</label><input id="new-secret" name="secretAccessKey" type="password" required autocomplete="off"></div>
        <div class="grow"><label for="new-token">Session token <span class="soft">(ASIA… only)</span></label><input id="new-token" name="sessionToken" type="password" autocomplete="off"></div>
        <button class="primary">${this.busy === 'keys' ? 'Proving…' : 'Rotate keys'}</button>
      </form>
      ${this.unrotated ? html`${problemNote(this.unrotated)}<p>Nothing has changed: ${k ? html`<code>${k.accessKeyId}</code>` : 'the old key'} goes on serving.</p>` : nothing}
      <h3 class="spaced">Move to a role</h3>
      ${c.launch ? html`<p>Your customer opens this link, ticks the box and presses Create stack. The key goes on serving until the role has passed; then it is forgotten.</p>
          <p class="buttons"><a class="button" href=${c.launch.quickCreateUrl} target="_blank" rel="noopener noreferrer">Open AWS CloudFormation ${open()}<span class="hidden"> (in a new tab)</span></a></p>
          <p class="soft small">The link works until ${exact(c.launch.expiresAt)}.</p>`
        : isWithheld(c) ? html`<p>A link is open until ${exact(c.launchExpiresAt as string)}.</p>${lacksWrite()}`
        : html`<p class="soft">A role has no secret that could leak, and AWS ends each session by itself.</p><p class="buttons"><button type="button" @click=${() => void this.act('launch', () => this.client.launch(c.id))}>${this.busy === 'launch' ? 'One moment…' : 'Prepare the link'}</button></p>`}
      </div></section>`;
  }

  private async rotate(e: Event): Promise<void> {
    e.preventDefault();
    const form = e.target as HTMLFormElement;
    const body = Object.fromEntries([...new FormData(form)].map(([k, v]) => [k, String(v).trim()]).filter(([, v]) => v));
    this.unrotated = undefined;
    await this.act('keys', async (c) => {
      try {
        const changed = await this.client.ask<Connection>('PUT', this.client.path(c.id, '/access-key'), { body });
        form.reset();
        return changed;
      } catch (error) {
        this.unrotated = asProblem(error);
      }
    });
  }

}

customElements.define('connection-panels', ConnectionPanels);
