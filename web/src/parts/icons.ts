/** Icons as SVG; all are decoration beside words. */
import { html, svg, type TemplateResult } from 'lit';

function icon(paths: TemplateResult, size = 20): TemplateResult {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${paths}</svg>`;
}

export const tick = () => icon(svg`<path d="M4.5 10.5l3.8 3.8 7.2-8"/>`);
export const cross = () => icon(svg`<path d="M5.5 5.5l9 9M14.5 5.5l-9 9"/>`);
export const question = () => icon(svg`<path d="M7.6 7.4a2.5 2.5 0 1 1 3.5 2.5c-.8.4-1.1.9-1.1 1.7M10 14.6v.1"/>`);
export const warning = () => icon(svg`<path d="M10 3.2 17.6 16.4H2.4ZM10 8.2v3.6M10 14v.1"/>`);
export const open = () => icon(svg`<path d="M11.5 4H16v4.5M16 4l-7 7M13.5 11.5V15a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7.5a1 1 0 0 1 1-1h3.5"/>`, 18);
export const copy = () => icon(svg`<rect x="7.2" y="7.2" width="8.8" height="8.8" rx="1.6"/><path d="M12.8 4.8A1 1 0 0 0 12 4H5a1 1 0 0 0-1 1v7a1 1 0 0 0 .8.8"/>`, 16);
export const plus = () => icon(svg`<path d="M10 4.5v11M4.5 10h11"/>`, 18);
export const search = () => icon(svg`<circle cx="9" cy="9" r="4.8"/><path d="m12.6 12.6 3.6 3.6"/>`, 18);
export const chevron = () => icon(svg`<path d="m5.5 8 4.5 4.5L14.5 8"/>`, 18);
export const refresh = () => icon(svg`<path d="M15.6 8A6 6 0 0 0 4.8 7M4.4 12a6 6 0 0 0 10.8 1M4.6 3.6V7H8M15.4 16.4V13H12"/>`, 18);
export const key = () => icon(svg`<circle cx="6.8" cy="13.2" r="2.9"/><path d="m9 11 6.5-6.5M13 7l2 2"/>`);
export const stack = () => icon(svg`<path d="m10 3.5 6.5 3.3L10 10 3.5 6.8ZM3.5 10l6.5 3.3L16.5 10M3.5 13.2l6.5 3.3 6.5-3.3"/>`);
export const person = () => icon(svg`<circle cx="10" cy="6.8" r="2.9"/><path d="M4.5 16c.5-3 2.6-4.6 5.5-4.6s5 1.6 5.5 4.6"/>`);
export const terminal = () => icon(svg`<rect x="3" y="4" width="14" height="12" rx="1.8"/><path d="m6 8 2.2 2L6 12M10 12.5h3.5"/>`);
export const code = () => icon(svg`<path d="M7 6 3.5 10 7 14M13 6l3.5 4-3.5 4"/>`);
