/** What a deployment's API may have or lack, and the types of it: the document's own where it has them. */
import type { components } from './schema.js';
import type { Client, Connection } from './client.js';

type Schemas = components['schemas'];
type Of<Name extends string, Otherwise> = Name extends keyof Schemas ? Schemas[Name] : Otherwise;

export type Scope = Schemas['Scope'];
export type AccessKey = Of<'AccessKey', { accessKeyId: string; setAt: string; ageDays: number; expiresAt?: string }>;
export type Session = Of<'Session', { sessionName: string; accessKeyId: string; caller: string; issuedAt: string; expiresAt: string; denied: boolean; reason?: string; purpose?: string }>;
export type Sessions = Of<'Sessions', { items: Session[]; nextCursor?: string }>;
export type SignInLink = Of<'SignInLink', { url: string; expiresAt: string; sessionExpiresAt: string }>;
export type RevokedSessions = Of<'RevokedSessions', { denied: boolean; message?: string; fix?: string; code?: string; policyRemovedAt?: string; validUntil?: string }>;
export type StackUpdate = Of<'StackUpdate', { from: string; to: string; changes: string[]; updateUrl: string; cli: string }>;
export type Reason = Schemas['Reason'];
export type Enrolment = Of<'Enrolment', {
  id: string; organizationId: string; organizationalUnitIds: string[]; status: string; permissions: string; defaultRegion: string; nameRule: string;
  createdAt: string; createdBy: string; launch?: { quickCreateUrl: string; cli: string; prerequisites: string[]; stackName: string; region: string };
  progress?: Record<'accounts' | 'connecting' | 'enabled' | 'degraded' | 'failed' | 'disconnected' | 'deleted' | 'linked', number>;
}>;
export type EnrolledAccount = Of<'EnrolledAccount', { accountId: string; connectionId: string; status: string; reason?: Reason; rolledBack: boolean; updatedAt: string }>;
export type RetriedAccounts = Of<'RetriedAccounts', { verifying: string[]; redeploy: string[]; more: boolean; cli?: string }>;

/** stackUpdate is how a connection's stack comes to the newest template, where there is a newer one. */
export function stackUpdate(c: Connection): StackUpdate | undefined {
  return (c.stack as { update?: StackUpdate } | undefined)?.update;
}

export function accessKey(c: Connection): AccessKey | undefined {
  return (c as { accessKey?: AccessKey }).accessKey;
}

const documents = new Map<string, Promise<Set<string>>>();

/** routes are the API's, as "put /v1/connections/{id}/scopes". */
export function routes(client: Client): Promise<Set<string>> {
  const known = documents.get(client.base) ?? read(client.base);
  documents.set(client.base, known);
  known.catch(() => documents.delete(client.base));
  return known;
}

async function read(base: string): Promise<Set<string>> {
  const response = await fetch(new URL('/openapi.json', base || location.href));
  const document = (await response.json()) as { paths: Record<string, Record<string, unknown>> };
  return new Set(Object.entries(document.paths).flatMap(([path, methods]) => Object.keys(methods).map((m) => `${m} ${path}`)));
}
