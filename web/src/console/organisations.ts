import { html } from 'lit';
import { property } from 'lit/decorators.js';
import { Page } from './page.js';

class OrganisationsPage extends Page {
  @property() enrolmentId = '';

  override render() {
    return html`<div class="head"><div><h1>Organisations</h1><span class="soft">All accounts of an AWS organisation, by one stack.</span></div></div>
      <div class="panel empty"><h2>Not offered by this deployment</h2><p>Its API has no enrolments of organisations. Accounts can be connected one by one.</p><div class="buttons"><a class="button" href="/connect">Connect account</a></div></div>`;
  }
}

customElements.define('organisations-page', OrganisationsPage);
