import { html } from 'lit';
import { property } from 'lit/decorators.js';
import type { Connection, TokenProvider } from '../api/client.js';
import '../connect/element.js';
import { Page } from './page.js';
import { navigate } from './router.js';

/** The widget on a page of its own. The address has the connection's id, so that it can be reloaded and handed on. */
class ConnectPage extends Page {
  @property({ attribute: false }) token?: TokenProvider;
  @property() connectionId = '';

  override render() {
    return html`<a class="crumb" href="/">← Connections</a>
      <h1 class="hidden">Connect an AWS account</h1>
      <rolecall-connect api-base=${this.client.base} connection-id=${this.connectionId} .tokenProvider=${this.token}
        @connected=${(e: CustomEvent<{ connection: Connection }>) => this.keep(e)}
        @closed=${(e: CustomEvent<{ connection: Connection | null }>) => navigate(e.detail.connection ? `/connections/${e.detail.connection.id}` : '/')}></rolecall-connect>`;
  }

  private keep(e: CustomEvent<{ connection: Connection }>): void {
    history.replaceState(null, '', `/connect/${e.detail.connection.id}`);
  }
}

customElements.define('connect-page', ConnectPage);
