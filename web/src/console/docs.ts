import { html, nothing, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { TokenProvider } from '../api/client.js';
import { Problem } from '../api/client.js';
import '../parts/copy.js';
import { snippet } from '../parts/fix.js';
import { inline, prose } from './markdown.js';
import { capital } from '../parts/words.js';
import { Page } from './page.js';

/** As much of OpenAPI 3.1 as is rendered. */
interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  enum?: unknown[];
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  required?: string[];
  default?: unknown;
  examples?: unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
}
interface Operation {
  operationId?: string;
  summary?: string;
  description?: string;
  parameters?: { name: string; in: string; description?: string; required?: boolean; schema?: Schema }[];
  requestBody?: { content: Record<string, { schema?: Schema }> };
  responses: Record<string, { description?: string; content?: Record<string, { schema?: Schema }>; headers?: Record<string, unknown> }>;
  security?: Record<string, string[]>[];
}
interface Document {
  info: { title: string; version: string; description?: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

/** The HTTP API, rendered from its own description, and how to embed the widget. */
class DocsPage extends Page {
  @property() section = '';
  @property({ attribute: false }) token?: TokenProvider;
  @state() private document?: Document;
  @state() private live = false;
  @state() private chosen = '';

  protected override async load(): Promise<number> {
    const response = await fetch(new URL('/openapi.json', this.client.base)).catch(() => {
      throw new Problem(0, 'OFFLINE', 'The API cannot be reached.');
    });
    if (!response.ok) throw new Problem(response.status, 'UNREADABLE', 'The API’s description cannot be read.');
    this.document = (await response.json()) as Document;
    return 0;
  }

  override render() {
    const embed = this.section === 'embed';
    return html`<div class="head"><div><h1>Documentation</h1></div></div>
      <nav class="tabs" aria-label="Documentation"><a class="button small-button" href="/docs" aria-current=${embed ? nothing : 'page'}>HTTP API</a><a class="button small-button" href="/docs/embed" aria-current=${embed ? 'page' : nothing}>Embed the widget</a></nav>
      ${embed ? this.embedding() : html`${this.trouble()}${this.document ? this.reference(this.document) : this.problem ? nothing : html`<p role="status">Loading the API’s description…</p>`}`}`;
  }

  private embedding(): TemplateResult {
    const origin = location.origin;
    const code = `<script type="module" src="${origin}/rolecall-connect.js"></script>

<rolecall-connect api-base="${this.client.base}" permission-set="read-only"></rolecall-connect>

<script type="module">
  const widget = document.querySelector('rolecall-connect');
  // An access token of your identity provider, with the tenant's claim and the API's scopes.
  widget.tokenProvider = ({ refresh }) => myLogin.accessToken({ refresh });
  widget.addEventListener('connected', (e) => console.log('enabled', e.detail.connection.id));
  widget.addEventListener('failed', (e) => console.log(e.detail.reason.code));
  widget.addEventListener('closed', () => widget.remove());
</script>`;
    const select = `<form>
  <rolecall-select name="connection" api-base="${this.client.base}" required></rolecall-select>
</form>`;
    return html`
      <section class="panel"><header><h2>Connect an account from your own page</h2></header><div class="in">
        <p>One script tag defines two elements, <code>&lt;rolecall-connect&gt;</code> and <code>&lt;rolecall-select&gt;</code>. They need no framework, keep their styles to themselves, and speak to this API with your users’ tokens. Your page’s origin must be one of the deployment’s <code>corsOrigins</code>.</p>
        ${snippet('HTML', code, 'Copy')}
      </div></section>
      <section class="panel"><header><h2>Try it</h2>${this.live ? html`<button type="button" class="small-button" @click=${() => (this.live = false)}>Close</button>` : nothing}</header><div class="in">
        ${this.live ? html`<rolecall-connect api-base=${this.client.base} .tokenProvider=${this.token} @closed=${() => (this.live = false)}></rolecall-connect>`
          : html`<p class="soft">The widget as it is, against this API and as you: what it connects is connected.</p><button type="button" @click=${this.start}>Show the widget</button>`}
      </div></section>
      <section class="panel"><header><h2>Choose a connection in a form of yours</h2></header><div class="in">
        <p><code>&lt;rolecall-select&gt;</code> is a form control: its value is the id of an enabled connection, and “Connect a new account” opens the widget and selects what it made.</p>
        ${snippet('HTML', select, 'Copy')}
        ${this.live ? html`<form class="try" @submit=${(e: Event) => e.preventDefault()}><label for="try-select">Account</label>
          <rolecall-select id="try-select" name="connection" api-base=${this.client.base} .tokenProvider=${this.token} @change=${(e: Event) => (this.chosen = (e.target as HTMLInputElement).value)}></rolecall-select>
          <p class="hint" role="status">${this.chosen ? html`Its value: <code>${this.chosen}</code>` : 'Nothing is chosen yet.'}</p></form>` : nothing}
      </div></section>
      <section class="panel"><header><h2>Attributes, events, colours</h2></header><div class="in"><dl class="fields">
        ${[
          ['api-base', 'Where the API is; the page’s own origin without it.'],
          ['permission-set, default-region, name', 'What the form is filled with. Sets and Regions are in Settings.'],
          ['methods', 'Which ways of connecting are offered, the first one chosen: stack role cli terraform keys.'],
          ['scope', 'Where what it makes applies, such as project:web. Of <rolecall-select>: those connections alone.'],
          ['connection-id', 'Take this connection up; without it the widget takes up what was under way in this browser.'],
          ['theme', 'light or dark; the page’s color-scheme without it.'],
          ['tokenProvider (property)', '({refresh}) → token or promise. refresh is true when the API has refused the last token.'],
          ['connected, failed, closed (events)', 'detail.connection, and of failed detail.reason {code, message, fix}.'],
        ].map(([dt, dd]) => html`<dt>${dt}</dt><dd>${dd}</dd>`)}
        <dt>Custom properties</dt><dd><p>What it takes from your page’s styles:</p><div class="chips">${['accent', 'accent-text', 'surface', 'raised', 'text', 'muted', 'border', 'field-border', 'success', 'danger', 'busy', 'radius', 'font', 'font-size', 'mono'].map((p) => html`<code class="chip">--rolecall-${p}</code>`)}</div></dd>
      </dl></div></section>`;
  }

  private async start(): Promise<void> {
    await import('../widget.js');
    this.live = true;
  }

  private reference(d: Document): TemplateResult {
    const groups = new Map<string, TemplateResult[]>(Object.keys(groupTitles).map((g) => [g, []]));
    for (const [path, methods] of Object.entries(d.paths)) {
      const group = /^\/v1\/([a-z-]+)/.exec(path)?.[1] ?? (path.startsWith('/api/') ? 'compatible' : 'description');
      const list = groups.get(group) ?? [];
      for (const [method, o] of Object.entries(methods)) list.push(this.operation(d, method, path, o));
      groups.set(group, list);
    }
    return html`<section class="panel"><div class="in"><h2>${d.info.title} ${d.info.version}</h2>${prose(d.info.description ?? '')}
        <p class="soft small">As <a href="/openapi.json" target="_blank" rel="noopener">OpenAPI 3.1</a>. Base: <code>${this.client.base}</code></p></div></section>
      ${[...groups].filter(([, list]) => list.length).map(([name, list]) => html`<section class="panel"><header><h2>${groupTitles[name] ?? capital(name.replaceAll('-', ' '))}</h2></header>${list}</section>`)}`;
  }

  private operation(d: Document, method: string, path: string, o: Operation): TemplateResult {
    const scopes = (o.security ?? []).flatMap((s) => Object.values(s).flat());
    const body = o.requestBody && Object.values(o.requestBody.content)[0]?.schema;
    return html`<details class="op"><summary><span class="method ${method}">${method.toUpperCase()}</span><code>${path}</code><span class="soft">${o.summary ?? ''}</span></summary>
      <div class="in">
        ${o.description ? prose(o.description.replace(/\s*Scope: `[^`]*`\.$/, '')) : nothing}
        ${scopes.length ? html`<p class="small">Scope: ${scopes.map((s) => html`<span class="chip mono">${s}</span> `)}</p>` : html`<p class="small soft">Public</p>`}
        ${snippet('Request', curl(d, method, new URL(path, this.client.base || location.href).href.replaceAll('%7B', '{').replaceAll('%7D', '}'), scopes.length > 0, body))}
        ${o.parameters?.length ? html`<h3>Parameters</h3><dl class="fields">${o.parameters.map((p) => html`<dt>${p.name} <span>${p.in}${p.required ? ', required' : ''} · ${kind(d, p.schema)}</span></dt><dd>${inline(p.description ?? '')}</dd>`)}</dl>` : nothing}
        ${body ? html`<h3>Body</h3>${fields(d, body, 0)}` : nothing}
        <h3>Answers</h3>
        <dl class="fields">${Object.entries(o.responses).map(([status, r]) => {
          const schema = r.content && Object.values(r.content)[0]?.schema;
          return html`<dt>${status === 'default' ? 'Otherwise' : status} <span>${kind(d, schema)}</span></dt><dd>${r.description ?? ''}${status === 'default' || !schema ? nothing : html`<details><summary>Members</summary>${fields(d, schema, 0)}</details>`}</dd>`;
        })}</dl>
      </div></details>`;
  }
}

/** The groups of routes in the order of their use; others follow. */
const groupTitles: Record<string, string> = {
  connections: 'Connections', 'effective-connection': 'The connection that applies', enrolments: 'Whole organizations', config: 'The deployment',
  compatible: 'For clients of Multi-Cloud Manager', description: 'This description',
};

/** curl is an operation as a command, with the least that its body must have. */
function curl(d: Document, method: string, url: string, signed: boolean, body: Schema | undefined): string {
  const asked = method === 'get' ? '' : ` -X ${method.toUpperCase()}`;
  const sent = body ? ` \\\n  -H 'Content-Type: application/json' -d '${JSON.stringify(sample(d, body))}'` : '';
  return `curl -sS${asked}${signed ? ' -H "Authorization: Bearer $TOKEN"' : ''} '${url}'${sent}`;
}

/** sample is the least that a schema accepts. */
function sample(d: Document, given: Schema): unknown {
  const s = resolve(d, given);
  const example = s.examples?.[0] ?? s.enum?.[0] ?? s.default;
  if (example !== undefined) return example;
  const type = [s.type].flat()[0];
  if (s.properties) return Object.fromEntries(Object.entries(s.properties).filter(([name]) => s.required?.includes(name)).map(([name, p]) => [name, sample(d, p)]));
  if (type === 'array') return s.items ? [sample(d, s.items)] : [];
  return type === 'integer' || type === 'number' ? (s.minimum ?? 1) : type === 'boolean' ? true : '…';
}

function resolve(d: Document, s: Schema | undefined): Schema {
  const name = s?.$ref?.split('/').pop();
  return name ? { ...d.components.schemas[name], ...(s?.description && { description: s.description }) } : (s ?? {});
}

function kind(d: Document, s: Schema | undefined): string {
  if (!s) return '';
  const name = s.$ref?.split('/').pop();
  if (name) return name;
  const types = [s.type ?? 'any'].flat().filter((t) => t !== 'null');
  if (types.includes('array')) return `list of ${kind(d, s.items) || 'anything'}`;
  const limits = [
    s.enum ? s.enum.join(' | ') : '', s.minimum !== undefined ? `≥ ${s.minimum}` : '', s.maximum !== undefined ? `≤ ${s.maximum}` : '',
    s.maxLength !== undefined ? `at most ${s.maxLength} characters` : '', s.default !== undefined ? `default ${String(s.default)}` : '',
  ].filter(Boolean);
  return [types.join(' or '), ...limits].join(', ');
}

function fields(d: Document, given: Schema, depth: number): TemplateResult | typeof nothing {
  const s = resolve(d, given);
  if (s.type === 'array' || [s.type].flat().includes('array')) return s.items ? fields(d, s.items, depth) : nothing;
  if (!s.properties) return nothing;
  return html`<dl class="fields">${Object.entries(s.properties).filter(([name]) => name !== '$schema').map(([name, p]) => {
    const r = resolve(d, p);
    const inner = [r.type].flat().includes('array') && r.items ? resolve(d, r.items) : r;
    return html`<dt>${name} <span>${kind(d, p)}${s.required?.includes(name) ? '' : ', may be absent'}</span></dt>
      <dd>${inline(r.description ?? '')}${inner.properties && depth < 2 ? fields(d, inner, depth + 1) : nothing}</dd>`;
  })}</dl>`;
}

customElements.define('docs-page', DocsPage);
