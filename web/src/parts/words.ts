/** What the API's names are called in front of people. */
import type { Check, Connection, Event, Scope } from '../api/client.js';

export interface Word {
  label: string;
  tone: 'good' | 'bad' | 'busy' | 'quiet';
  means: string;
}

const statuses: Record<string, Word> = {
  pending: { label: 'Waiting', tone: 'busy', means: 'Waiting for the customer to create the stack or the role.' },
  verifying: { label: 'Verifying', tone: 'busy', means: 'A role was reported and is being tried.' },
  enabled: { label: 'Enabled', tone: 'good', means: 'Proven safe; credentials are issued.' },
  degraded: { label: 'Degraded', tone: 'bad', means: 'Was enabled, but the account refuses us now. No credentials are issued.' },
  failed: { label: 'Failed', tone: 'bad', means: 'The role was refused for good. It can be mended and tried again.' },
  disconnected: { label: 'Disconnected', tone: 'quiet', means: 'The customer deleted the stack.' },
  expired: { label: 'Expired', tone: 'quiet', means: 'Nobody used the link within seven days.' },
  connecting: { label: 'Connecting', tone: 'busy', means: 'Its stack has reported, and its role is being tried.' },
  linked: { label: 'Linked', tone: 'good', means: 'Another connection of yours serves this account already.' },
  deleted: { label: 'Deleted', tone: 'quiet', means: 'Deleted for good; name and external ID stay reserved.' },
};

export function statusWord(status: string): Word {
  return statuses[status] ?? { label: capital(status), tone: 'quiet', means: '' };
}

/** statusNames are the statuses of connections; those of an organization's accounts are a few more. */
export function statusNames(): string[] {
  return Object.keys(statuses).filter((s) => s !== 'connecting' && s !== 'linked');
}

const checks: Record<string, string> = {
  assume_role: 'Role can be assumed with this connection’s external ID',
  external_id_required: 'Role is refused without an external ID',
  external_id_matched: 'Role is refused with a wrong external ID',
  regions: 'The account’s Regions can be listed',
  trust_policy: 'Trust policy admits nobody else',
  permissions: 'Permissions are as agreed',
  keys: 'Keys work, belong to the account, and are not its root’s',
  organization: 'The account belongs to the organization',
};

export function checkLabel(name: string): string {
  return checks[name] ?? capital(name.replaceAll('_', ' '));
}

export function verdictWord(check: Pick<Check, 'verdict' | 'code'>): string {
  if (check.verdict === 'passed') return check.code ? 'Passed with a warning' : 'Passed';
  return check.verdict === 'failed' ? 'Failed' : 'Not known';
}

const events: Record<string, string> = {
  'connection.created': 'Connection created',
  'connection.launched': 'New link prepared',
  'connection.stack_started': 'Stack started',
  'connection.stack_refused': 'Stack of another account refused',
  'connection.role_reported': 'Role reported',
  'connection.report_overtaken': 'Role proven too late',
  'connection.verification_begun': 'Verification begun again',
  'connection.verification_tried': 'Tried; will try again',
  'connection.verified': 'Verified',
  'connection.enabled': 'Enabled',
  'connection.failed': 'Verification failed',
  'connection.candidate_failed': 'New role refused; the old one goes on serving',
  'connection.role_changed': 'Moved to another role',
  'connection.denied': 'A check was denied',
  'connection.degraded': 'Degraded: credentials are no longer issued',
  'connection.recovered': 'Recovered',
  'connection.stack_updated': 'Stack updated',
  'connection.stack_deleted': 'Stack deleted',
  'connection.disconnected': 'Disconnected',
  'connection.expired': 'Link expired unused',
  'connection.deleted': 'Deleted',
  'connection.offboarding_tried': 'Checked whether the role still answers',
  'connection.offboarding_proven': 'Proven: the role refuses us now',
  'connection.role_still_answers': 'The role still answers after the end of the connection',
  'connection.updated': 'Renamed, or moved to another Region',
  'connection.scopes_changed': 'Scopes changed',
  'connection.keys_old': 'Keys have grown old',
  'connection.keys_ending': 'Keys end soon',
  'connection.keys_rotated': 'Keys rotated',
  'connection.sessions_revoked': 'Sessions revoked',
  'connection.sessions_denied': 'Older sessions are denied in the account',
  'connection.revocation_lifted': 'Revocation lifted',
  'connection.upgraded': 'Moved from access keys to a role',
  'connection.linked': 'Linked to an enrolment’s account',
  'connection.unlinked': 'Not linked to the enrolment any more',
  'credentials.issued': 'Credentials issued',
};

export function eventLabel(type: string): string {
  return events[type] ?? capital(type.replace(/^connection\./, '').replaceAll(/[._]/g, ' '));
}

export function eventTone(event: Event): Word['tone'] {
  if (/enabled|verified|recovered|proven|role_changed|upgraded/.test(event.type)) return 'good';
  if (/failed|refused|denied|degraded|still_answers/.test(event.type)) return 'bad';
  return /deleted|disconnected|expired|created/.test(event.type) ? 'quiet' : 'busy';
}

const methods: Record<string, string> = { role: 'IAM role', access_key: 'Access keys' };

export function methodLabel(c: Pick<Connection, 'method' | 'stack'>): string {
  if (c.method === 'role' && c.stack) return 'CloudFormation stack';
  return methods[c.method] ?? capital(c.method);
}

export function permissionLabel(name: string): string {
  return capital(name.replaceAll('-', ' '));
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1).replaceAll('_', ' ');
}

/** The levels of scopes, from the widest to the most specific, with their words for a list of those who have one. */
export const scopeLevels: Record<Scope['level'], string> = { organization: 'Organization', project: 'Projects', environment: 'Environments', architecture: 'Architectures' };

/** scopeText is a scope as people write it: "project:web", or the level alone for the organization. */
export function scopeText(s: { level: string; id?: string | undefined }): string {
  return s.id ? `${s.level}:${s.id}` : s.level;
}

/** scopeOf reads what scopeText writes. */
export function scopeOf(text: string): Scope {
  const [level, ...id] = text.split(':');
  return { level: level as Scope['level'], ...(id.length && { id: id.join(':') }) };
}
