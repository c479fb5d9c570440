import { LitElement, html, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Connection } from '../api/client.js';
import { snippet } from '../parts/fix.js';

interface Way {
  name: string;
  words: string;
  text: (url: string, c: Connection) => string;
}

/** The ways to use a connection, each ready to be pasted. A token of a service goes into a file, never into a command. */
const ways: Way[] = [
  {
    name: 'SDK',
    words: 'Every AWS SDK and the CLI read these two variables, and renew by themselves. The file holds “Bearer ” and a token of your identity provider with the scope credentials:issue.',
    text: (url, c) => `export AWS_CONTAINER_CREDENTIALS_FULL_URI=${url}\nexport AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/run/rolecall/token\nexport AWS_REGION=${c.defaultRegion}`,
  },
  {
    name: 'AWS CLI',
    words: 'With a token in the variable TOKEN: credentials for this shell.',
    text: (url, c) => `eval "$(curl -sS -H "Authorization: Bearer $TOKEN" '${url}' |\n  jq -r '@sh "export AWS_ACCESS_KEY_ID=\\(.AccessKeyId) AWS_SECRET_ACCESS_KEY=\\(.SecretAccessKey) AWS_SESSION_TOKEN=\\(.Token)"')"\naws sts get-caller-identity --region ${c.defaultRegion}`,
  },
  {
    name: 'HTTP',
    words: 'For everything else.',
    text: (url) => `curl -sS -H "Authorization: Bearer $TOKEN" '${url}'`,
  },
];

class CredentialSnippets extends LitElement {
  @property({ attribute: false }) connection!: Connection;
  @property() base = '';
  @state() private chosen = 0;

  protected override createRenderRoot(): this {
    return this;
  }

  override render() {
    const c = this.connection;
    const url = new URL(`/v1/connections/${c.id}/credentials`, this.base || location.href).href;
    const way = ways[this.chosen] ?? ways[0]!;
    return html`<section class="panel"><header><h2>Use it</h2></header><div class="in">
      ${c.status === 'enabled' ? '' : html`<p class="soft">Credentials are issued once the connection is enabled.</p>`}
      <div class="tabs" role="tablist" aria-label="Ways to use the connection">${ways.map((w, i) => this.tab(w, i))}</div>
      <div role="tabpanel" id="way" aria-labelledby="way-${this.chosen}"><p class="soft small">${way.words}</p>${snippet(way.name, way.text(url, c), 'Copy')}</div>
    </div></section>`;
  }

  private tab(w: Way, i: number): TemplateResult {
    const on = i === this.chosen;
    return html`<button type="button" role="tab" id="way-${i}" aria-controls="way" aria-selected=${on ? 'true' : 'false'} tabindex=${on ? 0 : -1}
      @click=${() => (this.chosen = i)} @keydown=${this.keyed}>${w.name}</button>`;
  }

  private keyed(e: KeyboardEvent): void {
    const step = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0;
    if (!step) return;
    this.chosen = (this.chosen + step + ways.length) % ways.length;
    void this.updateComplete.then(() => this.querySelector<HTMLElement>(`#way-${this.chosen}`)?.focus());
  }
}

customElements.define('credential-snippets', CredentialSnippets);
