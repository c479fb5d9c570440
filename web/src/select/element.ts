import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import { Client, asProblem, type Connection, type Problem, type TokenProvider } from '../api/client.js';
import '../connect/element.js';
import { theme } from '../connect/styles.js';
import { define } from '../parts/copy.js';
import { chevron, plus, search, tick } from '../parts/icons.js';
import { scopeLevels, scopeText } from '../parts/words.js';

const pageSize = 50;

/**
 * `<rolecall-select>` is a form control that chooses a connection that can be used: its value is the id of an enabled one.
 *
 * Attributes: `name`, `value`, `required`, `disabled`, `api-base`, `scope` (such as "project:web", or "project" for
 * any: those alone, and a new account is connected for that one), `placeholder`, `theme`; `permission-set`, `default-region` and `methods` go to the widget. Property `tokenProvider`.
 * Events: `change`; and those of the widget, while it is open.
 */
export class RolecallSelect extends LitElement {
  static readonly formAssociated = true;
  static override readonly shadowRootOptions: ShadowRootInit = { ...LitElement.shadowRootOptions, delegatesFocus: true };
  static override styles = [theme, css`
    :host { display: inline-block; position: relative; min-width: 16rem; max-width: 100%; vertical-align: middle; text-align: start; }
    .field { width: 100%; justify-content: space-between; font-weight: 400; border-color: var(--_field); text-align: start; }
    .field > span { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    .none, small { color: var(--_soft); }
    .pop { position: absolute; z-index: 20; inset: calc(100% + 0.25rem) auto auto 0; width: max(100%, 19rem); max-width: calc(100vw - 1.5rem); background: var(--_surface); border: 1px solid var(--_line); border-radius: var(--_radius); box-shadow: 0 12px 36px rgb(0 0 0 / 22%); overflow: clip; }
    .filters { display: grid; gap: 0.375rem; padding: 0.625rem; border-bottom: 1px solid var(--_line); }
    .filters input, .filters select { margin: 0; min-height: 2.25rem; }
    .search { position: relative; }
    .search .icon { position: absolute; inset: 0.5625rem auto auto 0.625rem; color: var(--_soft); }
    .search input { padding-inline-start: 2.125rem; }
    ul { list-style: none; margin: 0; padding: 0.25rem; max-height: 16rem; overflow: auto; }
    li { display: grid; grid-template-columns: 1.25rem minmax(0, 1fr); gap: 0 0.5rem; padding: 0.4375rem 0.5rem; border-radius: calc(var(--_radius) * 0.5); cursor: pointer; overflow-wrap: anywhere; }
    li[data-active] { background: var(--_raised); outline: 1px solid var(--_line); }
    li small { grid-column: 2; font-size: 0.8125rem; }
    li .icon { color: var(--_accent); }
    .say { margin: 0; padding: 0.875rem; color: var(--_soft); }
    .new { width: 100%; border: 0; border-top: 1px solid var(--_line); border-radius: 0; color: var(--_accent); justify-content: flex-start; background: transparent; }
    dialog { border: 0; padding: 0; background: transparent; color: inherit; width: min(54rem, calc(100vw - 1.5rem)); max-height: calc(100vh - 1.5rem); }
    dialog::backdrop { background: rgb(10 12 20 / 55%); }
  `];

  @property() name = '';
  @property() value = '';
  @property({ type: Boolean, reflect: true }) required = false;
  @property({ type: Boolean, reflect: true }) disabled = false;
  @property({ attribute: 'api-base' }) apiBase = '';
  @property() scope = '';
  @property() placeholder = 'Choose an account';
  @property({ attribute: 'permission-set' }) permissionSet = '';
  @property({ attribute: 'default-region' }) defaultRegion = '';
  @property() methods = '';
  @property() override title = '';
  @property({ attribute: false }) tokenProvider?: TokenProvider;

  @state() private open = false;
  @state() private connecting = false;
  @state() private items?: Connection[];
  @state() private chosen?: Connection | undefined;
  @state() private more = false;
  @state() private q = '';
  @state() private within = '';
  /** Scopes that were seen, to be chosen from; those of connections beyond the first page are found by their level. */
  @state() private seen: string[] = [];
  @state() private active = 0;
  @state() private problem?: Problem | undefined;

  private readonly internals = this.attachInternals();
  private client?: Client;
  private first = '';
  private typing = 0;
  private round = 0;
  private readonly away = (e: Event) => {
    if (!e.composedPath().includes(this)) this.open = false;
  };

  override connectedCallback(): void {
    super.connectedCallback();
    this.first ||= this.value;
    document.addEventListener('pointerdown', this.away);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener('pointerdown', this.away);
    clearTimeout(this.typing);
  }

  /** form is the form that the control belongs to. */
  get form(): HTMLFormElement | null {
    return this.internals.form;
  }

  get validity(): ValidityState {
    return this.internals.validity;
  }

  checkValidity(): boolean {
    return this.internals.checkValidity();
  }

  reportValidity(): boolean {
    return this.internals.reportValidity();
  }

  formResetCallback(): void {
    this.value = this.first;
  }

  formDisabledCallback(disabled: boolean): void {
    this.disabled = disabled;
  }

  formStateRestoreCallback(kept: string): void {
    this.value = kept;
  }

  protected override updated(changed: Map<string, unknown>): void {
    if ((changed.has('tokenProvider') || changed.has('apiBase')) && this.tokenProvider) {
      this.client = new Client(this.apiBase, this.tokenProvider);
      if (this.value) void this.identify();
    }
    if (changed.has('value')) {
      this.internals.setFormValue(this.value || null);
      if (this.value !== (this.chosen?.id ?? '')) void this.identify();
    }
    if (changed.has('value') || changed.has('required')) {
      const missing = this.required && !this.value;
      this.internals.setValidity(missing ? { valueMissing: true } : {}, missing ? 'Choose an account.' : '', this.renderRoot.querySelector<HTMLElement>('.field') ?? undefined);
    }
    if (changed.has('active')) this.renderRoot.querySelector('[data-active]')?.scrollIntoView({ block: 'nearest' });
  }

  /** identify finds out what the value is called. */
  private async identify(): Promise<void> {
    const id = this.value;
    this.chosen = this.items?.find((c) => c.id === id);
    if (!id || this.chosen || !this.client) return;
    const c = await this.client.connection(id).catch(() => undefined);
    if (this.value === id) this.chosen = c;
  }

  private async load(wanted = pageSize): Promise<void> {
    if (!this.client) return;
    const round = ++this.round;
    try {
      const page = await this.client.connections({ status: 'enabled', q: this.q, scope: this.scope || this.within, limit: Math.min(100, wanted) });
      if (round !== this.round) return;
      this.items = page.items;
      this.more = Boolean(page.nextCursor);
      this.problem = undefined;
      this.seen = [...new Set([...this.seen, ...page.items.flatMap((c) => c.scopes.map(scopeText)).filter((s) => s.includes(':'))])].sort();
      this.active = Math.max(0, page.items.findIndex((c) => c.id === this.value));
    } catch (error) {
      if (round === this.round) this.problem = asProblem(error);
    }
  }

  private toggle(): void {
    if (this.disabled) return;
    this.open = !this.open;
    if (!this.open) return;
    void this.load();
    void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLInputElement>('.search input')?.focus());
  }

  private typed(e: Event): void {
    this.q = (e.target as HTMLInputElement).value.trim();
    clearTimeout(this.typing);
    this.typing = window.setTimeout(() => void this.load(), 150);
  }

  private narrow(e: Event): void {
    this.within = (e.target as HTMLSelectElement).value;
    void this.load();
  }

  private keyed(e: KeyboardEvent): void {
    const list = this.items ?? [];
    if (e.key === 'Escape') {
      this.shut();
    } else if ((e.target as Element).localName !== 'input') {
      return; // the scopes and the button have keys of their own
    } else if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      this.active = (this.active + (e.key === 'ArrowDown' ? 1 : -1) + list.length) % Math.max(1, list.length);
    } else if (e.key === 'Enter') {
      const c = list[this.active];
      if (c) this.choose(c);
    } else {
      return;
    }
    e.preventDefault();
    e.stopPropagation();
  }

  /** single tells that the scope asked for is one, which one connection at most can have. */
  private get single(): boolean {
    return this.scope.includes(':') || this.scope === 'organization';
  }

  private shut(): void {
    this.open = false;
    this.renderRoot.querySelector<HTMLElement>('.field')?.focus();
  }

  private choose(c: Connection): void {
    const changed = this.value !== c.id;
    this.chosen = c;
    this.value = c.id;
    this.shut();
    if (changed) void this.updateComplete.then(() => this.dispatchEvent(new Event('change', { bubbles: true })));
  }

  private connect(): void {
    this.open = false;
    this.connecting = true;
    void this.updateComplete.then(() => this.renderRoot.querySelector('dialog')?.showModal());
  }

  private connected(e: CustomEvent<{ connection: Connection }>): void {
    this.choose(e.detail.connection);
  }

  private closed(): void {
    this.renderRoot.querySelector('dialog')?.close();
    this.connecting = false;
    this.renderRoot.querySelector<HTMLElement>('.field')?.focus();
  }

  override render() {
    const label = [...this.internals.labels].map((l) => l.textContent?.trim()).join(' ') || this.getAttribute('aria-label') || 'Account';
    return html`<button type="button" class="field" aria-haspopup="dialog" aria-expanded=${this.open ? 'true' : 'false'} ?disabled=${this.disabled}
        aria-label="${label}: ${this.chosen?.name ?? (this.value || this.placeholder)}" @click=${this.toggle}>
        <span>${this.chosen ? html`${this.chosen.name} <small>${this.chosen.accountId}</small>` : this.value || html`<span class="none">${this.placeholder}</span>`}</span>${chevron()}</button>
      ${this.open ? this.popup(label) : nothing}
      ${this.connecting ? html`<dialog aria-label="Connect an AWS account" @cancel=${() => (this.connecting = false)}>
        <rolecall-connect api-base=${this.apiBase} permission-set=${this.permissionSet} default-region=${this.defaultRegion} methods=${this.methods}
          scope=${this.single ? this.scope : ''} theme=${this.getAttribute('theme') ?? nothing} .tokenProvider=${this.tokenProvider} @connected=${this.connected} @closed=${this.closed}></rolecall-connect></dialog>` : nothing}`;
  }

  private popup(label: string): TemplateResult {
    const list = this.items ?? [];
    return html`<div class="pop" role="dialog" aria-label=${label} @keydown=${this.keyed}>
      <div class="filters">
        <div class="search">${search()}<input type="search" role="combobox" aria-label="Search accounts" placeholder="Search" maxlength="64" autocomplete="off" aria-expanded="true" aria-controls="list"
          aria-activedescendant=${list.length ? `option-${this.active}` : nothing} .value=${this.q} @input=${this.typed}></div>
        ${this.seen.length && !this.scope ? html`<select aria-label="Scope" @change=${this.narrow}>
          <option value="">All scopes</option>
          <optgroup label="Levels">${Object.entries(scopeLevels).map(([level, label]) => option(level, label, this.within))}</optgroup>
          <optgroup label="One of them">${this.seen.map((s) => option(s, s, this.within))}</optgroup></select>` : nothing}
      </div>
      ${this.problem ? html`<p class="say" role="alert">${this.problem.message} <button type="button" class="plain" @click=${() => void this.load()}>Try again</button></p>`
        : !this.items ? html`<p class="say" role="status">Loading accounts…</p>`
        : html`<ul id="list" role="listbox" aria-label="Accounts" ?hidden=${!list.length}>${list.map((c, i) => html`<li id="option-${i}" role="option" aria-selected=${c.id === this.value ? 'true' : 'false'} ?data-active=${i === this.active}
            @click=${() => this.choose(c)} @pointermove=${() => (this.active = i)}>${c.id === this.value ? tick() : html`<span></span>`}<span>${c.name}</span><small>${c.accountId}${c.scopes.length ? ` · ${c.scopes.map(scopeText).join(', ')}` : ''}</small></li>`)}</ul>
          ${list.length ? nothing : html`<p class="say" role="status">${this.q || this.within ? 'Nothing matches.' : 'No account is connected yet.'}</p>`}
          ${this.more ? html`<p class="say">There are more: search by name.</p>` : nothing}`}
      ${this.single && !this.q && list.length ? nothing : html`<button type="button" class="new" @click=${this.connect}>${plus()} Connect a new account</button>`}
    </div>`;
  }
}

function option(value: string, label: string, chosen: string): TemplateResult {
  return html`<option value=${value} ?selected=${value === chosen}>${label}</option>`;
}

define('rolecall-select', RolecallSelect);

declare global {
  interface HTMLElementTagNameMap {
    'rolecall-select': RolecallSelect;
  }
}
