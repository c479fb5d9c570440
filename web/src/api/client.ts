/** The HTTP API as the console and the widget use it. */
import type { components } from './schema.js';

type Schemas = components['schemas'];
export type Connection = Schemas['Connection'];
export type Connections = Schemas['Connections'];
export type ConnectionStatus = Schemas['ConnectionStatus'];
export type Check = Schemas['Check'];
export type Config = Schemas['Config'];
export type Event = Schemas['Event'];
export type Events = Schemas['Events'];
export type Launch = Schemas['Launch'];
export type CreateConnection = Schemas['CreateConnection'];
export type Enrolment = Schemas['Enrolment'];
export type Enrolments = Schemas['Enrolments'];
export type EnrolledAccount = Schemas['EnrolledAccount'];
export type EnrolledAccounts = Schemas['EnrolledAccounts'];
export type RetriedAccounts = Schemas['RetriedAccounts'];
export type RevokedSessions = Schemas['RevokedSessions'];
export type Scope = Schemas['Scope'];
export type Session = Schemas['Session'];
export type Sessions = Schemas['Sessions'];
export type SignInLink = Schemas['SignInLink'];

/**
 * TokenProvider answers an access token of the host page's own identity provider. It is asked before each request and may
 * answer the same token for as long as it is valid; `refresh` is true when the API has just refused the last one.
 */
export type TokenProvider = (why: { refresh: boolean }) => string | Promise<string>;

/** A Problem is the API's own error (RFC 9457), or the words for one that never reached it. */
export class Problem extends Error {
  constructor(
    /** HTTP status; 0 where no answer came. */
    readonly status: number,
    /** Stable, for programs: the API's code, or OFFLINE, SIGNED_OUT, UNREADABLE. */
    readonly code: string,
    message: string,
    readonly fix = '',
    readonly requestId = '',
    /** After how many seconds to ask again, where the API says so; else 0. */
    readonly after = 0,
  ) {
    super(message);
  }
}

/** asProblem makes any error one that can be shown. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(0, 'UNEXPECTED', error instanceof Error ? error.message : String(error), 'Reload the page and try again.');
}

interface Options {
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  /** The version that the caller has seen, for If-Match. */
  version?: number;
  idempotencyKey?: string;
  /** The ETag of what the caller has, for If-None-Match. */
  tag?: string;
  signal?: AbortSignal;
}

/** A Client speaks to one API with one token provider. Every method rejects with a Problem. */
export class Client {
  /** How far the server's clock is ahead of this one, in milliseconds, as far as its answers let on. */
  skew = 0;

  constructor(
    readonly base: string,
    private readonly token: TokenProvider,
  ) {}

  config(): Promise<Config> {
    return this.ask('GET', '/v1/config');
  }

  connections(query: { status?: string; q?: string; scope?: string; limit?: number; cursor?: string } = {}, signal?: AbortSignal): Promise<Connections> {
    return this.ask('GET', '/v1/connections', { query, ...(signal && { signal }) });
  }

  connection(id: string, signal?: AbortSignal): Promise<Connection> {
    return this.ask('GET', this.path(id), signal ? { signal } : {});
  }

  /** status is what there is to follow of a connection; undefined as long as the tag of the last answer is true. */
  async status(id: string, tag: string): Promise<{ tag: string; status: ConnectionStatus } | undefined> {
    const response = await this.request('GET', this.path(id, '/status'), { tag });
    if (response.status === 304) return undefined;
    return { status: await this.read<ConnectionStatus>(response, 'connections:read'), tag: response.headers.get('ETag') ?? '' };
  }

  create(body: CreateConnection, idempotencyKey?: string): Promise<Connection> {
    return this.ask('POST', '/v1/connections', { body, ...(idempotencyKey && { idempotencyKey }) });
  }

  launch(id: string): Promise<Connection> {
    return this.ask('POST', this.path(id, '/launch'));
  }

  reportRole(id: string, roleArn: string): Promise<Connection> {
    return this.ask('PUT', this.path(id, '/role'), { body: { roleArn } });
  }

  verify(id: string): Promise<Connection> {
    return this.ask('POST', this.path(id, '/verify'));
  }

  events(id: string, query: { limit?: number; cursor?: string } = {}, signal?: AbortSignal): Promise<Events> {
    return this.ask('GET', this.path(id, '/events'), { query, ...(signal && { signal }) });
  }

  remove(id: string, version: number): Promise<void> {
    return this.ask('DELETE', this.path(id), { version });
  }

  path(id: string, more = ''): string {
    return `/v1/connections/${encodeURIComponent(id)}${more}`;
  }

  /** ask makes one request and reads its answer. */
  async ask<T>(method: string, path: string, options: Options = {}): Promise<T> {
    return this.read<T>(await this.request(method, path, options), scopeOf(method, path));
  }

  /** request makes one request; a token that the API refuses is asked for once more. */
  private async request(method: string, path: string, options: Options): Promise<Response> {
    let response = await this.send(method, path, options, false);
    if (response.status === 401) response = await this.send(method, path, options, true);
    const date = Date.parse(response.headers.get('Date') ?? '');
    if (!Number.isNaN(date)) {
      const skew = date + 500 - Date.now();
      this.skew = Math.abs(skew) > 1500 ? skew : 0;
    }
    return response;
  }

  private async read<T>(response: Response, scope: string): Promise<T> {
    if (response.status === 204) return undefined as T;
    let answer: unknown;
    try {
      answer = await response.json();
    } catch {
      throw new Problem(response.status, 'UNREADABLE', `The API answered ${response.status} with something that is not JSON.`, 'Try again in a moment; if it goes on, tell the platform’s operators.');
    }
    if (response.status === 403 && !(answer as { code?: string } | null)?.code) throw lacking(scope); // the gateway's own refusal, which names nothing
    if (!response.ok) throw problem(response.status, answer, Number(response.headers.get('Retry-After')));
    return answer as T;
  }

  private async send(method: string, path: string, options: Options, refresh: boolean): Promise<Response> {
    const url = new URL(this.base.replace(/\/$/, '') + path, location.href);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined && value !== '') url.searchParams.set(name, String(value));
    }
    const headers = new Headers({ Authorization: `Bearer ${await this.token({ refresh })}` });
    if (options.body !== undefined) headers.set('Content-Type', 'application/json');
    if (options.version !== undefined) headers.set('If-Match', `"${options.version}"`);
    if (options.tag) headers.set('If-None-Match', options.tag);
    if (options.idempotencyKey) headers.set('Idempotency-Key', options.idempotencyKey);
    const init: RequestInit = { method, headers, cache: 'no-store', credentials: 'omit', referrerPolicy: 'no-referrer' };
    if (options.body !== undefined) init.body = JSON.stringify(options.body);
    if (options.signal) init.signal = options.signal;
    try {
      return await fetch(url, init);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Problem(0, 'OFFLINE', 'The API cannot be reached.', 'Check your connection to the internet; this page tries again by itself.');
    }
  }
}

/** scopeOf is the scope that a request needs, as the console and the widget make them. */
function scopeOf(method: string, path: string): string {
  if (method === 'GET') return 'connections:read';
  return /\/(credentials|sign-in)$/.test(path) ? 'credentials:issue' : 'connections:write';
}

function lacking(scope: string): Problem {
  return new Problem(403, 'SCOPE_MISSING', `You are signed in without the scope ${scope}.`, 'Ask whoever manages your sign-in for it, and sign in again.');
}

function problem(status: number, answer: unknown, after = 0): Problem {
  const p = (answer ?? {}) as { code?: string; detail?: string; title?: string; message?: string; fix?: string; requestId?: string };
  const code = p.code ?? (status === 401 ? 'UNAUTHENTICATED' : status === 429 ? 'TOO_MANY_REQUESTS' : `HTTP_${status}`);
  const wait = after > 0 ? ` Try again in ${after} s.` : status === 429 ? ' Try again in a few seconds.' : '';
  return new Problem(status, code, sentence(p.detail ?? p.message ?? p.title ?? `The API answered ${status}.`) + wait, p.fix ?? '', p.requestId ?? '', after || 0);
}

/** sentence begins with a capital letter and ends with a full stop. */
export function sentence(text: string): string {
  const t = text.trim();
  if (!t) return t;
  return t.charAt(0).toUpperCase() + t.slice(1) + (/[.!?]$/.test(t) ? '' : '.');
}
