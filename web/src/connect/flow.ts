import { Problem, asProblem, type Client, type Connection, type CreateConnection, type Event } from '../api/client.js';
import { failureOf, type Failure } from '../parts/failure.js';
import { patience } from '../parts/patience.js';

/** The way in which the customer is asked to connect. Only `keys` is another kind of connection for the API. */
export type Method = 'stack' | 'role' | 'cli' | 'terraform' | 'keys';

export const allMethods: Method[] = ['stack', 'role', 'cli', 'terraform', 'keys'];

/** How often to look at most, in milliseconds: quickly while something is to be seen, slowly when the page is left alone. */
const looks = { verifying: 700, pending: 1000, patient: 5000, offline: 3000 };

/**
 * A Flow follows one connection until it is enabled or has failed. What is shown comes from the connection alone, so it
 * can be left and taken up at any moment, in any tab.
 */
export class Flow {
  connection?: Connection;
  events: Event[] = [];
  /** The API cannot be reached; the flow goes on trying. */
  offline = false;
  /** What keeps the flow from being shown at all. */
  broken?: Problem;

  /** Too many look at once: what is shown is a little older then. */
  private crowded = false;
  /** When the API wants to be asked again, in milliseconds from its answer; 0 where it has not said so. */
  private after = 0;
  private timer = 0;
  private round = 0;
  private seen = '';
  /** The ETag of the connection's status as it is shown. */
  private tag = '';
  /** Since when nothing has moved, as far as this page knows. */
  private since = Date.now();

  constructor(
    private readonly client: Client,
    private readonly changed: (before: Connection | undefined) => void,
  ) {}

  /** now is the server's time. */
  now(): number {
    return Date.now() + this.client.skew;
  }

  /** take shows what an answer brought, and goes on looking. */
  take(connection: Connection): void {
    const before = this.connection;
    if (before?.id === connection.id && before.version > connection.version) return;
    this.connection = connection;
    this.tag = '';
    this.changed(before);
    this.look(0);
  }

  async open(id: string): Promise<void> {
    try {
      this.take(await this.client.connection(id));
    } catch (error) {
      const problem = asProblem(error);
      if (problem.status === 404) throw problem;
      this.broken = problem;
      this.changed(this.connection);
    }
  }

  async create(body: CreateConnection, key: string): Promise<void> {
    this.take(await this.client.create(body, key));
  }

  async relaunch(): Promise<void> {
    if (this.connection) this.take(await this.client.launch(this.connection.id));
  }

  async verify(): Promise<void> {
    await this.act((id) => this.client.verify(id));
  }

  async report(roleArn: string): Promise<void> {
    await this.act((id) => this.client.reportRole(id, roleArn));
  }

  /** act asks for something that takes a while, and shows what happens meanwhile. */
  private async act(ask: (id: string) => Promise<Connection>): Promise<void> {
    if (!this.connection) return;
    this.since = Date.now();
    this.look(300);
    this.take(await ask(this.connection.id));
  }

  /** wake looks at once, as when the page is shown again. */
  wake(): void {
    if (!this.connection || !this.timer) return;
    this.since = Date.now();
    this.look(0);
  }

  close(): void {
    clearTimeout(this.timer);
    this.timer = 0;
    this.round++;
  }

  private look(after: number): void {
    clearTimeout(this.timer);
    const round = ++this.round;
    this.timer = window.setTimeout(() => void this.poll(round), after);
  }

  private async poll(round: number): Promise<void> {
    const id = this.connection?.id;
    if (!id) return;
    try {
      const told = await this.client.status(id, this.tag);
      const moved = told && (await this.fetch(id));
      if (round !== this.round) return;
      const news = this.offline || (moved && moved.mark !== this.seen);
      const before = this.connection;
      if (moved) {
        this.since = Date.now();
        this.tag = told.tag;
        this.seen = moved.mark;
        this.events = moved.events;
        this.connection = moved.connection;
      }
      this.offline = this.crowded = false;
      if (news) this.changed(before);
    } catch (error) {
      if (round !== this.round) return;
      const problem = asProblem(error);
      if (problem.status === 404) this.broken = problem;
      this.offline = problem.status === 0 || problem.status >= 500;
      this.crowded = problem.status === 429;
      this.after = problem.after * 1000;
      if (!this.offline && !this.crowded && problem.status !== 404) this.broken = problem;
      this.changed(this.connection);
      if (this.broken) return;
    }
    const wait = this.wait();
    if (wait) this.look(wait);
    else this.timer = 0;
  }

  /** fetch reads the whole connection, and its events if it has another version than those that are known. */
  private async fetch(id: string): Promise<{ connection: Connection; events: Event[]; mark: string }> {
    const connection = await this.client.connection(id);
    const mark = `${connection.id} ${connection.version} ${connection.launch ? 'open' : ''}`;
    const events = mark === this.seen ? this.events : (await this.client.events(id, { limit: 50 })).items;
    return { connection, events, mark };
  }

  private wait(): number {
    const waited = Date.now() - this.since;
    if (this.crowded) return Math.max(this.after, patience(looks.patient, waited));
    const quickest = this.offline ? looks.offline : this.quickest();
    return quickest && patience(quickest, waited);
  }

  private quickest(): number {
    switch (this.connection?.status) {
      case 'verifying':
        return looks.verifying;
      case 'pending':
        return document.hidden ? looks.patient : looks.pending;
      case 'failed': // a stack that rolls back goes on from here by itself
      case 'disconnected':
      case 'expired':
        return looks.patient;
      default:
        return this.connection?.verification ? looks.verifying : 0;
    }
  }

  /** failure is why the last try to connect did not work; undefined while nothing has failed. */
  failure(): Failure | undefined {
    return this.connection && failureOf(this.connection, this.events);
  }

  /** latest is the newest event of a type, since the newest launch. */
  latest(type: string): Event | undefined {
    for (const e of this.events) {
      if (e.type === type) return e;
      if (e.type === 'connection.launched' || e.type === 'connection.created') return undefined;
    }
    return undefined;
  }
}

/** isTaken asks whether a name is, or was, a connection's; the API has the last word when the connection is created. */
export async function isTaken(client: Client, name: string, signal: AbortSignal): Promise<boolean> {
  const fold = (s: string) => s.normalize('NFKC').toLowerCase().trim();
  const pages = await Promise.all([
    client.connections({ q: name, limit: 100 }, signal),
    client.connections({ q: name, limit: 100, status: 'deleted' }, signal),
  ]);
  return pages.some((page) => page.items.some((c) => fold(c.name) === fold(name)));
}

/** newKey is a random Idempotency-Key; randomUUID exists on secure pages only. */
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
}
