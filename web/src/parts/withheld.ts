/** What is said to those whose token may read, but not write: launches are not shown to them. */
import { html, type TemplateResult } from 'lit';
import type { Connection } from '../api/client.js';

/** isWithheld reports whether a launch is open that whoever asked for the connection may not see. */
export function isWithheld(c: Connection): boolean {
  return Boolean(c.launchExpiresAt) && !c.launch;
}

/** lacksWrite says so, in a note's words. */
export function lacksWrite(): TemplateResult {
  return html`<p>You are signed in without the scope <code>connections:write</code>. The link holds a secret, so it is shown to those alone who may connect accounts.</p>
    <p>Ask whoever manages your sign-in for that scope, or somebody who has it to go on from here.</p>`;
}
