/** What a deployment's API has or lacks, for a widget that may be newer than it. */
import type { Client } from './client.js';

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
