/** Signing in: OIDC authorization code with PKCE, at the issuer that /config.json names. */
import { UserManager, WebStorageStateStore, type User } from 'oidc-client-ts';
import { Problem } from '../api/client.js';

/** Settings are /config.json; package web in web.go writes it. */
export interface Settings {
  apiBase: string;
  issuer: string;
  clientId: string;
  scope: string;
}

export async function loadSettings(): Promise<Settings> {
  const response = await fetch('/config.json');
  if (!response.ok) throw new Problem(response.status, 'CONFIG', 'The console’s settings cannot be read.', 'Reload the page.');
  return (await response.json()) as Settings;
}

/** Where the issuer sends people back to. */
export const signedInPath = '/callback';

/** Auth keeps tokens in this tab's session storage: another tab signs in by itself, and closing the tab signs out here. */
export class Auth {
  private readonly manager: UserManager;
  user?: User | undefined;
  private renewing?: Promise<User | undefined> | undefined;
  /** Whoever was signed in is not any more, and did not ask for that. */
  ended = false;

  constructor(
    private readonly settings: Settings,
    private readonly changed: () => void,
  ) {
    const store = new WebStorageStateStore({ store: window.sessionStorage });
    this.manager = new UserManager({
      authority: settings.issuer,
      client_id: settings.clientId,
      redirect_uri: location.origin + signedInPath,
      post_logout_redirect_uri: location.origin + '/',
      scope: settings.scope,
      response_type: 'code',
      userStore: store,
      stateStore: store,
      automaticSilentRenew: false,
      monitorSession: false,
      loadUserInfo: false,
    });
  }

  /** load takes up the session of this tab, or finishes signing in; it answers where to go then. */
  async load(): Promise<string | undefined> {
    if (location.pathname === signedInPath) {
      const user = await this.manager.signinCallback(location.href).catch((error: unknown) => {
        throw new Problem(0, 'NOT_SIGNED_IN', notSignedIn(error));
      });
      this.user = user ?? undefined;
      const state = user?.state as { path?: unknown } | undefined;
      return typeof state?.path === 'string' && /^\/(?!\/)/.test(state.path) ? state.path : '/';
    }
    const user = await this.manager.getUser();
    this.user = user?.expired ? await this.renewed(user) : (user ?? undefined);
    this.ended = Boolean(user && !this.user);
    return undefined;
  }

  /** renewed is the session with another token; undefined where the issuer gives none. Refresh tokens work once, so all who wait share one request. */
  private renewed(user: User): Promise<User | undefined> {
    if (!user.refresh_token) return Promise.resolve(undefined);
    this.renewing ??= this.manager.signinSilent().then((u) => u ?? undefined, () => undefined).finally(() => (this.renewing = undefined));
    return this.renewing;
  }

  /** name is what the issuer calls whoever has signed in. */
  get name(): string {
    const p = this.user?.profile;
    return p?.name ?? p?.email ?? p?.preferred_username ?? p?.sub ?? '';
  }

  async signIn(): Promise<void> {
    const path = location.pathname === signedInPath ? '/' : location.pathname + location.search;
    this.ended = false;
    await this.redirect({ path }).catch(() => {
      throw new Problem(0, 'OFFLINE', 'The sign-in page cannot be reached.', 'Check your connection to the internet, and try again.');
    });
  }

  /** redirect asks for a refresh token as well where the issuer says that it knows the scope for one; others refuse scopes that they do not know. */
  private async redirect(state: object): Promise<void> {
    const { scopes_supported: known = [] } = await this.manager.metadataService.getMetadata();
    await this.manager.signinRedirect({ state, scope: known.includes('offline_access') ? `${this.settings.scope} offline_access` : this.settings.scope });
  }

  async signOut(): Promise<void> {
    if (this.user?.refresh_token) await this.manager.revokeTokens(['refresh_token']).catch(() => undefined); // not every issuer can
    this.user = undefined;
    await this.manager.removeUser();
    const meta = await this.manager.metadataService.getMetadata().catch(() => undefined);
    if (meta?.end_session_endpoint) await this.manager.signoutRedirect();
    this.changed();
  }

  /** token is for the API client. A session that cannot be renewed ends here; the page keeps where it was. */
  readonly token = async ({ refresh }: { refresh: boolean }): Promise<string> => {
    const soon = (this.user?.expires_in ?? 0) < 30;
    if (this.user && (refresh || soon) && this.user.refresh_token) {
      this.user = await this.renewed(this.user);
    } else if (refresh || (this.user?.expires_in ?? 0) <= 0) {
      this.user = undefined;
    }
    if (!this.user) {
      this.ended = true;
      await this.manager.removeUser();
      this.changed();
      throw new Problem(401, 'SIGNED_OUT', 'Your session has ended.', 'Sign in again.');
    }
    return this.user.access_token;
  };
}

/** notSignedIn is why the issuer sent somebody back without signing them in. */
function notSignedIn(error: unknown): string {
  const said = error as { error?: string; error_description?: string | null };
  if (said.error === 'access_denied') return 'The sign-in was cancelled.';
  return said.error ? `The sign-in page answered ${said.error_description || said.error}.` : 'This sign-in was begun in another tab, or is over.';
}
