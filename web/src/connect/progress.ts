import { html, nothing, svg, type TemplateResult } from 'lit';
import type { Connection } from '../api/client.js';
import { checkList } from '../parts/checks.js';
import { cross, tick } from '../parts/icons.js';
import { ago, clock, exact } from '../parts/time.js';
import type { Flow, Method } from './flow.js';

/** The ring's whole circle, in seconds: what a customer is asked to wait at most. */
const whole = 120;
const radius = 26;
const length = 2 * Math.PI * radius;

/** ring counts down to the deadline that the API names: when it is empty, a denial is final. */
export function ring(deadline: string, now: number): TemplateResult {
  const left = Math.max(0, (Date.parse(deadline) - now) / 1000);
  const share = Math.min(1, left / whole);
  return html`<svg class="ring" width="64" height="64" viewBox="0 0 64 64" role="img" aria-label="At most ${clock(left)} minutes left">
    ${svg`<circle class="track" cx="32" cy="32" r=${radius} fill="none" stroke-width="5"/>
    <circle class="left" cx="32" cy="32" r=${radius} fill="none" stroke-width="5" stroke-linecap="round" transform="rotate(-90 32 32)"
      stroke-dasharray=${length.toFixed(2)} stroke-dashoffset=${(length * (1 - share)).toFixed(2)} visibility=${share > 0 ? 'visible' : 'hidden'}/>
    <text x="32" y="37" text-anchor="middle">${clock(left)}</text>`}
  </svg>`;
}

interface Step {
  what: string;
  state: 'done' | 'now' | 'wait' | 'bad';
  at?: string | undefined;
  more?: TemplateResult | string | undefined;
}

/** timeline is how far the connection has come, each line from the connection or its events and none from hope. */
export function timeline(c: Connection, flow: Flow, method: Method): TemplateResult {
  const list = steps(c, flow, method);
  return html`<div class="progress" aria-label="Progress" role="group">
    <h3>Progress</h3>
    <ol class="steps">${list.map((s) => html`<li class=${s.state} aria-current=${s.state === 'now' ? 'step' : nothing}>
      <span class="dot">${s.state === 'done' ? tick() : s.state === 'bad' ? cross() : nothing}</span>
      <div><span class="what">${s.what}</span><span class="hidden">${{ done: ' (done)', now: ' (in progress)', wait: ' (to come)', bad: ' (failed)' }[s.state]}</span>
        ${s.at ? html` <time class="more" datetime=${s.at} title=${exact(s.at)}>${ago(s.at, flow.now())}</time>` : nothing}
        ${s.more ? html`<div class="more">${s.more}</div>` : nothing}</div>
    </li>`)}</ol>
    <p class="hidden" role="status">${list.find((s) => s.state === 'now' || s.state === 'bad')?.what ?? ''}</p>
  </div>`;
}

function steps(c: Connection, flow: Flow, method: Method): Step[] {
  const keys = c.method !== 'role';
  const started = flow.latest('connection.stack_started');
  const reported = flow.latest('connection.role_reported');
  const issued = flow.events.find((e) => e.type === 'connection.launched' || e.type === 'connection.created');
  const failure = flow.failure();
  const verifying = c.status === 'verifying' || Boolean(c.verification);
  const begun = Boolean(started) || Boolean(c.stack && !c.launchExpiresAt);
  const unmade = Boolean(failure?.unmade);
  const over = !keys && (c.status === 'expired' || (c.status === 'pending' && !c.launchExpiresAt && !c.stack)); // the link has
  const past = verifying || Boolean(reported) || (Boolean(failure) && !unmade && c.status !== 'pending');
  const list: Step[] = [];
  if (keys) {
    list.push({ what: 'Keys taken', state: 'done', at: issued?.at });
  } else {
    list.push({ what: 'Link issued', state: 'done', at: issued?.at ?? c.createdAt });
    if (over) list.push({ what: 'Link expired', state: 'bad' });
    const byStack = method === 'stack' || method === 'cli';
    if (begun || (!past && byStack)) { // a role by hand comes without one, whatever was chosen first
      list.push({ what: begun ? 'Stack started' : over ? 'Stack' : 'Waiting for the stack', state: begun ? 'done' : over ? 'wait' : 'now', at: started?.at });
    }
    const waiting = !over && (begun || !byStack) ? 'now' : 'wait';
    list.push(unmade ? { what: 'Role not made', state: 'bad' }
      : { what: past ? 'Role reported' : waiting === 'now' ? 'Waiting for the role' : 'Role', state: past ? 'done' : waiting, at: reported?.at, more: c.roleArn });
  }
  const checks = failure?.checks.length && !verifying ? failure.checks : c.checks;
  list.push({
    what: unmade ? 'Verification' : failure && !verifying ? 'Verification failed' : verifying ? 'Verifying' : 'Verification',
    state: unmade ? 'wait' : failure && !verifying ? 'bad' : verifying ? 'now' : 'wait',
    more: verifying || failure ? checkList(checks) as TemplateResult : undefined,
  });
  list.push({ what: 'Enabled', state: 'wait' });
  return list;
}
