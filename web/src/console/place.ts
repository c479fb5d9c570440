/** Where a connection applies, and what it is called. */
import { LitElement, html, nothing, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import { Problem, asProblem, type Client, type Config, type Connection, type Scope } from '../api/client.js';
import { cross, plus } from '../parts/icons.js';
import { capital, scopeLevels, scopeText } from '../parts/words.js';
import { problemNote } from './page.js';
import type { Act } from './panels.js';

class ConnectionPlace extends LitElement {
  @property({ attribute: false }) client!: Client;
  @property({ attribute: false }) connection!: Connection;
  @property({ attribute: false }) config?: Config;
  @property({ attribute: false }) act!: Act;
  @property() busy = '';
  @state() private scopes?: Scope[] | undefined;
  @state() private level: Scope['level'] = 'project';
  @state() private refused?: Problem | undefined;

  protected override createRenderRoot(): this {
    return this;
  }

  override render() {
    const c = this.connection;
    return c.status === 'deleted' ? nothing : html`${this.scopesPanel(c)}${this.namePanel(c)}`;
  }

  private scopesPanel(c: Connection): TemplateResult {
    const list = this.scopes ?? c.scopes;
    return html`<section class="panel"><header><h2>Scopes</h2></header><div class="in">
      <p class="soft">Where this connection applies. The most specific one wins; without any, it is used by its id alone.</p>
      <div class="chips" role="list" aria-label="Scopes">${list.map((s, i) => html`<span class="chip" role="listitem">${scopeText(s)}
        <button type="button" aria-label="Remove ${scopeText(s)}" @click=${() => (this.scopes = list.filter((_, at) => at !== i))}>${cross()}</button></span>`)}
        ${list.length ? nothing : html`<span class="soft" role="listitem">None</span>`}</div>
      <form class="row spaced" @submit=${(e: Event) => this.addScope(e, list)}>
        <div><label for="scope-level">Level</label><select id="scope-level" name="level" @change=${(e: Event) => (this.level = (e.target as HTMLSelectElement).value as Scope['level'])}>${Object.keys(scopeLevels).map((l) => html`<option value=${l} ?selected=${l === this.level}>${capital(l)}</option>`)}</select></div>
        <div class="grow"><label for="scope-id">Id</label><input id="scope-id" name="id" maxlength="128" autocomplete="off" spellcheck="false" ?disabled=${this.level === 'organization'} placeholder=${this.level === 'organization' ? 'Needs none' : `Your id of the ${this.level}`}></div>
        <button>${plus()} Add</button>
      </form>
      ${this.refused ? html`${problemNote(this.refused)}${this.refused.code === 'SCOPE_TAKEN' ? html`<p class="buttons"><button type="button" @click=${() => void this.saveScopes(list, true)}>Take it over</button></p>` : nothing}` : nothing}
      ${this.scopes ? html`<p class="buttons"><button type="button" class="primary" aria-disabled=${this.busy ? 'true' : 'false'} @click=${() => void this.saveScopes(list, false)}>${this.busy === 'scopes' ? 'Saving…' : 'Save scopes'}</button>
        <button type="button" @click=${() => { this.scopes = undefined; this.refused = undefined; }}>Cancel</button></p>` : nothing}
    </div></section>`;
  }

  private addScope(e: Event, list: Scope[]): void {
    e.preventDefault();
    const form = e.target as HTMLFormElement;
    const data = new FormData(form);
    const level = data.get('level') as Scope['level'];
    const id = String(data.get('id') ?? '').trim();
    if ((level === 'organization') === Boolean(id)) {
      this.refused = new Problem(0, 'SCOPE_INVALID', level === 'organization' ? 'The organization has no id.' : `Which ${level}? Give its id.`);
      return;
    }
    this.refused = undefined;
    const added: Scope = id ? { level, id } : { level };
    if (!list.some((s) => scopeText(s) === scopeText(added))) this.scopes = [...list, added];
    (form.elements.namedItem('id') as HTMLInputElement).value = '';
  }

  private async saveScopes(list: Scope[], takeOver: boolean): Promise<void> {
    this.refused = undefined;
    await this.act('scopes', async (c) => {
      try {
        const changed = await this.client.ask<Connection>('PUT', this.client.path(c.id, '/scopes'), { body: { scopes: list, ...(takeOver && { takeOver }) }, version: c.version });
        this.scopes = undefined;
        return changed;
      } catch (error) {
        this.refused = asProblem(error);
      }
    });
  }

  private namePanel(c: Connection): TemplateResult {
    return html`<section class="panel"><header><h2>Name and Region</h2></header><div class="in">
      <form class="row" @submit=${this.rename}>
        <div class="grow"><label for="rename">Name</label><input id="rename" name="name" maxlength="64" required autocomplete="off" .value=${c.name}></div>
        <div><label for="region">Default Region</label><select id="region" name="defaultRegion">${[...new Set([c.defaultRegion, ...(this.config?.regions ?? [])])].map((r) => html`<option value=${r} ?selected=${r === c.defaultRegion}>${r}</option>`)}</select></div>
        <button>${this.busy === 'rename' ? 'Saving…' : 'Save'}</button>
      </form>
      <p class="hint">Both names stay reserved: the old one for this connection alone.</p></div></section>`;
  }

  private async rename(e: Event): Promise<void> {
    e.preventDefault();
    const data = new FormData(e.target as HTMLFormElement);
    await this.act('rename', (c) => this.client.ask<Connection>('PATCH', this.client.path(c.id), {
      version: c.version, body: { name: String(data.get('name')).trim(), defaultRegion: String(data.get('defaultRegion')) },
    }));
  }
}

customElements.define('connection-place', ConnectionPlace);
