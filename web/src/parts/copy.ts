import { LitElement, css, html } from 'lit';
import { property, state } from 'lit/decorators.js';
import { copy, tick } from './icons.js';

/** <rolecall-copy> is a button that copies its `text`; `label` says what. It says when it has, to screen readers too. */
export class CopyButton extends LitElement {
  @property() text = '';
  @property() label = 'Copy';
  /** Shows the icon alone; the label is for screen readers. */
  @property({ type: Boolean }) compact = false;
  @state() private done: '' | 'copied' | 'failed' = '';

  static override styles = css`
    :host { display: inline-flex; vertical-align: middle; }
    button {
      font: inherit; font-size: 0.8125rem; font-weight: 550; line-height: 1.2; color: inherit; background: transparent; cursor: pointer;
      border: 1px solid var(--_line, currentColor); border-radius: calc(var(--_radius, 10px) * 0.6); padding: 0.375rem 0.625rem; min-height: 1.875rem;
      display: inline-flex; gap: 0.375rem; align-items: center; white-space: nowrap;
    }
    button:hover { background: var(--_hover, rgb(127 127 127 / 12%)); }
    button:focus-visible { outline: 2px solid var(--_accent, currentColor); outline-offset: 2px; }
    .compact { padding: 0.375rem; border-color: transparent; }
    .hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  `;

  override render() {
    const words = this.done === 'copied' ? 'Copied' : this.done === 'failed' ? 'Press Ctrl+C' : this.label;
    return html`<button type="button" class=${this.compact ? 'compact' : ''} title=${this.label} @click=${this.run}>
        ${this.done === 'copied' ? tick() : copy()}<span class=${this.compact ? 'hidden' : ''}>${words}</span>
      </button><span class="hidden" role="status">${this.done === 'copied' ? 'Copied' : ''}</span>`;
  }

  private async run() {
    try {
      await navigator.clipboard.writeText(this.text);
      this.done = 'copied';
    } catch {
      this.done = this.fallback() ? 'copied' : 'failed';
    }
    setTimeout(() => (this.done = ''), 2000);
  }

  /** fallback is for pages that are not secure, or frames without the right to the clipboard. */
  private fallback(): boolean {
    const area = document.createElement('textarea');
    area.value = this.text;
    area.setAttribute('readonly', '');
    area.style.setProperty('position', 'fixed');
    area.style.setProperty('opacity', '0');
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

define('rolecall-copy', CopyButton);

/** define registers an element once, however often the module is loaded under different addresses. */
export function define(name: string, element: CustomElementConstructor): void {
  if (!customElements.get(name)) customElements.define(name, element);
}
