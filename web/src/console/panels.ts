/** The parts of a connection's page that are there only when they apply. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Client, Config, Connection } from '../api/client.js';
import './snippets.js';

export interface Doing {
  client: Client;
  config: Config | undefined;
  busy: string;
  act: (what: string, ask: (c: Connection) => Promise<Connection | void>) => Promise<boolean>;
}

export function panels(c: Connection, doing: Doing): TemplateResult | typeof nothing {
  if (c.status === 'deleted') return nothing;
  return html`<credential-snippets .connection=${c} .base=${doing.client.base}></credential-snippets>`;
}
