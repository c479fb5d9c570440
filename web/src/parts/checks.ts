import { html, nothing, type TemplateResult } from 'lit';
import type { Check } from '../api/client.js';
import { cross, question, tick } from './icons.js';
import { checkLabel, verdictWord } from './words.js';

/** checkList is the checks with their verdicts in a word for who cannot see the sign. */
export function checkList(checks: Pick<Check, 'name' | 'verdict' | 'code'>[]): TemplateResult | typeof nothing {
  if (!checks.length) return nothing;
  return html`<ul class="checks">
    ${checks.map((c) => html`<li class=${c.verdict}>
      ${c.verdict === 'passed' ? tick() : c.verdict === 'failed' ? cross() : question()}
      <span>${checkLabel(c.name)}<span class="hidden">: ${verdictWord(c)}</span></span>
    </li>`)}
  </ul>`;
}
