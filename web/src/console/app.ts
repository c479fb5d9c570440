import { LitElement, html, nothing, type TemplateResult } from 'lit';
import { state } from 'lit/decorators.js';
import { Client, asProblem, type Problem } from '../api/client.js';
import { tick } from '../parts/icons.js';
import { Auth, loadSettings, type Settings } from './auth.js';
import './connections.js';
import { problemNote } from './page.js';
import { follow, navigate } from './router.js';

interface Route {
  title: string;
  nav: string;
  page: () => TemplateResult;
}

/** The frame around all pages: who is signed in, where one is, where one can go. */
class Console extends LitElement {
  @state() private settings?: Settings;
  @state() private auth?: Auth;
  @state() private client?: Client;
  @state() private problem?: Problem | undefined;
  @state() private ready = false;
  @state() private leaving = false;
  @state() private missing = false;
  private path = '';

  protected override createRenderRoot(): this {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener('popstate', () => this.moved());
    this.addEventListener('click', follow);
    void this.start();
  }

  private async start(): Promise<void> {
    try {
      this.problem = undefined;
      const settings = (this.settings = await loadSettings());
      const auth = (this.auth = new Auth(settings, () => this.requestUpdate()));
      this.client = new Client(settings.apiBase || location.origin, auth.token);
      const back = await auth.load();
      if (back) navigate(back, 'replace');
    } catch (error) {
      this.problem = asProblem(error);
    }
    this.ready = true;
  }

  private moved(): void {
    const changed = this.path !== location.pathname;
    this.requestUpdate();
    if (!changed) return;
    window.scrollTo(0, 0);
    void this.updateComplete.then(() => this.querySelector<HTMLElement>('main')?.focus({ preventScroll: true }));
  }

  override render() {
    if (!this.ready) return html`<div class="gate"><p role="status">Loading…</p></div>`;
    if (!this.auth?.user || !this.client || !this.settings) return this.gate();
    const route = this.route();
    this.path = location.pathname;
    document.title = `${route.title} · Rolecall`;
    return html`<a class="skip" href="#main" @click=${this.skip}>Skip to the content</a>
      <header class="top"><div class="inner">
        <a class="brand" href="/"><span class="mark">${tick()}</span>Rolecall</a>
        <nav aria-label="Main">${this.link('/', 'Connections', route)}${this.link('/organizations', 'Organizations', route)}${this.link('/docs', 'Docs', route)}${this.link('/settings', 'Settings', route)}</nav>
        <div class="who"><span title="Signed in as ${this.auth.name}">${this.auth.name}</span><button type="button" class="small-button" @click=${() => void this.auth?.signOut()}>Sign out</button></div>
      </div></header>
      <main id="main" tabindex="-1">${this.missing ? html`<div class="panel empty"><h1>This page could not be loaded</h1><p>You may be offline, or the console has been updated meanwhile.</p>
        <div class="buttons"><button type="button" class="primary" @click=${() => location.reload()}>Reload</button></div></div>` : route.page()}</main>`;
  }

  private skip(e: Event): void {
    e.preventDefault();
    this.querySelector<HTMLElement>('main')?.focus();
  }

  private link(path: string, label: string, route: Route): TemplateResult {
    return html`<a href=${path} aria-current=${route.nav === path ? 'page' : nothing}>${label}</a>`;
  }

  private gate(): TemplateResult {
    return html`<main class="gate"><div class="panel">
      <div class="brand"><span class="mark">${tick()}</span>Rolecall</div>
      <h1>Connected accounts</h1>
      <p class="soft">Connect AWS accounts, see that each is safe to use, and know why one is not.</p>
      ${this.problem ? problemNote(this.problem) : this.auth?.ended ? html`<div class="note busy" role="status"><h2>Your session has ended</h2><p>Sign in again, and you are back where you were.</p></div>` : nothing}
      ${this.settings ? html`<button type="button" class="primary" aria-disabled=${this.leaving ? 'true' : 'false'} @click=${this.signIn}>${this.leaving ? 'Opening the sign-in page…' : 'Sign in'}</button>`
        : html`<button type="button" class="primary" @click=${() => void this.start()}>Try again</button>`}
    </div></main>`;
  }

  private async signIn(): Promise<void> {
    if (this.leaving) return;
    this.leaving = true;
    try {
      this.problem = undefined;
      await this.auth?.signIn();
    } catch (error) {
      this.problem = asProblem(error);
      this.leaving = false;
    }
  }

  /** lazy draws a page's element at once; it comes to life when its module has arrived. */
  private lazy(load: () => Promise<unknown>, page: TemplateResult): TemplateResult {
    void load().catch(() => (this.missing = true));
    return page;
  }

  private route(): Route {
    const path = location.pathname.replace(/\/+$/, '') || '/';
    const c = this.client, s = this.settings;
    const [, first = '', id = ''] = path.split('/');
    switch (first) {
      case '':
        return { title: 'Connections', nav: '/', page: () => html`<connections-page .client=${c} .settings=${s}></connections-page>` };
      case 'connect':
        return { title: 'Connect an account', nav: '/', page: () => this.lazy(() => import('./connect.js'), html`<connect-page .client=${c} .settings=${s} .token=${this.auth?.token} .connectionId=${decodeURIComponent(id)}></connect-page>`) };
      case 'connections':
        return { title: 'Connection', nav: '/', page: () => this.lazy(() => import('./connection.js'), html`<connection-page .client=${c} .settings=${s} .connectionId=${decodeURIComponent(id)}></connection-page>`) };
      case 'organizations':
        return { title: 'Organizations', nav: '/organizations', page: () => this.lazy(() => import('./organizations.js'), html`<organizations-page .client=${c} .settings=${s} .enrolmentId=${decodeURIComponent(id)}></organizations-page>`) };
      case 'docs':
        return { title: 'Documentation', nav: '/docs', page: () => this.lazy(() => import('./docs.js'), html`<docs-page .client=${c} .settings=${s} .token=${this.auth?.token} .section=${id}></docs-page>`) };
      case 'settings':
        return { title: 'Settings', nav: '/settings', page: () => this.lazy(() => import('./settings.js'), html`<settings-page .client=${c} .settings=${s}></settings-page>`) };
      default:
        return { title: 'Not found', nav: '', page: () => html`<div class="panel empty"><h1>There is nothing here</h1><p>The address may be old, or mistyped.</p><div class="buttons"><a class="button" href="/">Go to the connections</a></div></div>` };
    }
  }
}

customElements.define('rolecall-console', Console);
