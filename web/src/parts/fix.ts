import { html, nothing, type TemplateResult } from 'lit';
import './copy.js';

/** A text with the JSON document in it, if there is one, set apart so that it can be read and copied. */
export function splitJSON(text: string): { before: string; json: string; after: string } {
  const from = text.indexOf('{');
  const to = text.lastIndexOf('}');
  if (from >= 0 && to > from) {
    try {
      const json = JSON.stringify(JSON.parse(text.slice(from, to + 1)), null, 2);
      return { before: text.slice(0, from).trim(), json, after: text.slice(to + 1).trim() };
    } catch {
      // no JSON after all, as in a path such as /v1/connections/{id}
    }
  }
  return { before: text, json: '', after: '' };
}

/** snippet is text to be copied as it is. */
export function snippet(title: string, text: string, label = 'Copy'): TemplateResult {
  return html`<div class="snippet">
    <div class="bar"><span>${title}</span><rolecall-copy .text=${text} .label=${label}></rolecall-copy></div>
    <pre tabindex="0" role="group" aria-label=${title}>${text}</pre>
  </div>`;
}

/** fixed shows what to do about something that is wrong. */
export function fixed(fix: string): TemplateResult | typeof nothing {
  if (!fix) return nothing;
  const { before, json, after } = splitJSON(fix);
  return html`<div class="fix">
    <p><strong>How to fix it</strong> ${json ? nothing : html`<rolecall-copy compact .text=${fix} label="Copy the fix"></rolecall-copy>`}</p>
    <p>${before}</p>
    ${json ? snippet('JSON', json, 'Copy the policy') : nothing}
    ${after && after !== '.' ? html`<p>${after}</p>` : nothing}
  </div>`;
}
