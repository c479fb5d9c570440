import { LitElement, html, nothing, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import { asProblem, type Client, type Problem } from '../api/client.js';
import { fixed } from '../parts/fix.js';
import { warning } from '../parts/icons.js';
import { ago, exact } from '../parts/time.js';
import { statusWord } from '../parts/words.js';
import type { Settings } from './auth.js';

/** A Page draws into the document itself, so that one style sheet serves all of them. */
export class Page extends LitElement {
  @property({ attribute: false }) client!: Client;
  @property({ attribute: false }) settings!: Settings;
  @state() protected problem?: Problem | undefined;
  private timer = 0;

  protected override createRenderRoot(): this {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener('visibilitychange', this.shown);
    window.addEventListener('online', this.shown);
    window.addEventListener('focus', this.shown); // back from AWS in another window
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener('visibilitychange', this.shown);
    window.removeEventListener('online', this.shown);
    window.removeEventListener('focus', this.shown);
    clearTimeout(this.timer);
  }

  private readonly shown = () => {
    if (document.hidden || !this.timer) return;
    this.cameBack();
    void this.refresh();
  };

  /** cameBack is told before a page is loaded anew because somebody looks at it again. */
  protected cameBack(): void {
    // most pages look as often as ever
  }

  /** load fetches what the page shows; it answers after how many milliseconds to look again, 0 for never. */
  protected load(): Promise<number> {
    return Promise.resolve(0);
  }

  /** refresh loads and goes on loading as long as load says so; what went wrong is shown, and tried again if it may pass. */
  protected async refresh(): Promise<void> {
    clearTimeout(this.timer);
    let wait: number;
    try {
      wait = await this.load();
      this.problem = undefined;
    } catch (error) {
      this.problem = asProblem(error);
      wait = this.problem.status === 0 || this.problem.status >= 500 ? 3000 : this.problem.status === 429 ? Math.max(10, this.problem.after) * 1000 : 0;
    }
    if (!this.isConnected || !wait) return;
    this.timer = window.setTimeout(() => (document.hidden ? undefined : void this.refresh()), wait);
  }

  protected override firstUpdated(): void {
    void this.refresh();
  }

  /** trouble is what stands at the top of a page that shows something, but not the latest. */
  protected trouble(): TemplateResult | typeof nothing {
    const p = this.problem;
    if (!p) return nothing;
    if (p.status === 0) {
      return html`<div class="note busy" role="status"><h2>${warning()} ${p.code === 'OFFLINE' ? 'You are offline, or the API is' : p.message}</h2><p>${p.code === 'OFFLINE' ? 'What you see may be out of date. This page tries again by itself.' : p.fix}</p></div>`;
    }
    return problemNote(p);
  }
}

export function problemNote(p: Problem): TemplateResult {
  return html`<div class="note bad" role="alert"><h2>${warning()} ${p.message}</h2>${fixed(p.fix)}<span class="code">${p.code}${p.requestId ? ` · request ${p.requestId}` : ''}</span></div>`;
}

export function badge(status: string): TemplateResult {
  const w = statusWord(status);
  return html`<span class="badge ${w.tone}" title=${w.means}>${w.label}</span>`;
}

export function when(at: string | undefined | null, none = '–'): TemplateResult | string {
  return at ? html`<time datetime=${at} title=${exact(at)}>${ago(at)}</time>` : none;
}
