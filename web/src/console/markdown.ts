/** As much of Markdown as the API's description uses: paragraphs, tables and code within a line. */
import { html, type TemplateResult } from 'lit';

/** prose draws blocks that are parted by empty lines. */
export function prose(text: string): TemplateResult[] {
  return text.split(/\n{2,}/).map((b) => b.trim()).filter(Boolean).map((b) => (b.startsWith('|') ? table(b) : html`<p>${inline(b)}</p>`));
}

/** inline sets apart what stands between backticks. */
export function inline(text: string): (string | TemplateResult)[] {
  return text.split(/`([^`]+)`/).map((part, i) => (i % 2 ? html`<code>${part}</code>` : part));
}

function table(block: string): TemplateResult {
  const [head = [], , ...rows] = block.split('\n').map((line) => line.replace(/^\||\|$/g, '').split('|').map((cell) => cell.trim()));
  return html`<details><summary>${rows.length} ${(head[0] ?? '').toLowerCase()}s, each with what it means</summary>
    <div class="scroll" tabindex="0" role="group" aria-label=${`${head[0] ?? ''}s`}><table class="plain-table"><thead><tr>${head.map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${inline(cell)}</td>`)}</tr>`)}</tbody></table></div></details>`;
}
